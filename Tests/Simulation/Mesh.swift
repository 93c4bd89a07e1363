import Core
import RelayCore
import Wire

/// One relay's connections to the others of its region: one dialled to each, and those that the others dialled. Asks
/// them for players whose tunnel has its link there, and has the rooms here answer what they ask.
final class Mesh {
    private unowned let relay: Relay
    private var peers: [String: Peer] = [:]
    /// The newest that each relay dialled.
    private var accepted: [String: MeshEnd] = [:]
    private var questions: [UInt64: Asked] = [:]
    private var lastQuestion: UInt64 = 0
    private let run: Int

    private struct Peer {
        var connection: MeshEnd?
        var isDialling = false
        var failures = 0
    }

    private struct Asked {
        let question: PlayerQuestion
        let connection: MeshEnd
        let until: Instant
    }

    private var world: World { relay.world }

    init(_ relay: Relay) {
        self.relay = relay
        run = relay.run
    }

    func tick() {
        let known = relay.routes.region?.relays ?? [:]
        for id in peers.keys.sorted() {
            let state = known[id]?.state
            let isWanted =
                state == .active || state == .draining || (state != nil && peers[id]?.connection != nil)
            if !isWanted { peers.removeValue(forKey: id)?.connection?.close() }
        }
        for info in known.values.sorted(by: { $0.id < $1.id })
        where info.id != relay.id && peers[info.id] == nil {
            guard info.state == .active || info.state == .draining else { continue }
            peers[info.id] = Peer()
            dial(info.id)
        }
        let now = relay.now
        questions = questions.filter { $0.value.until > now }
        relay.after(.seconds(1)) { [weak self] in self?.tick() }
    }

    /// A relay of the region that cannot be asked now.
    var unconnected: String? {
        relay.routes.region?.relays.keys.sorted().first { $0 != relay.id && connection(to: $0) == nil }
    }

    private func dial(_ id: String) {
        guard let peer = peers[id], peer.connection == nil, !peer.isDialling, let other = world.relay(id)
        else { return }
        peers[id]?.isDialling = true
        relay.connect(to: other, patience: .seconds(3)) { [weak self] cable in
            guard let self else {
                cable?.close(from: .dialler)
                return
            }
            self.peers[id]?.isDialling = false
            guard let cable else { return self.failed(id) }
            guard self.peers[id] != nil else { return cable.close(from: .dialler) }
            let end = MeshEnd(self, self.relay, other: id, cable, .dialler)
            self.peers[id]?.connection = end
            end.send(.hello(relay: self.relay.id, region: Tables.region))
        }
    }

    func cameUp(_ end: MeshEnd) { peers[end.other]?.failures = 0 }

    private func failed(_ id: String) {
        guard let peer = peers[id] else { return }
        let ceiling = min(5000, 100 << min(peer.failures, 10))
        peers[id]?.failures += 1
        relay.after(Milliseconds(ceiling / 2 + relay.random.below(ceiling / 2 + 1))) { [weak self] in
            self?.dial(id)
        }
    }

    func accept(_ cable: Cable, from id: String) {
        let end = MeshEnd(self, relay, other: id, cable, .acceptor)
        let before = accepted.updateValue(end, forKey: id)
        before?.close()
        end.send(.welcome)
        dial(id)
    }

    func closed(_ end: MeshEnd) {
        if accepted[end.other] === end { accepted[end.other] = nil }
        for (number, asked) in questions.sorted(by: { $0.key < $1.key }) where asked.connection === end {
            questions[number] = nil
            tell(asked.question, .noLink)
        }
        guard peers[end.other]?.connection === end else { return }
        peers[end.other]?.connection = nil
        failed(end.other)
    }

    private func connection(to id: String) -> MeshEnd? {
        if let dialled = peers[id]?.connection, dialled.isUp { return dialled }
        return accepted[id]
    }

    @discardableResult
    func send(_ frame: MeshFrame, to id: String) -> Bool {
        guard let connection = connection(to: id) else { return false }
        connection.send(frame)
        return true
    }

