import Core
import IO
import RelayCore
import TLS
import Wire

/// This relay's connections to the others of its region: one dialled to each that is active or draining, and those
/// that the others dialled. Asks them for players whose tunnel has its link there, and has the rooms here answer what
/// they ask. Lives on the relay's first loop; `MeshDoor` is the way to it.
final class Mesh {
    let loop: EventLoop
    let context: RelayContext
    private let own: OwnCertificate
    /// By relay id.
    private var peers: [String: Peer] = [:]
    /// The newest that each relay dialled, with the certificate it showed, by relay id.
    private var accepted: [String: (connection: MeshConnection, fingerprint: String)] = [:]
    private var open: [Int: MeshConnection] = [:]
    private var lastNumber = 0
    private var questions: [UInt64: Asked] = [:]
    private var lastQuestion: UInt64 = 0
    private let log = Log("relay")
    private(set) lazy var limits = LimitExchange(self)

    /// A relay to keep a connection to.
    private struct Peer {
        let address: Endpoint
        let fingerprint: String
        var connection: MeshConnection?
        var isDialling = false
        var failures = 0
        var redial: TimerID?
        var complaint: String?
    }

    private struct Asked {
        let question: PlayerQuestion
        let connection: Int
        let until: Instant
    }

    private static let connectLimit = Milliseconds.seconds(3)
    private static let redialFirst_ms = 100
    private static let redialLast_ms = 5000
    /// Without an answer yet.
    private static let maxQuestions = 20_000
    /// Whoever asked has given up by then.
    private static let rememberQuestion = Milliseconds.seconds(10)

    init(loop: EventLoop, context: RelayContext, own: OwnCertificate) {
        self.loop = loop
        self.context = context
        self.own = own
    }

    /// From now on connections are kept.
    func start() {
        context.mesh = MeshDoor(self)
        tick()
        limits.start()
    }

    private func tick() {
        regionChanged()
        questions = questions.filter { $0.value.until > loop.now }
        loop.schedule(after: .seconds(1)) { [weak self] in self?.tick() }
    }

    // MARK: connections

    /// Dials who is new, and lets go of whom the region does not know any more, or by another certificate.
    func regionChanged() {
        let relays = context.routes.relays
        for (id, peer) in peers {
            let info = relays[id]
            let isSame = info.map {
                $0.fingerprint == peer.fingerprint && Self.address(of: $0) == peer.address
            }
            // A relay that is lost to the control plane may live: its connection stays as long as it can.
            let isWanted = info.map { $0.state.isReachable || peer.connection != nil } ?? false
            if isSame != true || !isWanted { forget(id) }
        }
        for (id, known) in accepted where relays[id]?.fingerprint != known.fingerprint {
            known.connection.close()
        }
        for info in relays.values where info.id != context.relay.id && info.state.isReachable {
            guard peers[info.id] == nil, let address = Self.address(of: info) else { continue }
            peers[info.id] = Peer(address: address, fingerprint: info.fingerprint)
            dial(info.id)
        }
    }

    private static func address(of info: RelayInfo) -> Endpoint? {
        if let mesh = info.meshAddress { return Endpoint(mesh) }
        return info.sharedEntry ? nil : Endpoint(info.endpoint)
    }

    private func forget(_ id: String) {
        guard let peer = peers.removeValue(forKey: id) else { return }
        if let redial = peer.redial { loop.cancel(redial) }
        peer.connection?.close()
    }

    private func dial(_ id: String) {
        guard let peer = peers[id], peer.connection == nil, !peer.isDialling else { return }
        peers[id]?.isDialling = true
        peers[id]?.redial = nil
        loop.connect(peer.address, timeout: Self.connectLimit) { [weak self] result in
            guard let self else { return }
            let now = self.peers[id]
            guard now?.address == peer.address, now?.fingerprint == peer.fingerprint, now?.connection == nil
            else { return }
            self.peers[id]?.isDialling = false
            switch consume result {
            case .success(let descriptor): self.connected(id, peer, descriptor)
            case .failure(let error): self.failed(id, error.description)
            }
        }
    }

    private func connected(_ id: String, _ peer: Peer, _ descriptor: consuming Descriptor) {
        guard
            let tls = try? TLSClientContext(verify: .pinned(fingerprint: peer.fingerprint), own: own),
            let codec = try? tls.codec(serverName: id)
        else { return failed(id, "its fingerprint or id cannot be used with TLS") }
        let connection = MeshConnection(
            self, to: id, number: freshNumber(), descriptor: descriptor, codec: codec)
        open[connection.number] = connection
        peers[id]?.connection = connection
        connection.start(.hello(relay: context.relay.id, region: context.relay.region))
    }

    func cameUp(_ connection: MeshConnection) {
        context.metrics.meshPeers.add(1)
        peers[connection.relay]?.failures = 0
        peers[connection.relay]?.complaint = nil
        log.debug("mesh connection is up", ["relay": connection.relay])
    }

    private func failed(_ id: String, _ reason: String) {
        guard let peer = peers[id] else { return }
        // The same trouble is told once until it is over.
        if peer.complaint != reason {
            peers[id]?.complaint = reason
            log.warning("a relay of the region cannot be reached", ["relay": id, "reason": reason])
        }
        let ceiling = min(Self.redialLast_ms, Self.redialFirst_ms << min(peer.failures, 10))
        peers[id]?.failures += 1
        let delay = Milliseconds(ceiling / 2 + Int.random(in: 0...ceiling / 2))
        peers[id]?.redial = loop.schedule(after: delay) { [weak self] in self?.dial(id) }
    }

