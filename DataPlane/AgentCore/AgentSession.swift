import Core
import Wire

/// One run of the agent, from finding its tunnel to keeping a link to the tunnel's relay, as a value: events and
/// the time go in, actions come out. It owns no socket, clock or randomness.
///
/// At any time there is at most one link that serves (`active`) and one attempt to get one (`attempt`). A MIGRATE
/// starts an attempt while the active link stays; everything else starts one when there is no active link.
public struct AgentSession: Sendable {
    public struct Options: Sendable {
        /// This run's id, by which the control plane knows that a question comes from the same agent again.
        public var session: String
        /// nil: the account's only tunnel, or a new one.
        public var label: String?
        /// nil: the nearest.
        public var region: String?
        public var local: Endpoint
        /// For the jitter of waiting times.
        public var seed: UInt64
        /// Data connections at a time, parked ones included.
        public var maxDataConnections: Int
        /// Whether a person is there to open the tunnel again after it was closed for want of players.
        public var canWake: Bool

        public init(
            session: String, label: String? = nil, region: String? = nil, local: Endpoint, seed: UInt64,
            maxDataConnections: Int, canWake: Bool = false
        ) {
            self.session = session
            self.label = label
            self.region = region
            self.local = local
            self.seed = seed
            self.maxDataConnections = maxDataConnections
            self.canWake = canWake
        }
    }

    public enum Event: Sendable {
        case start
        /// Each call and probe gets exactly one answer.
        case answered(CallID, Result<ControlAnswer, ControlFailure>)
        case probed(CallID, [RegionTime])
        /// TCP and TLS are done and the relay's certificate is the right one.
        case linkOpened(LinkID)
        case received(LinkID, LinkFrame)
        /// Once for every link that was dialled and that this session did not close itself.
        case linkClosed(LinkID, reason: String)
        case dataConnectionFailed(DataRequest, RefusalReason)
        /// Once for every data connection asked for, failed ones included.
        case dataConnectionEnded(DataRequest)
        /// What a dial home came to: for a player, or the look at the start.
        case localServer(answers: Bool, forPlayer: Bool)
        case playerJoined(Visit)
        case playerLeft(Int)
        case timePassed
        /// The person whom `awaitWake` asked for.
        case woken
        case interrupted
    }

    public enum Action: Sendable, Hashable {
        case call(CallID, ControlRequest)
        /// Measure how long connecting to these takes.
        case probe(CallID, [Region])
        case checkLocalServer
        case dial(LinkID, Placement)
        case send(LinkID, LinkFrame)
        /// After what was sent; no `linkClosed` follows.
        case closeLink(LinkID)
        case bring(DataRequest)
        /// Data connections that this link asked for and that no player uses.
        case closeParked(LinkID)
        case tell(Notice)
        /// The tunnel is closed until a person wants it open: tell when they do.
        case awaitWake
        case exit(Int32)
    }

    /// Names one question to the control plane or one round of probes.
    public struct CallID: Sendable, Hashable {
        public let number: Int

        public init(_ number: Int) { self.number = number }
    }

    enum Attempt: Sendable {
        case none
        case asking(CallID, ControlRequest)
        case probing(CallID)
        case linking(LinkID, Placement, deadline: Instant)
        case waiting(until: Instant)

        var isNone: Bool { if case .none = self { true } else { false } }
    }

    struct ActiveLink: Sendable {
        let id: LinkID
        let placement: Placement
        let since: Instant
        var watch: LinkWatch
        var limits: Limits
    }

    let options: Options
    var attempt = Attempt.none
    var active: ActiveLink?
    var tunnel: Tunnel?
    /// The newest placement with its ticket, good for coming back while the control plane is away.
    var held: Placement?
    /// Relays that could not be reached since the last time that one could.
    var unreachable: [String] = []
    var backoff: Backoff
    /// The first relay that cannot be reached costs no wait: the one before has already spread the agents of a
    /// dead relay in time.
    var mayHurry = true
    var tunnelsSoFar: [Tunnel] = []
    var isEnded = false
    private var isAsleep = false
    private var lastNumber = 0
    private var dataConnections = 0
    private var visits: [Int: (visit: Visit, since: Instant)] = [:]
    private var localServerAnswers: Bool?
    private var lastLocalWarning: Instant?

    /// A relay gets so long from the dial to WELCOME.
    static let linkLimit = Milliseconds.seconds(8)
    /// A link that lasted so long was a good one: the next wait is short again.
    static let goodLink = Milliseconds.seconds(10)
    static let maxExcluded = 8
    /// Neither what the person asked for nor a failure.
    static let asleepExit: Int32 = 3
    private static let localWarningPause = Milliseconds.seconds(30)

    public init(_ options: Options) {
        self.options = options
        backoff = Backoff(seed: options.seed)
    }

    /// When to come back with `.timePassed`.
    public var deadline: Instant? {
        var next: Instant?
        switch attempt {
        case .none, .asking, .probing: break
        case .linking(_, _, let deadline): next = deadline
        case .waiting(let until): next = until
        }
        guard let watch = active?.watch.deadline else { return next }
        return next.map { min($0, watch) } ?? watch
    }