    // MARK: asking

    func ask(_ question: PlayerQuestion) {
        guard let connection = connection(to: question.relay) else { return tell(question, .noLink) }
        lastQuestion += 1
        questions[lastQuestion] = Asked(
            question: question, connection: connection, until: relay.now + .seconds(10))
        connection.send(
            .ask(
                MeshQuestion(
                    number: lastQuestion, player: UInt64(clamping: question.player.number),
                    tunnel: question.tunnel,
                    nonce: question.nonce,
                    rendezvous: Rendezvous(relay: relay.id, endpoint: relay.info.endpoint),
                    isLogin: question.isLogin)))
    }

    /// Never within the call that asks.
    private func tell(_ question: PlayerQuestion, _ answer: MeshAnswer) {
        relay.after(Milliseconds(0)) { [relay] in relay.rooms[question.tunnel]?.answered(question, answer) }
    }

    func received(_ frame: MeshFrame, on end: MeshEnd) {
        switch frame {
        case .ask(let question):
            world.invariants.asked(question, by: end.other, at: relay)
            guard question.rendezvous.relay == end.other || world.bug == .forwardAsk else {
                return end.send(.answer(number: question.number, .noLink))
            }
            let answer = relay.answer(question)
            end.send(.answer(number: question.number, answer))
            if world.bug == .forwardAsk, answer == .noLink {
                for id in peers.keys.sorted() where id != end.other { send(.ask(question), to: id) }
            }
        case .answer(let number, let answer):
            guard let asked = questions[number], asked.connection === end else { return }
            questions[number] = nil
            tell(asked.question, answer)
        case .refused(let nonce, let reason): relay.refused(nonce, reason)
        case .presence, .shares, .forward, .hello, .welcome, .ping, .pong: break
        }
    }

    func vanish() {
        peers = [:]
        accepted = [:]
        questions = [:]
    }
}

/// What a room asks another relay about a player who waits here.
struct PlayerQuestion {
    let relay: String
    let tunnel: String
    let player: PlayerID
    let nonce: Nonce
    let isLogin: Bool
}

/// One end of a connection between two relays. A silent one is asked, and given up when it stays silent.
final class MeshEnd: CableEnd {
    private weak var mesh: Mesh?
    private unowned let relay: Relay
    let other: String
    private let cable: Cable
    private let side: Cable.Side
    private var lastHeard: Instant
    private(set) var isUp: Bool
    private var isOver = false

    init(_ mesh: Mesh, _ relay: Relay, other: String, _ cable: Cable, _ side: Cable.Side) {
        self.mesh = mesh
        self.relay = relay
        self.other = other
        self.cable = cable
        self.side = side
        lastHeard = relay.now
        isUp = side == .acceptor
        cable.attach(self, side)
        beat()
    }

    func send(_ frame: MeshFrame) { cable.send(.mesh(frame), from: side) }

    func close() {
        guard !isOver else { return }
        isOver = true
        cable.close(from: side)
        mesh?.closed(self)
    }

    func received(_ parcel: Parcel, on cable: Cable) {
        lastHeard = relay.now
        guard case .mesh(let frame) = parcel else { return close() }
        switch frame {
        case .welcome:
            guard !isUp else { return }
            isUp = true
            mesh?.cameUp(self)
        case .ping(let token): send(.pong(token))
        case .hello, .pong: break
        default: if isUp { mesh?.received(frame, on: self) }
        }
    }

    func closed(_ cable: Cable) {
        guard !isOver else { return }
        isOver = true
        mesh?.closed(self)
    }

    private func beat() {
        relay.after(.seconds(2)) { [weak self] in
            guard let self, !self.isOver else { return }
            let silence = self.relay.now.since(self.lastHeard)
            if silence >= .seconds(6) { return self.close() }
            if self.isUp, silence >= .seconds(2) { self.send(.ping(1)) }
            self.beat()
        }
    }
}
