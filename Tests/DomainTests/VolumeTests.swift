import Core
import Testing

@testable import Domain

@Suite struct MonthlyVolumeTests {
    private static func volume(_ used: Int, of included: Int?, sold: Bool = false) -> MonthlyVolume {
        MonthlyVolume(included: included, used: used, isSoldBeyond: sold)
    }

    @Test func fourFifthsAreNearlyAllAndAllIsAll() {
        let levels = [0, 79, 80, 99, 100, 101].map { Self.volume($0, of: 100).level }
        #expect(levels == [.within, .within, .nearlyUsed, .nearlyUsed, .usedUp, .usedUp])
        #expect([0, 1].map { Self.volume($0, of: 1).level } == [.within, .usedUp])
        #expect([3, 4].map { Self.volume($0, of: 4).level } == [.within, .usedUp])
        #expect(Self.volume(.max, of: .max).level == .usedUp)
    }

    @Test func withoutAQuotaAndWhereMoreIsSoldNothingIsUsedUp() {
        for volume in [Self.volume(.max, of: nil), Self.volume(.max, of: 1, sold: true)] {
            #expect(volume.level == .within)
            #expect(volume.warning(after: nil) == nil)
        }
    }

    @Test func eachLevelIsToldOnceAndAgainOnlyOfALargerVolume() {
        let nearly = VolumeWarning(level: .nearlyUsed, included: 100)
        let up = VolumeWarning(level: .usedUp, included: 100)
        #expect(Self.volume(79, of: 100).warning(after: nil) == nil)
        #expect(Self.volume(80, of: 100).warning(after: nil) == nearly)
        #expect(Self.volume(99, of: 100).warning(after: nearly) == nil)
        #expect(Self.volume(100, of: 100).warning(after: nearly) == up)
        #expect(Self.volume(100, of: 100).warning(after: nil) == up)
        #expect(Self.volume(500, of: 100).warning(after: up) == nil)
        // A smaller volume than the one that was told of makes no second mail of the same level.
        #expect(Self.volume(85, of: 90).warning(after: nearly) == nil)
        #expect(Self.volume(95, of: 90).warning(after: nearly) == VolumeWarning(level: .usedUp, included: 90))
        #expect(
            Self.volume(800, of: 1000).warning(after: up)
                == VolumeWarning(level: .nearlyUsed, included: 1000))
    }

    @Test func thereIsSomethingToDoUntilItIsDone() {
        let up = VolumeWarning(level: .usedUp, included: 100)
        #expect(Self.volume(100, of: 100).asksForMore(isThrottled: false, told: up))
        #expect(Self.volume(100, of: 100).asksForMore(isThrottled: true, told: nil))
        #expect(!Self.volume(100, of: 100).asksForMore(isThrottled: true, told: up))
        #expect(Self.volume(0, of: 100).asksForMore(isThrottled: true, told: nil))
        #expect(!Self.volume(0, of: 100).asksForMore(isThrottled: false, told: nil))
    }
}

@Suite struct VolumeMailTests {
    private static let month = UTCMonth(containing: WallTime(seconds: 1_795_262_400))
    private static let account = AccountID(entropy: [1])

    private static func mail(_ level: MonthlyVolume.Level, slowed: Int?) -> Mail {
        .volume(
            VolumeWarning(level: level, included: 50_000_000_000), used: 40_190_000_000, month: month,
            plan: "Free", slowed_bytes_per_s: slowed, account: account, to: "anna@example.test")
    }

    @Test func anOwnerReadsHowMuchWhatThenAndUntilWhen() {
        let nearly = Self.mail(.nearlyUsed, slowed: 125_000)
        #expect(nearly.subject == "Minecart: 80 % of this month's 50 GB are used")
        #expect(nearly.kind == "volume-nearly-used")
        for part in [
            "40.1 GB", "50 GB", "1 Mbit/s", "2026-12-01 00:00 UTC", "plan Free", account(in: nearly),
        ] {
            #expect(nearly.text.contains(part))
        }
        let up = Self.mail(.usedUp, slowed: 125_000)
        #expect(up.subject == "Minecart: this month's 50 GB are used up")
        #expect(up.text.contains("at most 1 Mbit/s"))
        #expect(!Self.mail(.usedUp, slowed: nil).text.contains("bit/s"))
    }

    private func account(in mail: Mail) -> String { "Account \(Self.account)" }
}

@Suite struct QuantityTests {
    @Test func bytesAreReadInDecimalUnitsAndNeverRoundedUp() {
        let texts = [0, 999, 1000, 1999, 49_999_999_999, 1_000_000_000_000, Int.max].map(Quantity.bytes)
        #expect(texts == ["0 B", "999 B", "1 kB", "1.9 kB", "49.9 GB", "1 TB", "9.2 EB"])
        #expect(Quantity.rate(bytes_per_s: 2_500_000) == "20 Mbit/s")
        #expect(Quantity.rate(bytes_per_s: .max) == "9.2 Ebit/s")
    }
}

@Suite struct UsageSpanTests {
    /// 2026-11-21 12:00:00
    private static let noon = WallTime(seconds: 1_795_262_400)

    private static func asked(_ from: String?, _ to: String?, now: WallTime = noon + 1800) -> [String] {
        let span = UsageSpan(
            askedFrom: from.flatMap { WallTime(rfc3339: $0) }, to: to.flatMap { WallTime(rfc3339: $0) },
            now: now)
        return [span.from.rfc3339, span.to.rfc3339]
    }

    @Test func itIsOfWholeHoursAndSinceTheFirstByDefault() {
        #expect(Self.asked(nil, nil) == ["2026-11-01T00:00:00Z", "2026-11-21T13:00:00Z"])
        #expect(
            Self.asked("2026-11-20T10:59:59Z", "2026-11-20T12:00:00Z")
                == ["2026-11-20T10:00:00Z", "2026-11-20T12:00:00Z"])
        #expect(Self.asked(nil, "2026-11-01") == ["2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"])
    }

    @Test func itIsCutToWhatIsKeptAndNeverTurnedAround() {
        #expect(
            Self.asked("0001-01-01", "9999-12-31T23:59:60Z")
                == ["2025-10-17T12:00:00Z", "2026-11-21T13:00:00Z"])
        #expect(Self.asked("2026-11-20", "2026-11-10") == ["2026-11-10T00:00:00Z", "2026-11-10T00:00:00Z"])
        #expect(Self.asked("0001-01-01", "0001-01-02") == ["2025-10-17T12:00:00Z", "2025-10-17T12:00:00Z"])
    }

    @Test func aPartLiesWithinIt() {
        let span = UsageSpan(from: Self.noon + -86_400, to: Self.noon)
        let midnight = Self.noon + -43_200
        #expect(span.part(.day, from: midnight) == UsageSpan(from: midnight, to: Self.noon))
        #expect(
            span.part(.day, from: midnight + -86_400) == UsageSpan(from: Self.noon + -86_400, to: midnight))
        #expect(span.part(.month, from: UTCMonth(containing: Self.noon).start) == span)
        #expect(span.part(.hour, from: midnight) == UsageSpan(from: midnight, to: midnight + 3600))
    }
}
