import Core
import Wire

/// A player's connection, by the number its relay loop gave it.
public struct PlayerID: Hashable, Sendable {
    public let number: Int
    public init(_ number: Int) { self.number = number }
}

/// A data connection, by the number its relay loop gave it.
public struct DataID: Hashable, Sendable {
    public let number: Int
    public init(_ number: Int) { self.number = number }
}

/// What a desk wants done, in order.
public enum DeskAction: Sendable, Hashable {
    /// On the tunnel's link.
    case send(LinkFrame)
    /// Whoever brings this nonce belongs to this desk; until `forget`, or once.
    case expect(Nonce)
    case forget(Nonce)
    /// Write START and the player's first bytes, and report the answer.
    case start(PlayerID, DataID)
    /// The home server is there: pass raw bytes from now on.
    case splice(PlayerID, DataID)
    /// Tell the player why not, and close.
    case turnAway(PlayerID, OfflineReason)
    case closeData(DataID)
}

/// Brings players of one tunnel together with data connections of its agent: which parked one is used, when an
/// OPEN goes out, how long anyone waits, who is turned away with what words. A tunnel's link, parked connections
/// and players all live on one loop, so one desk decides for all of them.
public struct TunnelDesk: Sendable {
    public struct Timing: Sendable {
        /// How long a nonce is good for.
        public var nonce = Milliseconds.seconds(10)
        /// A player's data connection is late after this: one fresh OPEN goes out.
        public var retry = Milliseconds.seconds(2)
        /// A login waits so long in all, whatever for.
        public var loginPatience = Milliseconds.seconds(10)
        /// A status ping is not worth more.
        public var statusPatience = Milliseconds.seconds(5)
        /// The agent may be reconnecting: players wait so long for a link that was there a moment ago.
        public var linkPatience = Milliseconds.seconds(5)
        /// Joins within this time ask for parked connections ahead of the next.
        public var demand = Milliseconds.seconds(10)

        public init() {}
    }

    private struct Waiting: Sendable {
        enum Stage: Sendable, Hashable {
            case forLink
            case forData(Nonce)
            case forAnswer(DataID)
        }
        var stage: Stage
        let isLogin: Bool
        var deadline: Instant
        var retryAt: Instant?
    }

    private let loop: UInt8
    private let rendezvous: Rendezvous
    private let timing: Timing
    public private(set) var limits: Limits
    public private(set) var hasLink = false
    private var linkLostAt: Instant?
    private var waiting: [PlayerID: Waiting] = [:]
    private var playing: Set<PlayerID> = []
    private var parked: [DataID] = []
    private var parkNonces: [Nonce: Instant] = [:]
    private var recentJoins: [Instant] = []
    private static let maxParked = 8
    /// A tunnel that cannot bring connections is not let pile up players without end.
    private static let maxWaiting = 256

    /// `loop` becomes the first byte of every nonce; `rendezvous` is this relay.
    public init(loop: UInt8, rendezvous: Rendezvous, limits: Limits, timing: Timing = Timing()) {
        self.loop = loop
        self.rendezvous = rendezvous
        self.limits = limits
        self.timing = timing
    }

    public var playerCount: Int { playing.count }
    public var parkedCount: Int { parked.count }
    /// Nothing to remember.
    public var isIdle: Bool { !hasLink && waiting.isEmpty && playing.isEmpty && parked.isEmpty }

    // MARK: the link

    public mutating func linkUp(
        limits: Limits, now: Instant, using random: inout some RandomNumberGenerator
    ) -> [DeskAction] {
        hasLink = true
        linkLostAt = nil
        self.limits = limits
        var actions: [DeskAction] = [.send(.welcome(limits))]
        // Connections parked for the link before may lead to an agent that is gone.
        actions += dropParked()
        for player in waiting.keys.sorted(by: { $0.number < $1.number })
        where waiting[player]?.stage == .forLink {
            actions += open(for: player, now: now, using: &random)
        }
        return actions + refill(now: now, using: &random)
    }

    public mutating func linkLost(now: Instant) -> [DeskAction] {
        hasLink = false
        linkLostAt = now
        return dropParked()
    }

    public mutating func limitsChanged(_ limits: Limits) -> [DeskAction] {
        guard limits != self.limits else { return [] }
        self.limits = limits
        return hasLink ? [.send(.limits(limits))] : []
    }

