import Core

/// Which other relay is asked next to have a waiting player's data connection dialled here: one after another, the
/// next at once when one says no, or when it has been silent for a while; after all of them, once more from the
/// first. Whose patience ends when is the desk's to know.
public struct Inquiry: Sendable, Hashable {
    public struct Timing: Sendable, Hashable {
        /// A relay that has not answered by then is not waited for.
        public var silence = Milliseconds(250)
        /// Between two rounds.
        public var pause = Milliseconds(250)

        public init() {}
    }

    public enum Step: Sendable, Hashable {
        case ask(String)
        /// Everybody was asked, nobody has the link: again at `due`.
        case roundIsOver
    }

    private var relays: [String]
    private var position = 0
    private let timing: Timing
    /// When `tick` has something to do.
    public private(set) var due: Instant

    /// Asks `relays` in this order; the first step is for now.
    public static func begin(
        _ relays: [String], timing: Timing = Timing(), now: Instant
    ) -> (Inquiry, Step) {
        var inquiry = Inquiry(relays: relays, timing: timing, due: now)
        let step = inquiry.step(now)
        return (inquiry, step)
    }

    private init(relays: [String], timing: Timing, due: Instant) {
        self.relays = relays
        self.timing = timing
        self.due = due
    }

    /// This relay has no link, or cannot be reached. nil when somebody else is being asked by now.
    public mutating func declined(by relay: String, now: Instant) -> Step? {
        guard position < relays.count, relays[position] == relay else { return nil }
        position += 1
        return step(now)
    }

    /// The one who is asked is silent, or a new round begins, then with these relays. nil before `due`.
    public mutating func tick(now: Instant, relays current: [String]) -> Step? {
        guard now >= due else { return nil }
        if position < relays.count {
            position += 1
        } else {
            relays = current
            position = 0
        }
        return step(now)
    }

    private mutating func step(_ now: Instant) -> Step {
        guard position < relays.count else {
            due = now + timing.pause
            return .roundIsOver
        }
        due = now + timing.silence
        return .ask(relays[position])
    }
}
