import Core
import Domain
import Testing

private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: 1 << 40) + Milliseconds(milliseconds) }

@Suite struct PaceTests {
    @Test func aBurstThenSoManyASecond() {
        var pace = Pace(per_s: 500, burst: 200)
        #expect(pace.allowance(now: at(0)) == 200)
        pace.take(200)
        #expect(pace.allowance(now: at(0)) == 0)
        #expect(pace.allowance(now: at(100)) == 50)
        #expect(pace.allowance(now: at(3_600_000)) == 200)
        pace.take(150)
        #expect(pace.allowance(now: at(3_600_001)) == 50)
    }

    @Test func manyShortStepsAreAsMuchAsALongOne() {
        var pace = Pace(per_s: 500, burst: 10_000)
        pace.take(10_000)
        _ = pace.allowance(now: at(0))
        for step in 1...1000 { _ = pace.allowance(now: at(step)) }
        #expect(pace.allowance(now: at(1000)) == 500)
    }
}
