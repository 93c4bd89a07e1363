import Core

/// How far the proof of an own name is.
public enum DomainState: String, Sendable, Hashable, CaseIterable {
    /// Not proven yet; looked up again and again for a week.
    case pending
    /// Served, while the plan allows own domains.
    case proven
    /// Never proven. Looked up only when asked.
    case failed
    /// Was proven; the record has been gone for days. Looked up only when asked.
    case lapsed
}

/// What a look-up of the proof came to.
public enum DomainFinding: Sendable, Hashable {
    case found
    /// A server says that there is no such record, or another one.
    case missing
    /// The record is there, but another account has proven the name.
    case taken
    /// Nobody could say. Never counts against the name.
    case unavailable
}

/// The proof of one own name over time. Pure: findings come in with the time, what is due comes out.
public struct DomainProof: Sendable, Hashable {
    public var state: DomainState
    public var createdAt: WallTime
    public var provenAt: WallTime?
    /// The first of the look-ups in a row that found it missing.
    public var missingSince: WallTime?
    /// How many of them there were.
    public var misses: Int
    public var checkedAt: WallTime?
    /// nil when only its owner has it looked up.
    public var nextCheck: WallTime?

    public static let pendingFor_s: Int64 = 7 * day_s
    /// A proven name whose record is missing is served this long.
    public static let lapsesAfter_s: Int64 = 4 * day_s
    /// And is looked up at least so often.
    public static let lapsesAfterMisses = 4
    /// When its owners are told that it will lapse.
    public static let warnsAfter_s: Int64 = day_s

    private static let day_s: Int64 = 24 * 3600
    private static let hour_s: Int64 = 3600
    private static let firstPause_s: Int64 = 30

    /// What owners are to be told.
    public enum News: Sendable, Hashable {
        case willLapse(at: WallTime)
        case lapsed
    }

    public init(
        state: DomainState = .pending, createdAt: WallTime, provenAt: WallTime? = nil,
        missingSince: WallTime? = nil, misses: Int = 0, checkedAt: WallTime? = nil, nextCheck: WallTime?
    ) {
        self.state = state
        self.createdAt = createdAt
        self.provenAt = provenAt
        self.missingSince = missingSince
        self.misses = misses
        self.checkedAt = checkedAt
        self.nextCheck = nextCheck
    }

    /// Takes in what a look-up found.
    public mutating func take(_ finding: DomainFinding, now: WallTime) -> News? {
        let before = checkedAt
        checkedAt = now
        switch (state, finding) {
        case (_, .found):
            state = .proven
            provenAt = provenAt ?? now
            missingSince = nil
            misses = 0
            nextCheck = now + Self.day_s
            return nil
        case (.pending, .unavailable):
            nextCheck = now + pause_s(now)
            return nil
        case (.pending, .missing), (.pending, .taken):
            let isOver = now.seconds - createdAt.seconds >= Self.pendingFor_s
            state = isOver ? .failed : .pending
            nextCheck = isOver ? nil : now + pause_s(now)
            return nil
        case (.proven, .unavailable):
            nextCheck = now + Self.hour_s
            return nil
        case (.proven, .missing), (.proven, .taken): return miss(now, before: before)
        case (.failed, _), (.lapsed, _):
            nextCheck = nil
            return nil
        }
    }

    private mutating func miss(_ now: WallTime, before: WallTime?) -> News? {
        let since = missingSince ?? now
        missingSince = since
        misses += 1
        let missing_s = now.seconds - since.seconds
        if missing_s >= Self.lapsesAfter_s, misses >= Self.lapsesAfterMisses {
            state = .lapsed
            provenAt = nil
            nextCheck = nil
            return .lapsed
        }
        nextCheck = now + 6 * Self.hour_s
        let was_s = max(0, (before?.seconds ?? since.seconds) - since.seconds)
        guard was_s < Self.warnsAfter_s, missing_s >= Self.warnsAfter_s else { return nil }
        return .willLapse(at: since + Self.lapsesAfter_s)
    }

    /// Short at first, while somebody waits beside a DNS editor, then longer with the name's age.
    private func pause_s(_ now: WallTime) -> Int64 {
        min(max((now.seconds - createdAt.seconds) / 4, Self.firstPause_s), 6 * Self.hour_s)
    }
}
