import Core
import IO
import RelayCore
import Wire

/// One loop's share of the relay: its listener, the guests that have not said what they want, and the rooms of
/// the tunnels that live here.
final class RelayLoop {
    let number: UInt8
    let loop: EventLoop
    let context: RelayContext
    let pool: SplicePool
    var random = SystemRandomNumberGenerator()

    private var listeners: [Listener] = []
    private var rooms: [String: TunnelRoom] = [:]
    /// Which tunnel expects a nonce. One look takes it out.
    private var expected: [Nonce: String] = [:]
    private var nextNumber = 0
    /// What rooms that are gone by now have left to say to other relays.
    private var lastWords = LimitNews()
    /// TLS handshakes cost half a millisecond of CPU, and anybody may ask for one.
    private var handshakes: HandshakeBudget
    private var passageBudget: HandshakeBudget
    private var passages: [Int: Passage] = [:]

    init(number: UInt8, loop: EventLoop, context: RelayContext, pool: SplicePool = SplicePool()) {
        self.number = number
        self.pool = pool
        self.loop = loop
        self.context = context
        handshakes = HandshakeBudget(context.patience.handshakes)
        passageBudget = HandshakeBudget(context.patience.passages)
        countBytes()
    }

    /// Players stay for hours; what passes is counted while it does.
    private func countBytes() {
        for room in rooms.values { room.countBytes() }
        for passage in passages.values { passage.count() }
        loop.schedule(after: context.patience.count) { [weak self] in self?.countBytes() }
    }

    // MARK: listening

    /// Answers with the address that was bound (port 0 takes a free one).
    func listen(_ address: SocketAddress) throws(SystemError) -> SocketAddress {
        let metrics = context.metrics
        let listener = try Listener(
            loop: loop, address: address, onExhausted: { metrics.acceptPauses.add() }
        ) { [unowned self] descriptor, peer in
            metrics.accepted.add()
            let guest = Guest(self, descriptor: descriptor, peer: peer)
            // The loop keeps the guest by its stream, which the optimizer's check for weak references does not see.
            withExtendedLifetime(guest) { guest.start() }
        }
        listeners.append(listener)
        return listener.localAddress
    }

    func stopListening() {
        for listener in listeners { listener.closeWhenEmpty() }
        listeners = []
    }

    func beginHandshake() -> Bool { handshakes.begin(now: loop.now) }
    func endHandshake() { handshakes.end() }

    // MARK: what neighbours are meant to have

    func beginPassage() -> Bool { passageBudget.begin(now: loop.now) }
    func endPassage() { passageBudget.end() }

    func keep(_ passage: Passage, number: Int) { passages[number] = passage }
    func forget(passage number: Int) { passages[number] = nil }

    func forEachPassage(_ work: (Passage) -> Void) {
        for passage in Array(passages.values) { work(passage) }
    }

    // MARK: tunnels

    /// The tunnel's room, made when there is none.
    func room(_ tunnel: String, limits: Limits) -> TunnelRoom {
        if let room = rooms[tunnel] { return room }
        let room = TunnelRoom(self, tunnel: tunnel, limits: limits)
        rooms[tunnel] = room
        return room
    }

    /// Rooms and nonces that are kept now.
    var leftovers: Int { rooms.count + expected.count }

    func existingRoom(_ tunnel: String) -> TunnelRoom? { rooms[tunnel] }

    /// Drops a room that holds nothing.
    func leave(_ room: TunnelRoom) {
        guard rooms[room.tunnel] === room else { return }
        rooms[room.tunnel] = nil
        lastWords.add(room.lastWords)
    }

    func forEachRoom(_ work: (TunnelRoom) -> Void) {
        for room in Array(rooms.values) { work(room) }
    }

    func freshNumber() -> Int {
        nextNumber += 1
        return nextNumber
    }

    // MARK: other relays

    /// What another relay is answered.
    func answer(_ question: MeshQuestion) -> MeshAnswer {
        guard let room = rooms[question.tunnel], room.hasLink else {
            return context.routes.answer(question.tunnel, relay: context.relay.id)
        }
        return room.asked(question)
    }

    /// An agent told another relay that it will not bring the connection for this nonce.
    func refused(_ nonce: Nonce, _ reason: RefusalReason) {
        expected[nonce].flatMap { rooms[$0] }?.agentRefused(nonce, reason)
    }

    /// What other relays have to know about the limits of tunnels now.
    func limitNews() -> LimitNews {
        var news = lastWords
        lastWords = LimitNews()
        forEachRoom { $0.addLimitNews(to: &news) }
        return news
    }

    // MARK: nonces

    func expect(_ nonce: Nonce, for tunnel: String) { expected[nonce] = tunnel }
    func forget(_ nonce: Nonce) { expected[nonce] = nil }

    /// Burns the nonce: the second to bring it is a stranger.
    func burn(_ nonce: Nonce) -> TunnelRoom? {
        expected.removeValue(forKey: nonce).flatMap { rooms[$0] }
    }
}

/// How many TLS handshakes one loop takes part in, or how many connections it passes on: a cap on those under way and
/// on new ones a second.
struct HandshakeBudget {
    /// A handshake takes 0.25 to 0.5 ms of CPU: at `per_s` a flood of strangers costs a loop a quarter of its core at
    /// most. 10,000 agents that lose one of three relays of two loops each, and ask within ten seconds, knock at each of
    /// the four loops that are left 250 times a second: the bucket must not be what they wait for. Under way are those of a second and a far agent's round trips; each holds some
    /// 30 kB.
    struct Caps: Sendable {
        var underWay = 512
        /// New ones at once, after a quiet time.
        var burst = 1000
        var per_s = 500
    }

    private let caps: Caps
    private var underWay = 0
    private var tokens: Double
    private var refilled: Instant?

    init(_ caps: Caps) {
        self.caps = caps
        tokens = Double(caps.burst)
    }

    mutating func begin(now: Instant) -> Bool {
        if let refilled {
            tokens = min(
                Double(caps.burst), tokens + Double(caps.per_s * now.since(refilled).count) / 1000)
        }
        if refilled.map({ now.since($0).count > 0 }) ?? true { refilled = now }
        guard underWay < caps.underWay, tokens >= 1 else { return false }
        tokens -= 1
        underWay += 1
        return true
    }

    mutating func end() { underWay -= 1 }
}