    /// The agent said that it will not bring the connection for this nonce.
    public mutating func refused(_ nonce: Nonce, _ reason: RefusalReason) -> [DeskAction] {
        if parkNonces.removeValue(forKey: nonce) != nil { return [.forget(nonce)] }
        guard let player = player(waitingFor: nonce) else { return [] }
        return [.forget(nonce)] + turnAway(player, Self.words(for: reason))
    }

    // MARK: players

    public mutating func playerArrived(
        _ player: PlayerID, isLogin: Bool, now: Instant, using random: inout some RandomNumberGenerator
    ) -> [DeskAction] {
        let wanted = playing.count + waiting.values.count { $0.isLogin }
        if isLogin, let cap = limits.players, wanted >= cap { return [.turnAway(player, .full)] }
        guard waiting.count < Self.maxWaiting else { return [.turnAway(player, .full)] }
        let patience = isLogin ? timing.loginPatience : timing.statusPatience
        if hasLink {
            recentJoins.append(now)
            waiting[player] = Waiting(stage: .forLink, isLogin: isLogin, deadline: now + patience)
            if let data = parked.popLast() {
                waiting[player]?.stage = .forAnswer(data)
                waiting[player]?.retryAt = now + timing.retry
                return [.start(player, data)] + refill(now: now, using: &random)
            }
            return open(for: player, now: now, using: &random) + refill(now: now, using: &random)
        }
        guard let linkLostAt, now.since(linkLostAt) < timing.linkPatience else {
            return [.turnAway(player, .agentAway)]
        }
        waiting[player] = Waiting(
            stage: .forLink, isLogin: isLogin, deadline: linkLostAt + timing.linkPatience)
        return []
    }

    /// The player's connection ended, while waiting or after playing.
    public mutating func playerLeft(_ player: PlayerID) -> [DeskAction] {
        playing.remove(player)
        guard let left = waiting.removeValue(forKey: player) else { return [] }
        switch left.stage {
        case .forLink: return []
        // The connection under way becomes the next parked one.
        case .forData(let nonce):
            parkNonces[nonce] = left.deadline
            return []
        case .forAnswer(let data): return [.closeData(data)]
        }
    }

    // MARK: data connections

    /// A data connection brought a nonce that this desk expected. Its loop has forgotten the nonce.
    public mutating func dataArrived(_ data: DataID, nonce: Nonce, now: Instant) -> [DeskAction] {
        if let player = player(waitingFor: nonce) {
            waiting[player]?.stage = .forAnswer(data)
            waiting[player]?.retryAt = nil
            return [.start(player, data)]
        }
        guard parkNonces.removeValue(forKey: nonce) != nil, hasLink, parked.count < Self.maxParked else {
            return [.closeData(data)]
        }
        // Somebody may wait already: no need to park.
        if let player = longestWaitingForData(), case .forData(let own)? = waiting[player]?.stage {
            parkNonces[own] = now + timing.nonce
            waiting[player]?.stage = .forAnswer(data)
            return [.start(player, data)]
        }
        parked.append(data)
        return []
    }

    /// A data connection ended before it carried a player's bytes both ways.
    public mutating func dataClosed(
        _ data: DataID, now: Instant, using random: inout some RandomNumberGenerator
    ) -> [DeskAction] {
        if let index = parked.firstIndex(of: data) {
            parked.remove(at: index)
            return []
        }
        guard let player = player(startedOn: data) else { return [] }
        // A parked connection may have died unnoticed: that is worth one fresh one.
        guard waiting[player]?.retryAt != nil, hasLink else {
            return turnAway(player, hasLink ? .slow : .agentAway)
        }
        return open(for: player, isRetry: true, now: now, using: &random)
    }

    public mutating func dataAnswered(_ data: DataID, _ answer: StartAnswer) -> [DeskAction] {
        guard let player = player(startedOn: data) else { return [.closeData(data)] }
        switch answer {
        case .ready:
            waiting[player] = nil
            playing.insert(player)
            return [.splice(player, data)]
        case .refused(let reason):
            return [.closeData(data)] + turnAway(player, Self.words(for: reason))
        }
    }

    // MARK: time

    /// When `tick` has something to do; nil for never.
    public var nextDue: Instant? {
        var due = waiting.values.map { min($0.deadline, $0.retryAt ?? $0.deadline) }
        due += parkNonces.values
        return due.min()
    }