    public var playerCount: Int { visits.count }

    public mutating func handle(_ event: Event, at now: Instant) -> [Action] {
        guard !isEnded else {
            if case .interrupted = event { return [.exit(0)] }
            return []
        }
        var actions: [Action] = []
        switch event {
        case .start:
            actions += [.tell(.starting(local: options.local)), .checkLocalServer]
            begin(&actions)
        case .answered(let call, let result): answered(call, result, now, &actions)
        case .probed(let call, let times): probed(call, times, now, &actions)
        case .linkOpened(let link): linkOpened(link, &actions)
        case .received(let link, let frame): received(link, frame, now, &actions)
        case .linkClosed(let link, let reason): linkClosed(link, reason, now, &actions)
        case .dataConnectionFailed(let request, let reason): refuse(request, reason, &actions)
        case .dataConnectionEnded: dataConnections -= 1
        case .localServer(let answers, let forPlayer): localServer(answers, forPlayer, now, &actions)
        case .playerJoined(let visit):
            visits[visit.id] = (visit, now)
            actions.append(.tell(.playerJoined(visit, players: visits.count)))
        case .playerLeft(let id):
            guard let stay = visits.removeValue(forKey: id) else { break }
            actions.append(
                .tell(.playerLeft(stay.visit, players: visits.count, stay: now.since(stay.since))))
        case .timePassed: timePassed(now, &actions)
        case .woken:
            guard isAsleep else { break }
            isAsleep = false
            begin(&actions)
        case .interrupted:
            actions.append(.tell(.stopping(players: visits.count)))
            end(exitCode: 0, &actions)
        }
        return actions
    }

    // MARK: data connections and players

    mutating func bring(_ request: DataRequest, _ actions: inout [Action]) {
        guard dataConnections < options.maxDataConnections else { return refuse(request, .busy, &actions) }
        dataConnections += 1
        actions.append(.bring(request))
    }

    /// On the link that asked, if it is still there: the player need not wait for the relay's own deadline.
    private func refuse(_ request: DataRequest, _ reason: RefusalReason, _ actions: inout [Action]) {
        guard active?.id == request.link else { return }
        actions.append(.send(request.link, .refuse(request.nonce, request.rendezvous, reason)))
    }

    /// Tells when the local server goes away and comes back; while it is away, not for every player.
    private mutating func localServer(
        _ answers: Bool, _ forPlayer: Bool, _ now: Instant, _ actions: inout [Action]
    ) {
        let before = localServerAnswers
        localServerAnswers = answers
        if answers {
            lastLocalWarning = nil
            if before == false { actions.append(.tell(.localServerBack(options.local))) }
            return
        }
        if let lastLocalWarning, now < lastLocalWarning + Self.localWarningPause { return }
        lastLocalWarning = now
        actions.append(.tell(.localServerSilent(options.local, playerWaits: forPlayer)))
    }

    // MARK: sleep

    /// The relay closed the tunnel: nobody had played for `idle_s`. With nobody there to open it again, it ends.
    mutating func fallAsleep(idle_s: Int?, _ now: Instant, _ actions: inout [Action]) {
        // They came through a relay that this one does not know of.
        guard visits.isEmpty else { return wait("players are still here", now, &actions) }
        if case .linking(let link, _, _) = attempt { actions.append(.closeLink(link)) }
        attempt = .none
        backoff.reset()
        actions.append(
            .tell(.asleep(address: tunnel?.hostname ?? "", idle_s: idle_s, canWake: options.canWake)))
        guard options.canWake else {
            isEnded = true
            return actions.append(.exit(Self.asleepExit))
        }
        isAsleep = true
        actions.append(.awaitWake)
    }

    // MARK: shared by the parts

    mutating func nextNumber() -> Int {
        lastNumber += 1
        return lastNumber
    }

    /// Stops for a reason that only a person can remove.
    mutating func fail(_ failure: AgentFailure, _ actions: inout [Action]) {
        actions.append(.tell(.failed(failure)))
        end(exitCode: 1, &actions)
    }

    private mutating func end(exitCode: Int32, _ actions: inout [Action]) {
        if let active {
            actions.append(.send(active.id, .goAway(reconnectIn: Milliseconds(0), .stopping)))
            actions.append(.closeLink(active.id))
        }
        if case .linking(let link, _, _) = attempt { actions.append(.closeLink(link)) }
        active = nil
        attempt = .none
        isEnded = true
        actions.append(.exit(exitCode))
    }

    /// `asked` is what the other side wants; otherwise the wait grows with each failure.
    mutating func wait(
        _ reason: String, asked: Milliseconds? = nil, atOnce: Bool = false, _ now: Instant,
        _ actions: inout [Action]
    ) {
        var time = atOnce ? Milliseconds(0) : backoff.next()
        if let asked { time = max(time, backoff.spread(asked)) }
        attempt = .waiting(until: now + time)
        actions.append(.tell(.reconnecting(after: time, reason: reason)))
    }
}
