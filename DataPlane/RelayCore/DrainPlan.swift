import Core

/// The way out of a relay, step by step: it tells that it leaves, has its agents take another place first, serves
/// players until the last one has left, and closes its doors last of all.
///
/// A front needs time to notice that a relay is not ready any more, and a player's client may have looked the address
/// up before: whoever comes meanwhile is served.
public struct DrainPlan: Sendable {
    public struct Timing: Sendable {
        /// The relay stays at least so long after it stopped being ready.
        public var notice = Milliseconds.seconds(5)
        /// It ends after so long in any case.
        public var limit = Milliseconds.seconds(300)
        /// Agents move within this time, fewer of them within less: so many a second.
        public var spread = Milliseconds.seconds(5)
        public var linksPerSecond = 200
        /// Links that are still there after so long are sent away.
        public var linkPatience = Milliseconds.seconds(15)
        /// For whoever was on the way in when the doors closed.
        public var lastGuests = Milliseconds.seconds(5)

        public init() {}
    }

    /// Who is still here.
    public struct Guests: Sendable, Hashable {
        /// Agents' links.
        public var links: Int
        /// Players whose bytes pass.
        public var players: Int
        /// Players who wait for their server.
        public var waiting: Int
        /// Everybody above, and whoever has not said yet what they want or is being told why not.
        public var connections: Int

        public init(links: Int, players: Int, waiting: Int, connections: Int) {
            self.links = links
            self.players = players
            self.waiting = waiting
            self.connections = connections
        }

        var hasNobodyToServe: Bool { links == 0 && players == 0 && waiting == 0 }
    }

    public enum Action: Sendable, Hashable {
        case turnReadinessOff
        /// Every agent is asked to take another place within this time.
        case migrate(within: Milliseconds)
        case sendLinksAway
        /// Who waits at the doors comes in, then they close.
        case stopListening
        /// Tell what is not told yet, and answer with `usageTold`.
        case tellUsage
        case exit
    }

    private enum Stage: Sendable, Hashable {
        case serving
        case leaving(since: Instant)
        case doorsClosed(since: Instant)
        case telling
        case over
    }

    private let timing: Timing
    private var stage = Stage.serving
    private var began: Instant?
    private var signals = 0
    private var linksAreSentAway = false

    public init(timing: Timing = Timing()) { self.timing = timing }

    public var hasBegun: Bool { began != nil }

    /// A signal to end. The second one is meant.
    public mutating func signalled(_ guests: Guests, now: Instant) -> [Action] {
        signals += 1
        guard signals > 1 else { return told(guests, now: now) }
        return exit()
    }

    /// Somebody wants this relay to drain; hearing it again changes nothing.
    public mutating func told(_ guests: Guests, now: Instant) -> [Action] {
        guard case .serving = stage else { return [] }
        stage = .leaving(since: now)
        began = now
        let needed = Milliseconds(guests.links * 1000 / timing.linksPerSecond)
        return [.turnReadinessOff, .migrate(within: min(timing.spread, needed))]
            + look(guests, now: now)
    }

    /// To be called several times a second.
    public mutating func look(_ guests: Guests, now: Instant) -> [Action] {
        guard let began else { return [] }
        let time = now.since(began)
        switch stage {
        case .serving, .telling, .over: return []
        case .leaving:
            if time >= timing.limit {
                stage = .telling
                return [.stopListening, .tellUsage]
            }
            if time >= timing.notice, guests.hasNobodyToServe {
                stage = .doorsClosed(since: now)
                return [.stopListening]
            }
            guard time >= timing.linkPatience, guests.links > 0, !linksAreSentAway else { return [] }
            linksAreSentAway = true
            return [.sendLinksAway]
        case .doorsClosed(let since):
            let nobodyIsLeft =
                guests.connections == 0
                || guests.hasNobodyToServe && now.since(since) >= timing.lastGuests
            guard nobodyIsLeft || time >= timing.limit else { return [] }
            stage = .telling
            return [.tellUsage]
        }
    }

    public mutating func usageTold() -> [Action] {
        guard case .telling = stage else { return [] }
        return exit()
    }

    private mutating func exit() -> [Action] {
        guard stage != .over else { return [] }
        stage = .over
        return [.exit]
    }
}
