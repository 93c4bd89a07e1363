import Core
import Crypto
import IO
import RelayCore
import Synchronization
import TLS
import Wire

/// What all loops of one relay share: who it is, where tunnels are, whom to believe.
final class RelayContext: Sendable {
    let relay: RelayIdentity
    let policy: LinkPolicy
    /// Names this start of the relay.
    let run: String
    let routes = Routes()
    let metrics = RelayMetrics()
    let tls: TLSServerContext
    let links: LinkNews
    let usage: UsageLedger
    let forwards = Forwards()
    let patience: RelayPatience
    private let loops = Mutex<[RelayLoopDoor]>([])
    private let trustedKeys = Mutex<VerificationKeys?>(nil)
    private let meshDoor = Mutex<MeshDoor?>(nil)
    private let unknownKeyHandler = Mutex<(@Sendable () -> Void)?>(nil)
    private let drainingFlag = Atomic<Bool>(false)

    init(relay: RelayIdentity, tls: TLSServerContext, patience: RelayPatience = RelayPatience()) {
        self.relay = relay
        policy = LinkPolicy(relay: relay.id)
        self.patience = patience
        self.tls = tls
        links = LinkNews()
        run = String(
            decoding: (0..<16).map { _ in Base62.alphabet[SecureRandom.below(Base62.alphabet.count)] },
            as: UTF8.self)
        usage = UsageLedger(relay: relay.id, run: run)
    }

    /// The keys that tickets and assignments are signed with; nil until the control plane told them.
    var keys: VerificationKeys? {
        get { trustedKeys.withLock { $0 } }
        set { trustedKeys.withLock { $0 = newValue } }
    }

    /// The connections to other relays; nil before there are any to be.
    var mesh: MeshDoor? {
        get { meshDoor.withLock { $0 } }
        set { meshDoor.withLock { $0 = newValue } }
    }

    /// Called, on any loop, when a ticket names a key that is not known.
    func onUnknownKey(_ handler: @escaping @Sendable () -> Void) {
        unknownKeyHandler.withLock { $0 = handler }
    }

    /// The ticket in `text`, if it is good for this relay. An expired one is good for a day longer where it proves
    /// the placement that the relay itself knows as current: the agent comes back, and the control plane, which
    /// would issue a fresh one, may be away.
    func ticket(_ text: String, now: WallTime) throws(TicketError) -> Ticket {
        guard let keys else { throw .token(.signature(.unknownKey)) }
        let ticket: Ticket
        do throws(TicketError) {
            ticket = try Ticket.verify(text, relay: relay.id, keys: keys, now: now, grace_s: Ticket.grace_s)
        } catch {
            if case .token(.signature(.unknownKey)) = error { unknownKeyHandler.withLock { $0 }?() }
            throw error
        }
        guard policy.isInTime(ticket, under: routes.assignment(of: ticket.tunnel), now: now) else {
            throw .token(.expired)
        }
        return ticket
    }

    /// Takes a message about the region in, and tells the rooms of the tunnels that it changed.
    func apply(_ message: AssignmentMessage, fromControlPlane: Bool) -> RegionState.Outcome {
        let outcome = routes.apply(message, fromControlPlane: fromControlPlane)
        guard case .applied(let tunnels) = outcome else { return outcome }
        if message.tellsOfRelays { mesh?.post { $0.regionChanged() } }
        for tunnel in tunnels {
            let assignment = routes.assignment(of: tunnel)
            let newest = routes.generation(of: tunnel) ?? 0
            door(forTunnel: tunnel)?.post { relayLoop in
                relayLoop.existingRoom(tunnel)?.assignmentChanged(assignment, newest: newest)
            }
        }
        return outcome
    }

    /// A relay that this id names and that shares its entry with this one; nil when it is out of reach.
    func neighbour(_ id: String) -> RelayInfo? {
        guard id != relay.id, let other = routes.relay(id), other.sharedEntry,
            other.endpoint == relay.endpoint, other.meshAddress != nil,
            other.state == .active || other.state == .draining
        else { return nil }
        return other
    }

    var isDraining: Bool { drainingFlag.load(ordering: .relaxed) }

    /// From now on no new links.
    func beginDraining() { drainingFlag.store(true, ordering: .relaxed) }

    /// Over how long agents that are told at once are to spread what they ask the control plane: 200 a second.
    var migrationSpread: Milliseconds { Milliseconds(min(5000, metrics.links.current * 5)) }

