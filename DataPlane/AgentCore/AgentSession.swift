import Core
import Wire

/// One run of the agent, from finding its tunnel to keeping links to the tunnel's relays, as a value: events and
/// the time go in, actions come out. It owns no socket, clock or randomness.
///
/// The newest placement names the owner and perhaps a standby; the session keeps one link to each, and serves
/// players from whichever is up. Each link has its own watch and its own attempt, and there is one question to the
/// control plane at a time. What is lacking makes the next question due; what an answer no longer names is let go
/// only when the owner that it names has said WELCOME.
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
        case dial(LinkID, PlacedRelay)
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

    enum Mode: Sendable {
        case running
        /// Closed for want of players, until a person wants it open again.
        case asleep
        /// Another session serves the tunnel; this one's players play on.
        case finishing(until: Instant)
        case ended
    }

    enum Conversation: Sendable {
        case none
        case asking(CallID, ControlRequest)
        case probing(CallID)

        var isNone: Bool { if case .none = self { true } else { false } }
    }

    let options: Options
    var mode = Mode.running
    var conversation = Conversation.none
    /// When to ask for a placement, since something is lacking.
    var nextAsk: Instant?
    /// The control plane wants no question before.
    var quietUntil: Instant?
    /// When to fetch fresh tickets although nothing is lacking.
    var refreshAt: Instant?
    var tunnel: Tunnel?
    var tunnelsSoFar: [Tunnel] = []
    /// The newest one; its tickets are good for coming back while the control plane is away.
    var placement: Placement?
    /// Of the newest placement.
    var refusedTickets: Set<String> = []
    /// At most one to a relay.
    var links: [RelayLink] = []
    /// Relays that could not be reached, or that ended a link, since all links were up.
    var unreachable: [String] = []
    var backoff: Backoff
    /// The first relay that cannot be reached costs no wait: the one before has already spread the agents of a
    /// dead relay in time.
    var mayHurry = true
    /// The relay that people were told players come in through.
    var toldRelay: String?
    var wasReady = false
    var players = Players()
    private var lastNumber = 0

    public init(_ options: Options) {
        self.options = options
        backoff = Backoff(seed: options.seed)
    }

    /// When to come back with `.timePassed`.
    public var deadline: Instant? {
        switch mode {
        case .asleep, .ended: nil
        case .finishing(let until): until
        case .running:
            (links.map { $0.deadline } + [conversation.isNone ? questionDue : nil].compactMap { $0 }).min()
        }
    }

    /// When to ask the control plane again.
    var questionDue: Instant? {
        let due = (links.map { $0.askAt } + [nextAsk, refreshAt]).compactMap { $0 }.min()
        return due.map { max($0, quietUntil ?? $0) }
    }

    public var playerCount: Int { players.visits.count }

    public mutating func handle(_ event: Event, at now: Instant) -> [Action] {
        var actions: [Action] = []
        switch mode {
        case .running: handle(event, now, &actions)
        case .asleep: handleAsleep(event, now, &actions)
        case .finishing(let until): handleFinishing(event, until, now, &actions)
        case .ended: if case .interrupted = event { actions.append(.exit(0)) }
        }
        return actions
    }

    private mutating func handle(_ event: Event, _ now: Instant, _ actions: inout [Action]) {
        switch event {
        case .start:
            actions += [.tell(.starting(local: options.local)), .checkLocalServer]
            ask(now, &actions)
        case .answered(let call, let result): answered(call, result, now, &actions)
        case .probed(let call, let times): probed(call, times, &actions)
        case .linkOpened(let link): linkOpened(link, &actions)
        case .received(let link, let frame): received(link, frame, now, &actions)
        case .linkClosed(let link, let reason): linkClosed(link, reason, now, &actions)
        case .timePassed: timePassed(now, &actions)
        case .woken: break
        case .interrupted: interrupted(&actions)
        case .dataConnectionFailed, .dataConnectionEnded, .localServer, .playerJoined, .playerLeft:
            handlePlayers(event, now, &actions)
        }
        if case .running = mode { keepGoing(now, &actions) }
    }

    mutating func nextNumber() -> Int {
        lastNumber += 1
        return lastNumber
    }
}
