import Core

/// When a relay asks for the control plane's keys out of turn: at once when something shows that it lacks some, but
/// never so often that whoever sends it nonsense makes it a burden.
public struct KeyRefresh: Sendable {
    public enum Sign: Sendable, Hashable {
        /// A beacon that we believe tells of another set of keys.
        case told
        /// The control plane or Redis gave us something that none of our keys has signed.
        case unknownOnFeed
        /// An agent showed a ticket that none of our keys has signed.
        case unknownOnTicket

        var interval: Milliseconds { self == .told ? .seconds(2) : .minutes(1) }
    }

    private var lastAsked: [Sign: Instant] = [:]

    public init() {}

    /// Whether to ask now.
    public mutating func met(_ sign: Sign, now: Instant) -> Bool {
        if let last = lastAsked[sign], now.since(last) < sign.interval { return false }
        lastAsked[sign] = now
        return true
    }
}