    /// Has every loop count what passed until now, then calls `done` on `loop`.
    func countBytes(on loop: EventLoop, _ done: @escaping () -> Void) {
        let doors = loops.withLock { $0 }
        let back = LoopBound(Countdown(doors.count, done), loop)
        let mailbox = loop.mailbox
        for door in doors {
            door.post { relayLoop in
                relayLoop.forEachRoom { $0.countBytes() }
                mailbox.post { back.get($0).step() }
            }
        }
    }

    /// Has every loop say what other relays have to know about tunnels with limits, then calls `done` on `loop`.
    func gatherLimits(on loop: EventLoop, _ done: @escaping (LimitNews) -> Void) {
        let doors = loops.withLock { $0 }
        guard !doors.isEmpty else { return done(LimitNews()) }
        let gathered = LimitGathering(doors.count, done)
        let back = LoopBound(gathered, loop)
        let mailbox = loop.mailbox
        for door in doors {
            door.post { relayLoop in
                let news = relayLoop.limitNews()
                mailbox.post { back.get($0).add(news) }
            }
        }
    }

    func open(_ doors: [RelayLoopDoor]) { loops.withLock { $0 = doors } }

    /// Everything of one tunnel happens on one loop: its link, parked connections and players.
    func door(forTunnel tunnel: String) -> RelayLoopDoor? {
        let hash = tunnel.utf8.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        return loops.withLock { $0.isEmpty ? nil : $0[Int(hash % UInt64($0.count))] }
    }

    /// The loop that keeps a nonce with this first byte.
    func door(number: UInt8) -> RelayLoopDoor? {
        loops.withLock { Int(number) < $0.count ? $0[Int(number)] : nil }
    }

    func forEachLoop(_ work: @escaping @Sendable (RelayLoop) -> Void) {
        for door in loops.withLock({ $0 }) { door.post(work) }
    }
}

/// Calls once, after so many steps.
private final class Countdown {
    private var left: Int
    private let done: () -> Void

    init(_ count: Int, _ done: @escaping () -> Void) {
        left = count
        self.done = done
    }

    func step() {
        left -= 1
        if left == 0 { done() }
    }
}

/// Adds up what several loops say, and passes it on once.
private final class LimitGathering {
    private var news = LimitNews()
    private var left: Int
    private let done: (LimitNews) -> Void

    init(_ count: Int, _ done: @escaping (LimitNews) -> Void) {
        left = count
        self.done = done
    }

    func add(_ more: LimitNews) {
        news.add(more)
        left -= 1
        if left == 0 { done(news) }
    }
}

/// How long the relay waits for whom.
struct RelayPatience: Sendable {
    /// From the accepted connection to a whole first packet, preamble, or the first byte of TLS.
    var firstWords = Milliseconds.seconds(5)
    /// From there to a good ticket.
    var hello = Milliseconds.seconds(10)
    /// For a client that is turned away, until it has closed.
    var farewell = Milliseconds.seconds(10)
    /// A link that is silent for so long is asked whether it lives ...
    var pulse = Milliseconds.seconds(2)
    /// ... and given up after so much silence.
    var silence = Milliseconds.seconds(6)
    /// For a link at a relay that its placement does not name any more, until its agent has moved.
    var leaving = Milliseconds.seconds(30)
    /// Between two counts of the bytes that passed.
    var count = Milliseconds.seconds(1)
    /// Between two reports to other relays about tunnels with limits.
    var limits = Milliseconds.seconds(1)
    var desk = TunnelDesk.Timing()
    /// Data connections of one tunnel that wait for their player.
    var parked = TunnelDesk.usualParked
    var handshakes = HandshakeBudget.Caps()
    /// Connections that are passed on to neighbours.
    var passages = HandshakeBudget.Caps(underWay: 512, burst: 2000, per_s: 1000)
}

/// Who this relay is.
struct RelayIdentity: Sendable {
    let id: String
    let region: String
    /// What agents and players dial: "host:port".
    let endpoint: String
    /// Other relays take connections at the same endpoint, so that one may land on the wrong relay.
    var sharedEntry = false

    var rendezvous: Rendezvous { Rendezvous(relay: id, endpoint: endpoint) }
}

/// The way to a relay loop from any thread.
struct RelayLoopDoor: Sendable {
    let number: UInt8
    private let mailbox: Mailbox
    private let relayLoop: LoopBound<RelayLoop>

    init(_ relayLoop: RelayLoop) {
        number = relayLoop.number
        mailbox = relayLoop.loop.mailbox
        self.relayLoop = LoopBound(relayLoop, relayLoop.loop)
    }

    func post(_ work: @escaping @Sendable (RelayLoop) -> Void) {
        mailbox.post { loop in work(relayLoop.get(loop)) }
    }
}
