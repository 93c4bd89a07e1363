import Core

/// Notices a link that went silent: asks with PING after 2 s without a word, gives up after 6 s.
struct LinkWatch: Sendable {
    enum Finding: Hashable {
        case quiet
        case ask(UInt64)
        case dead
    }

    private var heard: Instant
    private var asked: Instant
    private var token: UInt64 = 0
    static let askAfter = Milliseconds.seconds(2)
    static let deadAfter = Milliseconds.seconds(6)

    init(now: Instant) {
        heard = now
        asked = now
    }

    /// Any frame is a sign of life.
    mutating func heard(_ now: Instant) {
        heard = now
        asked = now
    }

    var deadline: Instant { min(asked + Self.askAfter, heard + Self.deadAfter) }

    mutating func check(_ now: Instant) -> Finding {
        if now >= heard + Self.deadAfter { return .dead }
        guard now >= asked + Self.askAfter else { return .quiet }
        asked = now
        token &+= 1
        return .ask(token)
    }
}