    public mutating func tick(now: Instant, using random: inout some RandomNumberGenerator) -> [DeskAction] {
        var actions: [DeskAction] = []
        for (nonce, expiry) in parkNonces where expiry <= now {
            parkNonces[nonce] = nil
            actions.append(.forget(nonce))
        }
        for (player, state) in waiting {
            if state.deadline <= now {
                actions += giveUp(player, state)
            } else if let retryAt = state.retryAt, retryAt <= now {
                if case .forAnswer(let data) = state.stage { actions.append(.closeData(data)) }
                if case .forData(let nonce) = state.stage { actions.append(.forget(nonce)) }
                actions += open(for: player, isRetry: true, now: now, using: &random)
            }
        }
        return actions + refill(now: now, using: &random)
    }

    /// Whoever waits is told; parked connections are no players and are closed. Running players stay.
    public mutating func close(_ reason: OfflineReason) -> [DeskAction] {
        var actions: [DeskAction] = []
        for (player, state) in waiting {
            if case .forAnswer(let data) = state.stage { actions.append(.closeData(data)) }
            actions += turnAway(player, reason)
        }
        hasLink = false
        linkLostAt = nil
        return actions + dropParked()
    }

    // MARK: details

    private mutating func open(
        for player: PlayerID, isRetry: Bool = false, now: Instant,
        using random: inout some RandomNumberGenerator
    ) -> [DeskAction] {
        guard hasLink else { return turnAway(player, .agentAway) }
        let nonce = Nonce(loop: loop, using: &random)
        waiting[player]?.stage = .forData(nonce)
        waiting[player]?.retryAt = isRetry ? nil : now + timing.retry
        if !isRetry, let state = waiting[player] {
            let patience = state.isLogin ? timing.loginPatience : timing.statusPatience
            waiting[player]?.deadline = max(state.deadline, now + patience)
        }
        return [.expect(nonce), .send(.open(nonce, rendezvous))]
    }

    /// Keeps as many connections parked as recent demand suggests: one when it is quiet, at most eight.
    private mutating func refill(now: Instant, using random: inout some RandomNumberGenerator) -> [DeskAction]
    {
        recentJoins.removeAll { now.since($0) >= timing.demand }
        guard hasLink else { return [] }
        let target = min(Self.maxParked, 1 + recentJoins.count)
        let missing = target - parked.count - parkNonces.count
        guard missing > 0 else { return [] }
        let nonces = (0..<missing).map { _ in Nonce(loop: loop, using: &random) }
        for nonce in nonces { parkNonces[nonce] = now + timing.nonce }
        return nonces.map { .expect($0) } + [.send(.park(nonces, rendezvous))]
    }

    private mutating func giveUp(_ player: PlayerID, _ state: Waiting) -> [DeskAction] {
        var actions: [DeskAction] = []
        if case .forAnswer(let data) = state.stage { actions.append(.closeData(data)) }
        if case .forData(let nonce) = state.stage { actions.append(.forget(nonce)) }
        return actions + turnAway(player, hasLink ? .slow : .agentAway)
    }

    private mutating func turnAway(_ player: PlayerID, _ reason: OfflineReason) -> [DeskAction] {
        waiting[player] = nil
        return [.turnAway(player, reason)]
    }

    private mutating func dropParked() -> [DeskAction] {
        let actions = parked.map { DeskAction.closeData($0) } + parkNonces.keys.map { .forget($0) }
        parked = []
        parkNonces = [:]
        return actions
    }

    private func player(waitingFor nonce: Nonce) -> PlayerID? {
        waiting.first { $0.value.stage == .forData(nonce) }?.key
    }

    private func player(startedOn data: DataID) -> PlayerID? {
        waiting.first { $0.value.stage == .forAnswer(data) }?.key
    }

    private func longestWaitingForData() -> PlayerID? {
        waiting.filter { if case .forData = $0.value.stage { true } else { false } }
            .min { $0.value.deadline < $1.value.deadline }?.key
    }

    private static func words(for reason: RefusalReason) -> OfflineReason {
        switch reason {
        case .localServerUnreachable: .localServerAway
        case .busy: .full
        case .unspecified, .stopping, .rendezvousUnreachable: .agentAway
        }
    }
}
