import Core

/// A calendar month in UTC: what quotas run by.
public struct UTCMonth: Sendable, Hashable, CustomStringConvertible {
    public let year: Int
    /// 1 to 12.
    public let month: Int

    /// The month that a time lies in.
    public init(containing time: WallTime) {
        let date = CivilDate(containing: time)
        year = date.year
        month = date.month
    }

    /// Its first second.
    public var start: WallTime {
        CivilDate(year: year, month: month, day: 1)?.start ?? WallTime(seconds: 0)
    }

    public var next: UTCMonth {
        UTCMonth(containing: start + Int64(CivilDate.length(ofMonth: month, year: year)) * 86_400)
    }

    /// `2026-11`
    public var description: String { "\(year)-\(month < 10 ? "0" : "")\(month)" }
    /// `2026-11-01`
    public var firstDay: String { description + "-01" }
}
