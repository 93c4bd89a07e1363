import Core
import Foundation
import Testing

@Suite struct TimeTests {
    @Test func wallTimeIsWrittenAsRFC3339() {
        #expect(WallTime(seconds: 0).rfc3339 == "1970-01-01T00:00:00Z")
        #expect(WallTime(seconds: 951_782_400).rfc3339 == "2000-02-29T00:00:00Z")
        #expect(WallTime(seconds: -1).rfc3339 == "1969-12-31T23:59:59Z")
        let formatter = ISO8601DateFormatter()
        for seconds in stride(from: Int64(0), through: 4_102_444_800, by: 12_345_678) {
            let date = Date(timeIntervalSince1970: TimeInterval(seconds))
            #expect(WallTime(seconds: seconds).rfc3339 == formatter.string(from: date))
        }
    }

    @Test func spansAreNeverNegative() {
        let early = Instant(nanoseconds: 1_000_000)
        let late = early + .seconds(2)
        #expect(late.since(early) == Milliseconds(2000))
        #expect(early.since(late) == Milliseconds(0))
        #expect(early + Milliseconds(-5) == early)
        #expect(early < late && Milliseconds.minutes(1) == Milliseconds(60_000))
    }

    @Test func theMonotonicClockDoesNotGoBack() {
        let first = Instant.now()
        #expect(first <= Instant.now())
    }
}
