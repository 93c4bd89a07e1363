import Core

/// How far a meter event has come.
public enum MeterState: String, Sendable, Hashable, CaseIterable {
    /// To be sent, or to be sent again under the same identifier.
    case due
    /// Stripe has it, once.
    case sent
    /// Stripe may have it: nobody knows, and it is too late to send it again. Somebody must look.
    case unclear
    /// Stripe refused it until it was too old to be taken.
    case late
}

/// What became of sending a meter event.
public enum MeterAnswer: Sendable, Hashable {
    case recorded
    /// Stripe has had an event under this identifier: an earlier attempt of ours arrived.
    case duplicate
    /// Stripe did not take it, and says so; or it was never reached.
    case refused(String)
    /// No answer, or one that says nothing about whether it counted.
    case unclear(String)
}

/// One meter event's way to Stripe, which counts an identifier once for at least 24 hours, and no longer. So after an
/// answer that leaves open whether the event counted, it is sent again under the same identifier within that time,
/// and never after it.
public struct MeterDelivery: Sendable, Hashable {
    public var hour: WallTime
    public var state: MeterState
    /// When it was first sent without learning what became of it.
    public var unclearSince: WallTime?
    public var attempts: Int
    public var nextTry: WallTime

    /// Less than Stripe's 24 hours, for clocks that differ and calls that take long.
    public static let resendFor_s: Int64 = 23 * 3600
    /// Less than Stripe's 35 days.
    public static let maxAge_s: Int64 = 35 * 24 * 3600 - 3600
    private static let firstPause_s: Int64 = 30
    private static let maxPause_s: Int64 = 3600

    public init(
        hour: WallTime, state: MeterState = .due, unclearSince: WallTime? = nil, attempts: Int = 0,
        nextTry: WallTime
    ) {
        self.hour = hour
        self.state = state
        self.unclearSince = unclearSince
        self.attempts = attempts
        self.nextTry = nextTry
    }

    /// Begins an attempt. Until its answer is noted the event counts as unclear, so that a process which dies in
    /// between leaves the truth behind. False when it must not be sent: then the state says why.
    public mutating func begin(now: WallTime) -> Bool {
        guard state == .due else { return false }
        if let unclearSince, now.seconds - unclearSince.seconds >= Self.resendFor_s {
            state = .unclear
            return false
        }
        if now.seconds - hour.seconds >= Self.maxAge_s {
            state = unclearSince == nil ? .late : .unclear
            return false
        }
        attempts += 1
        unclearSince = unclearSince ?? now
        nextTry = now + pause_s
        return true
    }

    /// Notes what became of an attempt; `before` is the delivery as it was when the attempt began.
    public mutating func end(_ answer: MeterAnswer, before: MeterDelivery) {
        switch answer {
        case .recorded, .duplicate:
            state = .sent
            unclearSince = nil
        case .refused: unclearSince = before.unclearSince
        case .unclear: break
        }
    }

    private var pause_s: Int64 {
        min(Self.maxPause_s, Self.firstPause_s << Int64(min(attempts - 1, 8)))
    }
}
