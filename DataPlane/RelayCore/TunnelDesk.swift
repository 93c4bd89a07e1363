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
    /// Whether that relay, which may have a link of the tunnel, has the agent bring a connection with this nonce
    /// here; to be answered by `answered`, also when it cannot be reached.
    case ask(String, PlayerID, Nonce, isLogin: Bool)
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
    /// Close both sides of a running player's connection, and report that the player left.
    case cut(PlayerID)
    /// Nobody has played for too long: the link has to go, and whoever comes is told that the tunnel sleeps.
    case sleep
}

/// Brings players of one tunnel together with data connections of its agent: which parked one is used, when an
/// OPEN goes out, which other relays are asked for one when there is no link here, how long anyone waits, who is
/// turned away with what words, when a tunnel without players is closed. A tunnel's link, parked connections and players all live on one loop, so one desk decides for all of
/// them.
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
        /// So long other relays are asked for a player, again and again.
        public var loginInquiry = Milliseconds.seconds(5)
        public var statusInquiry = Milliseconds(1500)
        public var inquiry = Inquiry.Timing()

        public init() {}
    }

    /// Where the tunnel's placement puts this relay.
    public struct Place: Sendable, Hashable {
        /// Only the owner's desk puts a tunnel to sleep: others do not see all of its players.
        public var isOwner: Bool
        /// Relays that may have a link of the tunnel, the likeliest first: owner, standby, previous owner, without
        /// this one.
        public var others: [String]

        public init(isOwner: Bool = true, others: [String] = []) {
            self.isOwner = isOwner
            self.others = others
        }

        /// Who has to know of this relay's players of a tunnel with `limits`: the owner, who grants bytes and knows
        /// when nobody plays, and where players are limited everybody who may come to let them in.
        public func listeners(limits: Limits) -> [String] {
            if limits.players != nil { return others }
            if isOwner || limits.bytes_per_s == nil && limits.idle_timeout_s == nil { return [] }
            return Array(others.prefix(1))
        }
    }

    private struct Waiting: Sendable {
        enum Stage: Sendable, Hashable {
            case forLink
            /// Other relays are asked.
            case forOthers(Nonce)
            case forData(Nonce)
            case forAnswer(DataID)
        }
        var stage: Stage
        let isLogin: Bool
        /// Their patience ends here, whatever they wait for.
        let end: Instant
        /// When they are turned away as things are: `end`, or earlier while there is no link.
        var deadline: Instant
        var retryAt: Instant?
        var triedAgain = false
        var inquiry: Inquiry?
        /// What other relays were told last. A connection with it came over another relay's link.
        var askedNonce: Nonce?
        /// Another relay counts this player; it is not asked to once more.
        var wasLetIn = false
        /// The agent key behind the data connection that is awaited or is to answer. Not known of another relay's
        /// link before its answer, which the connection may overtake.
        var agentKey: String?

        var isAsking: Bool { if case .forOthers = stage { true } else { false } }
        var isAsked: Bool { if case .forData(let nonce) = stage { nonce == askedNonce } else { false } }
    }

    private struct Playing: Sendable {
        /// A server-list ping is no player.
        let isLogin: Bool
        var agentKey: String?
        let askedNonce: Nonce?
    }

    /// A player at another relay.
    private struct Guest: Hashable, Sendable {
        let relay: String
        let player: UInt64
    }

    private let loop: UInt8
    private let rendezvous: Rendezvous
    private let timing: Timing
    public private(set) var limits: Limits
    public private(set) var hasLink = false
    public private(set) var place = Place()
    private var linkLostAt: Instant?
    /// The agent key of the link that is there, or was the last one: every nonce went out over it.
    private var agentKey: String?
    private var waiting: [PlayerID: Waiting] = [:]
    /// Spliced.
    private var playing: [PlayerID: Playing] = [:]
    private var loginsPlaying = 0
    /// Players at other relays, as far as this one lets them in or would if the owner were away.
    private var remote = RemotePlayers()
    /// Since when the owner has had a link and nobody playing or about to, anywhere; nil otherwise. Each link starts
    /// it anew.
    private var emptySince: Instant?
    /// Nobody knows yet whether somebody plays at another relay.
    private var awakeUntil: Instant?
    private var pool: ParkingPool
    /// With which nonce another relay's player was let in: when asked about them again, the newer takes its place.
    private var guests: [Guest: Nonce] = [:]
    /// Agent keys that are worth nothing any more.
    private var revokedKeys: [String] = []
    /// A tunnel that cannot bring connections is not let pile up players without end.
    private static let maxWaiting = 256

    /// How many data connections are kept ready ahead of need, unless the relay is told otherwise.
    public static let usualParked = ParkingPool.usualMost

    /// `loop` becomes the first byte of every nonce; `rendezvous` is this relay.
    public init(
        loop: UInt8, rendezvous: Rendezvous, limits: Limits, timing: Timing = Timing(),
        parked: Int = usualParked
    ) {
        pool = ParkingPool(most: parked)
        self.loop = loop
        self.rendezvous = rendezvous
        self.limits = limits
        self.timing = timing
    }

    public var parkedCount: Int { pool.parkedCount }
    /// Nothing to remember.
    public var isIdle: Bool { !hasLink && waiting.isEmpty && playing.isEmpty && pool.isEmpty }

    // MARK: the link

    public mutating func linkUp(
        agentKey: String?, limits: Limits, now: Instant, using random: inout some RandomNumberGenerator
    ) -> [DeskAction] {
        hasLink = true
        linkLostAt = nil
        self.agentKey = agentKey
        emptySince = nil
        self.limits = limits
        var actions: [DeskAction] = [.send(.welcome(limits))]
        // Connections parked for the link before may lead to an agent that is gone.
        actions += dropParked()
        for (player, state) in inOrder({ _ in true }) {
            switch state.stage {
            case .forLink: actions += open(for: player, now: now, using: &random)
            case .forOthers(let nonce):
                if mustAskOwner(isLogin: state.isLogin) { break }
                actions.append(.forget(nonce))
                actions += open(for: player, now: now, using: &random)
            // Another relay's link brings it.
            case .forData where state.isAsked: break
            case .forData(let nonce):
                // The link that was to bring it is gone, and its agent may be too.
                actions.append(.forget(nonce))
                actions += open(for: player, now: now, using: &random)
            case .forAnswer: break
            }
        }
        noteEmptiness(now)
        return actions + adjustPool(now: now, using: &random)
    }

    /// The agent brought a newer ticket on its open link.
    public mutating func linkRenewed(
        agentKey: String?, limits: Limits, now: Instant, using random: inout some RandomNumberGenerator
    ) -> [DeskAction] {
        // What came with another key must not be taken for this one's.
        guard hasLink, agentKey == self.agentKey else {
            return linkUp(agentKey: agentKey, limits: limits, now: now, using: &random)
        }
        self.limits = limits
        return [.send(.welcome(limits))]
    }

    /// The placement changed.
    public mutating func placeChanged(_ place: Place, now: Instant) {
        guard place != self.place else { return }
        self.place = place
        noteEmptiness(now)
    }

    public mutating func linkLost(now: Instant) -> [DeskAction] {
        guard hasLink else { return [] }
        hasLink = false
        linkLostAt = now
        emptySince = nil
        return dropParked()
    }

    public mutating func limitsChanged(_ limits: Limits, now: Instant) -> [DeskAction] {
        guard limits != self.limits else { return [] }
        // Other relays report players to whom it matters: not before they know that it does.
        if self.limits.idle_timeout_s == nil { awakeUntil = now + Self.reportsBegin }
        self.limits = limits
        return hasLink ? [.send(.limits(limits))] : []
    }

    /// These agent keys are worth nothing any more. What came with them ends: the link, parked connections, waits
    /// for a connection, and running players. What came with another key stays.
    public mutating func revoked(_ keys: [String]) -> [DeskAction] {
        revokedKeys = keys
        guard !keys.isEmpty else { return [] }
        var actions: [DeskAction] = []
        let linkIsRevoked = isRevoked(agentKey)
        for (player, state) in inOrder({ _ in true }) {
            let isOver =
                switch state.stage {
                case .forLink: linkIsRevoked
                case .forOthers: false
                case .forData, .forAnswer: isRevoked(state.agentKey)
                }
            if isOver { actions += letGo(of: state.stage) + turnAway(player, .agentAway) }
        }
        if linkIsRevoked {
            hasLink = false
            linkLostAt = nil
            agentKey = nil
            emptySince = nil
            actions += dropParked()
        }
        let cut = playing.filter { isRevoked($0.value.agentKey) }.keys
        return actions + cut.sorted { $0.number < $1.number }.map { .cut($0) }
    }

    private func isRevoked(_ key: String?) -> Bool { key.map { revokedKeys.contains($0) } ?? false }

    /// The agent said that it will not bring the connection for this nonce.
    public mutating func refused(_ nonce: Nonce, _ reason: RefusalReason, now: Instant) -> [DeskAction] {
        defer { noteEmptiness(now) }
        if pool.failed(nonce, now: now) { return [.forget(nonce)] }
        guard let player = player(waitingFor: nonce) else { return [] }
        return [.forget(nonce)] + turnAway(player, Self.words(for: reason))
    }

    // MARK: players

    public mutating func playerArrived(
        _ player: PlayerID, isLogin: Bool, now: Instant, using random: inout some RandomNumberGenerator
    ) -> [DeskAction] {
        // Who has to ask the owner trusts what it counts, not what it said of others a second ago.
        if isLogin, mustAskOwner(isLogin: true) ? isFullHere : isFull { return [.turnAway(player, .full)] }
        defer { noteEmptiness(now) }
        guard waiting.count < Self.maxWaiting else { return [.turnAway(player, .full)] }
        let end = now + (isLogin ? timing.loginPatience : timing.statusPatience)
        waiting[player] = Waiting(stage: .forLink, isLogin: isLogin, end: end, deadline: end)
        if mustAskOwner(isLogin: isLogin) {
            return ask(Array(place.others.prefix(1)), for: player, now: now, using: &random)
        }
        guard hasLink else { return open(for: player, now: now, using: &random) }
        return serve(player, now: now, using: &random)
    }

    /// Over the link that is here: by a parked connection if there is one.
    private mutating func serve(
        _ player: PlayerID, now: Instant, using random: inout some RandomNumberGenerator
    ) -> [DeskAction] {
        pool.joined(now: now)
        guard let data = pool.take() else {
            return open(for: player, now: now, using: &random) + adjustPool(now: now, using: &random)
        }
        waiting[player]?.stage = .forAnswer(data)
        waiting[player]?.agentKey = agentKey
        // It may have died unnoticed while it was parked.
        waiting[player]?.retryAt = now + timing.retry
        return [.start(player, data)] + adjustPool(now: now, using: &random)
    }

    /// The player's connection ended, while waiting or after playing.
    public mutating func playerLeft(_ player: PlayerID, now: Instant) -> [DeskAction] {
        defer { noteEmptiness(now) }
        if playing.removeValue(forKey: player)?.isLogin == true { loginsPlaying -= 1 }
        guard let left = waiting.removeValue(forKey: player) else { return [] }
        switch left.stage {
        case .forLink: return []
        case .forOthers(let nonce): return [.forget(nonce)]
        case .forData(let nonce) where left.isAsked: return [.forget(nonce)]
        case .forData(let nonce):
            // The connection under way becomes a parked one, if there is use for it.
            guard hasLink, pool.adopt(nonce, until: left.end) else { return [.forget(nonce)] }
            return []
        case .forAnswer(let data): return [.closeData(data)]
        }
    }

    // MARK: players at other relays

    /// Players who were let in here: what other relays are told. Whoever still waits to be let in is none.
    public var loginsLetIn: Int {
        loginsPlaying
            + waiting.values.count {
                guard $0.isLogin else { return false }
                return switch $0.stage {
                case .forLink: false
                case .forOthers: $0.wasLetIn
                case .forData, .forAnswer: true
                }
            }
    }

    /// Players at other relays, as far as this one knows.
    public var loginsElsewhere: Int { remote.logins }

    /// Whether a player who waits at `relay` may come, who counts as there from now on. Asking again about the same
    /// nonce changes nothing.
    public mutating func letIn(_ nonce: Nonce, isLogin: Bool, at relay: String, now: Instant) -> Bool {
        guard isLogin, !remote.isAdmitted(nonce) else { return true }
        guard !isFull, limits.players == nil || !remote.isCrowded else { return false }
        remote.admit(nonce, at: relay, now: now)
        noteEmptiness(now)
        return true
    }

    /// `players` are at `relay`. It had heard of those who were `settled` when it counted.
    public mutating func playersReported(
        _ players: Int, at relay: String, settled: [Nonce] = [], now: Instant
    ) {
        remote.settled(settled, at: relay)
        remote.reported(players, at: relay, now: now)
        noteEmptiness(now)
    }

    /// The relay heard of these, and has said all it has to say about this tunnel.
    public mutating func playersSettled(_ nonces: [Nonce], at relay: String, now: Instant) {
        remote.settled(nonces, at: relay)
        noteEmptiness(now)
    }

    public mutating func relayGone(_ relay: String, now: Instant) {
        remote.forget(relay)
        noteEmptiness(now)
    }

    // MARK: other relays

    /// What another relay said to `ask`; `noLink` also when it could not be reached.
    public mutating func answered(
        _ player: PlayerID, _ nonce: Nonce, by relay: String, _ answer: MeshAnswer, now: Instant,
        using random: inout some RandomNumberGenerator
    ) -> [DeskAction] {
        defer { noteEmptiness(now) }
        // A relay that hung answers after another has brought the player: its agent brings nobody any more.
        if case .opened(let key) = answer, let state = playing[player], state.askedNonce == nonce {
            guard state.agentKey == nil else { return [] }
            playing[player]?.agentKey = key
            return isRevoked(key) ? [.cut(player)] : []
        }
        guard var state = waiting[player], state.askedNonce == nonce else { return [] }
        if case .opened(let key) = answer {
            if !state.isAsking, state.agentKey != nil { return [] }
            // A key that is worth nothing brought it: somebody has not heard of that yet.
            if isRevoked(key) { return letGo(of: state.stage) + turnAway(player, .agentAway) }
            state.agentKey = key
            state.wasLetIn = true
            if case .forOthers = state.stage {
                state.stage = .forData(nonce)
                state.inquiry = nil
                state.deadline = state.end
                state.retryAt = state.triedAgain ? nil : now + timing.retry
            }
            waiting[player] = state
            return []
        }
        guard case .forOthers = state.stage else { return [] }
        switch answer {
        case .opened: return []
        case .noLink:
            let step = waiting[player]?.inquiry?.declined(by: relay, now: now)
            return step.map { follow($0, for: player, now: now, using: &random) } ?? []
        case .full: return [.forget(nonce)] + turnAway(player, .full)
        case .asleep: return [.forget(nonce)] + turnAway(player, .asleep)
        case .suspended: return [.forget(nonce)] + turnAway(player, .suspended)
        }
    }

    /// Another relay asks for a player of its own. Answered from the link that is here: a question never goes on.
    public mutating func asked(_ question: MeshQuestion, now: Instant) -> (MeshAnswer, [DeskAction]) {
        guard hasLink else { return (.noLink, []) }
        let relay = question.rendezvous.relay
        let guest = Guest(relay: relay, player: question.player)
        if question.isLogin {
            guests = guests.filter { remote.isAdmitted($0.value) }
            if let before = guests[guest], before != question.nonce { remote.settled([before], at: relay) }
        }
        guard letIn(question.nonce, isLogin: question.isLogin, at: relay, now: now) else {
            return (.full, [])
        }
        if question.isLogin { guests[guest] = question.nonce }
        return (.opened(agentKey: agentKey), [.send(.open(question.nonce, question.rendezvous))])
    }

    /// The owner counts a tunnel's players wherever they are: with a limit on them, it decides.
    private func mustAskOwner(isLogin: Bool) -> Bool {
        hasLink && isLogin && !place.isOwner && limits.players != nil && !place.others.isEmpty
    }

    private mutating func ask(
        _ relays: [String], for player: PlayerID, now: Instant,
        using random: inout some RandomNumberGenerator
    ) -> [DeskAction] {
        guard var state = waiting[player] else { return [] }
        let nonce = Nonce(loop: loop, using: &random)
        let (inquiry, step) = Inquiry.begin(relays, timing: timing.inquiry, now: now)
        state.stage = .forOthers(nonce)
        state.inquiry = inquiry
        state.askedNonce = nonce
        state.agentKey = nil
        state.retryAt = nil
        state.deadline = min(state.end, now + (state.isLogin ? timing.loginInquiry : timing.statusInquiry))
        waiting[player] = state
        return [.expect(nonce)] + follow(step, for: player, now: now, using: &random)
    }

    private mutating func follow(
        _ step: Inquiry.Step, for player: PlayerID, now: Instant,
        using random: inout some RandomNumberGenerator
    ) -> [DeskAction] {
        guard let state = waiting[player], case .forOthers(let nonce) = state.stage else { return [] }
        switch step {
        case .ask(let relay):
            return [.ask(relay, player, nonce, isLogin: state.isLogin && !state.wasLetIn)]
        // The owner is silent or has no link: this relay's own link counts.
        case .roundIsOver where hasLink:
            waiting[player]?.inquiry = nil
            waiting[player]?.askedNonce = nil
            waiting[player]?.deadline = state.end
            // The player counts among those who wait here already.
            if state.isLogin, let cap = limits.players, logins + remote.logins > cap {
                return [.forget(nonce)] + turnAway(player, .full)
            }
            return [.forget(nonce)] + serve(player, now: now, using: &random)
        case .roundIsOver: return []
        }
    }

    // MARK: data connections

    /// A data connection brought a nonce that this desk expected. Its loop has forgotten the nonce.
    public mutating func dataArrived(_ data: DataID, nonce: Nonce, now: Instant) -> [DeskAction] {
        if let player = player(waitingFor: nonce) { return start(player, on: data) }
        guard pool.arrived(nonce), hasLink else { return [.closeData(data)] }
        // Somebody may wait already: no need to park. Their own connection is parked when it comes.
        if let player = longestWaitingForData(), case .forData(let own)? = waiting[player]?.stage,
            pool.adopt(own, until: now + timing.nonce)
        {
            waiting[player]?.agentKey = agentKey
            return start(player, on: data)
        }
        return pool.park(data, now: now) ? [] : [.closeData(data)]
    }

    /// A data connection ended before it carried a player's bytes both ways.
    public mutating func dataClosed(
        _ data: DataID, now: Instant, using random: inout some RandomNumberGenerator
    ) -> [DeskAction] {
        defer { noteEmptiness(now) }
        if pool.closed(data, now: now) { return adjustPool(now: now, using: &random) }
        guard let player = player(startedOn: data) else { return [] }
        guard waiting[player]?.triedAgain == false else {
            return turnAway(player, hasLink || waiting[player]?.askedNonce != nil ? .slow : .agentAway)
        }
        return tryAgain(player, now: now, using: &random)
    }

    public mutating func dataAnswered(_ data: DataID, _ answer: StartAnswer, now: Instant) -> [DeskAction] {
        defer { noteEmptiness(now) }
        guard let player = player(startedOn: data) else { return [.closeData(data)] }
        switch answer {
        case .ready:
            let state = waiting.removeValue(forKey: player)
            let isLogin = state?.isLogin ?? false
            playing[player] = Playing(
                isLogin: isLogin, agentKey: state?.agentKey, askedNonce: state?.askedNonce)
            if isLogin { loginsPlaying += 1 }
            return [.splice(player, data)]
        case .refused(let reason):
            return [.closeData(data)] + turnAway(player, Self.words(for: reason))
        }
    }

    // MARK: time

    /// When `tick` has something to do; nil for never.
    public var nextDue: Instant? {
        let players = waiting.values.lazy.map {
            min($0.deadline, $0.retryAt ?? $0.deadline, $0.inquiry?.due ?? $0.deadline)
        }.min()
        return [players, pool.nextDue(hasLink: hasLink), sleepAt, remote.nextDue].compactMap { $0 }.min()
    }

    public mutating func tick(now: Instant, using random: inout some RandomNumberGenerator) -> [DeskAction] {
        var actions: [DeskAction] = pool.expire(now: now).map { .forget($0) }
        for (player, state) in inOrder({ $0.deadline <= now }) {
            let isSlow = hasLink || state.askedNonce != nil && state.inquiry == nil
            actions += letGo(of: state.stage) + turnAway(player, isSlow ? .slow : .agentAway)
        }
        for (player, _) in inOrder({ $0.inquiry.map { $0.due <= now } ?? false }) {
            let step = waiting[player]?.inquiry?.tick(now: now, relays: place.others)
            if let step { actions += follow(step, for: player, now: now, using: &random) }
        }
        for (player, state) in inOrder({ $0.retryAt.map { $0 <= now } ?? false }) {
            actions += letGo(of: state.stage) + tryAgain(player, now: now, using: &random)
        }
        remote.expire(now: now)
        noteEmptiness(now)
        if let sleepAt, sleepAt <= now { return actions + close(.asleep) + [.sleep] }
        return actions + adjustPool(now: now, using: &random)
    }

    /// The tunnel is no more, or not for now: whoever waits is told, parked connections are closed, and so are
    /// running players.
    public mutating func end(_ reason: OfflineReason) -> [DeskAction] {
        close(reason) + playing.keys.sorted { $0.number < $1.number }.map { .cut($0) }
    }

    /// When the tunnel has been without a player for as long as its limits allow.
    private var sleepAt: Instant? {
        guard let emptySince, let limit_s = limits.idle_timeout_s else { return nil }
        return max(emptySince + .seconds(min(limit_s, Self.maxIdle_s)), awakeUntil ?? emptySince)
    }

    private static let reportsBegin = Milliseconds.seconds(5)

    /// As much as the wire can say.
    private static let maxIdle_s = Int(UInt32.max)

    /// Players who are in and those on their way in; who only looks at the server list is none.
    private var logins: Int { loginsPlaying + waiting.values.count(where: { $0.isLogin }) }

    private var isFull: Bool { limits.players.map { logins + remote.logins >= $0 } ?? false }
    private var isFullHere: Bool { limits.players.map { logins >= $0 } ?? false }

    private mutating func noteEmptiness(_ now: Instant) {
        let isEmpty = hasLink && place.isOwner && logins == 0 && remote.logins == 0
        emptySince = isEmpty ? emptySince ?? now : nil
    }

    /// Whoever waits is told; parked connections are no players and are closed. Running players stay.
    public mutating func close(_ reason: OfflineReason) -> [DeskAction] {
        var actions: [DeskAction] = []
        for (player, state) in inOrder({ _ in true }) {
            actions += letGo(of: state.stage) + turnAway(player, reason)
        }
        hasLink = false
        linkLostAt = nil
        emptySince = nil
        return actions + dropParked()
    }

    // MARK: details

    private mutating func open(
        for player: PlayerID, now: Instant, using random: inout some RandomNumberGenerator
    ) -> [DeskAction] {
        guard hasLink, var state = waiting[player] else {
            if place.others.isEmpty { return waitForLink(player, now: now) }
            return ask(place.others, for: player, now: now, using: &random)
        }
        let nonce = Nonce(loop: loop, using: &random)
        state.stage = .forData(nonce)
        state.retryAt = state.triedAgain ? nil : now + timing.retry
        state.deadline = state.end
        state.inquiry = nil
        state.askedNonce = nil
        state.agentKey = agentKey
        waiting[player] = state
        return [.expect(nonce), .send(.open(nonce, rendezvous))]
    }

    /// The one fresh OPEN that a player gets.
    private mutating func tryAgain(
        _ player: PlayerID, now: Instant, using random: inout some RandomNumberGenerator
    ) -> [DeskAction] {
        waiting[player]?.triedAgain = true
        return open(for: player, now: now, using: &random)
    }

    private mutating func waitForLink(_ player: PlayerID, now: Instant) -> [DeskAction] {
        guard let linkLostAt, now.since(linkLostAt) < timing.linkPatience, var state = waiting[player] else {
            return turnAway(player, .agentAway)
        }
        state.stage = .forLink
        state.retryAt = nil
        state.inquiry = nil
        state.deadline = min(state.end, linkLostAt + timing.linkPatience)
        waiting[player] = state
        return []
    }

    /// On a connection that the agent dialled just now.
    private mutating func start(_ player: PlayerID, on data: DataID) -> [DeskAction] {
        waiting[player]?.stage = .forAnswer(data)
        waiting[player]?.retryAt = nil
        waiting[player]?.inquiry = nil
        if let end = waiting[player]?.end { waiting[player]?.deadline = end }
        return [.start(player, data)]
    }

    private mutating func adjustPool(now: Instant, using random: inout some RandomNumberGenerator)
        -> [DeskAction]
    {
        guard hasLink else { return [] }
        let surplus = pool.shrink(now: now).map { DeskAction.closeData($0) }
        let missing = pool.missing(now: now)
        guard missing > 0 else { return surplus }
        let nonces = (0..<missing).map { _ in Nonce(loop: loop, using: &random) }
        for nonce in nonces { _ = pool.adopt(nonce, until: now + timing.nonce) }
        return surplus + nonces.map { .expect($0) } + [.send(.park(nonces, rendezvous))]
    }

    private func letGo(of stage: Waiting.Stage) -> [DeskAction] {
        switch stage {
        case .forLink: []
        case .forOthers(let nonce), .forData(let nonce): [.forget(nonce)]
        case .forAnswer(let data): [.closeData(data)]
        }
    }

    private mutating func turnAway(_ player: PlayerID, _ reason: OfflineReason) -> [DeskAction] {
        waiting[player] = nil
        return [.turnAway(player, reason)]
    }

    private mutating func dropParked() -> [DeskAction] {
        let dropped = pool.clear()
        return dropped.parked.map { .closeData($0) } + dropped.nonces.map { .forget($0) }
    }

    /// First come, first served.
    private func inOrder(_ isMeant: (Waiting) -> Bool) -> [(PlayerID, Waiting)] {
        waiting.filter { isMeant($0.value) }.map { ($0.key, $0.value) }
            .sorted { $0.0.number < $1.0.number }
    }

    private func player(waitingFor nonce: Nonce) -> PlayerID? {
        waiting.first { $0.value.stage == .forData(nonce) || $0.value.stage == .forOthers(nonce) }?.key
    }

    private func player(startedOn data: DataID) -> PlayerID? {
        waiting.first { $0.value.stage == .forAnswer(data) }?.key
    }

    private func longestWaitingForData() -> PlayerID? {
        waiting.filter { if case .forData = $0.value.stage { !$0.value.isAsked } else { false } }
            .min { $0.key.number < $1.key.number }?.key
    }

    private static func words(for reason: RefusalReason) -> OfflineReason {
        switch reason {
        case .localServerUnreachable: .localServerAway
        case .busy: .full
        case .unspecified, .stopping, .rendezvousUnreachable: .agentAway
        }
    }
}
