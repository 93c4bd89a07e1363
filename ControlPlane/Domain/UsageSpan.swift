import Core

/// By what usage is added up. Days and months are those of UTC.
public enum UsageGrouping: String, Sendable, Hashable, CaseIterable {
    case day, hour, month, tunnel, total

    /// Of one tunnel there is nothing to tell by tunnels.
    public enum OfOne: String, Sendable, Hashable, CaseIterable {
        case day, hour, month, total

        public var grouping: UsageGrouping {
            switch self {
            case .day: .day
            case .hour: .hour
            case .month: .month
            case .total: .total
            }
        }
    }
}

/// Whole hours, from the beginning of one to the end of another: the ledger knows no less.
public struct UsageSpan: Sendable, Hashable {
    public var from: WallTime
    public var to: WallTime

    /// How long the ledger keeps hours.
    public static let kept_s: Int64 = 400 * CivilDate.secondsPerDay

    /// Hours that begin before `to` are in it whole.
    public init(from: WallTime, to: WallTime) {
        self.from = from.startOfHour
        let end = to.startOfHour
        self.to = end == to ? end : end + 3600
    }

    /// What somebody asked for: without `to` up to now, without `from` since the first of the last month in it. Cut to
    /// what is kept, so that the answer says what it covers.
    public init(askedFrom from: WallTime?, to: WallTime?, now: WallTime) {
        func cut(_ time: WallTime) -> WallTime { min(max(time, now + -Self.kept_s), now) }
        let to = cut(to ?? now)
        let from = cut(from ?? UTCMonth(containing: to + -1).start)
        self.init(from: from < to ? from : to.startOfHour, to: from < to ? to : to.startOfHour)
    }

    /// The part of it that lies in the hour, day or month that begins at `start`.
    public func part(_ grouping: UsageGrouping, from start: WallTime) -> UsageSpan {
        let end: WallTime =
            switch grouping {
            case .hour: start + 3600
            case .day: start + CivilDate.secondsPerDay
            case .month: UTCMonth(containing: start).next.start
            case .tunnel, .total: to
            }
        return UsageSpan(from: max(from, start), to: min(to, end))
    }
}
