import Core
import Domain
import Testing

private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: 1 << 40) + Milliseconds(milliseconds) }

@Suite struct RateCellsTests {
    private let limit = RateLimit("test", quota: 3, window_s: 3)

    @Test func aBurstPassesThenOneEachStep() {
        var cells = RateCells()
        for left in [2, 1, 0] {
            guard case .pass(let remaining, _) = cells.take(limit, caller: "a", now: at(0)) else {
                Issue.record("refused")
                return
            }
            #expect(remaining == left)
        }
        #expect(cells.take(limit, caller: "a", now: at(0)) == .refuse(retryAfter_s: 1))
        #expect(cells.take(limit, caller: "b", now: at(0)) == .pass(remaining: 2, reset_s: 1))
        #expect(cells.take(limit, caller: "a", now: at(1000)) == .pass(remaining: 0, reset_s: 3))
        #expect(cells.take(limit, caller: "a", now: at(1500)) == .refuse(retryAfter_s: 1))
    }

    @Test func manyCallersDoNotGrowItWithoutEnd() {
        var cells = RateCells(maxCallers: 100)
        for caller in 0..<1000 { _ = cells.take(limit, caller: "\(caller)", now: at(caller)) }
        #expect(cells.count <= 101)
    }

    @Test func whatOthersUsedIsGoneHereToo() {
        var here = RateCells(tells: true)
        var there = RateCells(tells: true)
        for _ in 0..<2 { _ = here.take(limit, caller: "a", now: at(0)) }
        #expect(there.take(limit, caller: "a", now: at(0)) == .pass(remaining: 2, reset_s: 1))
        let news = here.takeNews(max: 10)
        #expect(news.map(\.count) == [2])
        #expect(here.takeNews(max: 10) == [])
        // Two of here and one of there, as somebody who counts all says.
        for use in news { there.learn(use.key, used_ns: 3 * limit.step_ns, now: at(0)) }
        #expect(there.take(limit, caller: "a", now: at(0)) == .refuse(retryAfter_s: 2))
    }

    @Test func whatWasTakenWhileAskingCountsOnTop() {
        var cells = RateCells(tells: true)
        _ = cells.take(limit, caller: "a", now: at(0))
        let asked = cells.takeNews(max: 10)
        _ = cells.take(limit, caller: "a", now: at(0))
        for use in asked { cells.learn(use.key, used_ns: 2 * limit.step_ns, now: at(0)) }
        // The two that all know of, and one since.
        #expect(cells.take(limit, caller: "a", now: at(0)) == .refuse(retryAfter_s: 1))
    }

    @Test func othersWhoForgotDoNotGiveBackWhatWasTakenHere() {
        var cells = RateCells(tells: true)
        for _ in 0..<3 { _ = cells.take(limit, caller: "a", now: at(0)) }
        for use in cells.takeNews(max: 10) { cells.learn(use.key, used_ns: 0, now: at(0)) }
        #expect(cells.take(limit, caller: "a", now: at(0)) == .refuse(retryAfter_s: 1))
    }

    @Test func newsAreTakenInParts() {
        var cells = RateCells(tells: true)
        for caller in 0..<5 { _ = cells.take(limit, caller: "\(caller)", now: at(0)) }
        let first = cells.takeNews(max: 3)
        let second = cells.takeNews(max: 3)
        #expect(first.count == 3)
        #expect(Set((first + second).map(\.key.caller)).count == 5)
        #expect(cells.takeNews(max: 3) == [])
    }
}