    /// A relay that a loop knows by its certificate.
    func accept(_ moved: MovedStream, from relay: String, fingerprint: String) {
        let connection = MeshConnection(self, from: relay, number: freshNumber(), moved: moved)
        open[connection.number] = connection
        let before = accepted.updateValue((connection, fingerprint), forKey: relay)
        before?.connection.close()
        // It runs: no need to wait until it is tried again.
        if let redial = peers[relay]?.redial {
            loop.cancel(redial)
            dial(relay)
        }
    }

    func closed(_ connection: MeshConnection, _ end: StreamEnd) {
        open[connection.number] = nil
        if accepted[connection.relay]?.connection === connection { accepted[connection.relay] = nil }
        for (number, asked) in questions where asked.connection == connection.number {
            questions[number] = nil
            tell(asked.question, .noLink)
        }
        if connection.isDialled, connection.isUp { context.metrics.meshPeers.add(-1) }
        defer { if self.connection(to: connection.relay) == nil { limits.gone(connection.relay) } }
        // Else let go of on purpose, or dialled by the other side.
        guard peers[connection.relay]?.connection === connection else { return }
        peers[connection.relay]?.connection = nil
        failed(connection.relay, end.description)
    }

    private func freshNumber() -> Int {
        lastNumber += 1
        return lastNumber
    }

    // MARK: frames

    /// Sends on the connection to that relay; false when there is none.
    @discardableResult
    func send(_ frame: MeshFrame, to relay: String) -> Bool {
        guard let connection = connection(to: relay) else { return false }
        connection.send(frame)
        return true
    }

    func connection(to relay: String) -> MeshConnection? {
        if let dialled = peers[relay]?.connection, dialled.isUp { return dialled }
        return accepted[relay]?.connection
    }

    /// Those with a connection.
    var relays: Set<String> { Set(open.values.map(\.relay)) }

    /// How many answers came, by connection.
    var answersHeard: [Int: Int] { open.mapValues(\.answersHeard) }

    /// Everything that another relay says, except for what keeps the connection alive.
    func received(_ frame: MeshFrame, on connection: MeshConnection) {
        switch frame {
        case .ask(let question): asked(question, on: connection)
        case .answer(let number, let answer):
            guard let asked = questions[number], asked.connection == connection.number else { return }
            questions[number] = nil
            tell(asked.question, answer)
        case .refused(let nonce, let reason):
            context.door(number: nonce.firstByte)?.post { $0.refused(nonce, reason) }
        case .presence(let report): limits.took(report, on: connection)
        case .shares(let report): limits.took(report, on: connection)
        case .forward(let token): context.forwards.announced(token)
        case .hello, .welcome, .ping, .pong: break
        }
    }

    // MARK: asking

    func ask(_ question: PlayerQuestion) {
        guard questions.count < Self.maxQuestions, let connection = connection(to: question.relay) else {
            return tell(question, .noLink)
        }
        context.metrics.meshAsks.add()
        lastQuestion += 1
        questions[lastQuestion] = Asked(
            question: question, connection: connection.number, until: loop.now + Self.rememberQuestion)
        connection.send(
            .ask(
                MeshQuestion(
                    number: lastQuestion, player: question.playerNumber, tunnel: question.tunnel,
                    nonce: question.nonce, rendezvous: context.relay.rendezvous, isLogin: question.isLogin)))
    }

    private func tell(_ question: PlayerQuestion, _ answer: MeshAnswer) {
        context.door(number: question.loop)?.post { relayLoop in
            relayLoop.existingRoom(question.tunnel)?.answered(question, answer)
        }
    }

    /// Only the room of the tunnel here answers: a question never travels on.
    private func asked(_ question: MeshQuestion, on connection: MeshConnection) {
        context.metrics.meshAsked.add()
        // Players wait at the relay that asks, or nowhere.
        guard question.rendezvous.relay == connection.relay,
            let door = context.door(forTunnel: question.tunnel)
        else { return connection.send(.noLink, to: question) }
        let number = connection.number
        let back = LoopBound(self, loop)
        let mailbox = loop.mailbox
        door.post { relayLoop in
            let answer = relayLoop.answer(question)
            mailbox.post { loop in
                back.get(loop).open[number]?.send(answer, to: question)
            }
        }
    }
}

extension RelayState {
    fileprivate var isReachable: Bool { self == .active || self == .draining }
}

/// What a room asks another relay about a player who waits here.
struct PlayerQuestion: Sendable {
    /// The one to be asked.
    let relay: String
    let tunnel: String
    /// Of this relay, where the player waits.
    let loop: UInt8
    let player: PlayerID
    let nonce: Nonce
    let isLogin: Bool

    /// Unique among this relay's players.
    var playerNumber: UInt64 { UInt64(loop) << 56 | UInt64(clamping: player.number) }
}

/// The way to the mesh from any thread.
struct MeshDoor: Sendable {
    private let mailbox: Mailbox
    private let mesh: LoopBound<Mesh>

    init(_ mesh: Mesh) {
        mailbox = mesh.loop.mailbox
        self.mesh = LoopBound(mesh, mesh.loop)
    }

    func post(_ work: @escaping @Sendable (Mesh) -> Void) {
        let mesh = mesh
        mailbox.post { loop in work(mesh.get(loop)) }
    }
}
