import Core
import IO
import RelayCore
import TLS
import Wire

/// A fresh connection on a public listener: reads first bytes until it is known to be a player, a link or a data
/// connection, and hands it to whom it belongs. It has a few seconds.
final class Guest: StreamHandler {
    private let relayLoop: RelayLoop
    private let peer: SocketAddress
    private var stream: IO.Stream?
    private var deadline: TimerID?
    private var quietTimer: TimerID?
    /// Set while a known player waits for their tunnel's assignment.
    private var assignmentTimer: TimerID?
    /// A neighbour behind the same entry passed it on: nobody passes it on again.
    private var isForwarded = false
    /// The token that is still to be announced.
    private var awaited: (token: ForwardToken, timer: TimerID)?
    private static let assignmentPause = Milliseconds(50)
    private static let maxFirstBytes = 4096

    private var loop: EventLoop { relayLoop.loop }
    private var context: RelayContext { relayLoop.context }

    init(_ relayLoop: RelayLoop, descriptor: consuming Descriptor, peer: SocketAddress) {
        self.relayLoop = relayLoop
        self.peer = peer
        stream = Stream(
            loop: relayLoop.loop, descriptor: descriptor, maxInputBytes: Self.maxFirstBytes, handler: self)
        context.metrics.connections.add(1)
    }

    func start() {
        deadline = loop.schedule(after: context.patience.firstWords) { [weak self] in
            self?.context.metrics.handshakeTimeouts.add()
            self?.stream?.close()
        }
        stream?.start()
    }

    func streamReceived(_ stream: IO.Stream) {
        guard awaited == nil else { return }
        switch stream.input.withSpan({ FirstBytes.sniff($0) }) {
        case .needMore: return
        case .forwarded: readToken(stream)
        // Relays pass on what agents open, never players.
        case .minecraft where isForwarded: refuseForward(stream)
        case .tls: becomeLink(stream)
        case .dataConnection: becomeDataConnection(stream)
        case .minecraft: readFirstPacket(stream, quiet: false)
        }
    }

    func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) { done() }

    private func done() {
        stopTimers()
        stream = nil
        context.metrics.connections.add(-1)
    }

    private func stopTimers() {
        if let awaited = awaited.take() {
            loop.cancel(awaited.timer)
            context.forwards.gaveUp(awaited.token)
        }
        if let deadline { loop.cancel(deadline) }
        if let quietTimer { loop.cancel(quietTimer) }
        deadline = nil
        quietTimer = nil
    }

    /// Takes the connection away from this guest.
    private func move(_ stream: IO.Stream) -> MovedStream? {
        let moved = stream.detach()
        done()
        return moved
    }

    // MARK: links

    private func becomeLink(_ stream: IO.Stream) {
        if passesOn {
            switch ClientHello.serverName(in: stream.input.array()) {
            case .needMore: return
            case .serverName(let relay):
                if let neighbour = context.neighbour(relay) { return passOn(stream, .link, to: neighbour) }
            case .none: break
            }
        }
        guard relayLoop.beginHandshake() else {
            context.metrics.tlsRefused.add()
            return stream.close()
        }
        guard let codec = try? context.tls.codec(), let moved = move(stream) else {
            relayLoop.endHandshake()
            return stream.close()
        }
        let guest = LinkGuest(relayLoop, moved: moved, codec: codec)
        // The loop keeps the guest by its stream, which the optimizer's check for weak references does not see.
        withExtendedLifetime(guest) { guest.start() }
    }

    // MARK: data connections

    private func becomeDataConnection(_ stream: IO.Stream) {
        let decoded = stream.input.withSpan { bytes in
            Result { () throws(WireError) in try Preamble.decode(bytes) }
        }
        switch decoded {
        case .success(.needMore): return
        case .success(.message(let preamble, let consumed)):
            if passesOn, let neighbour = context.neighbour(preamble.relay) {
                return passOn(stream, .data, to: neighbour)
            }
            stream.input.consume(consumed)
            guard preamble.relay == context.relay.id,
                let door = context.door(number: preamble.nonce.firstByte),
                let moved = move(stream)
            else { return refuseData(stream) }
            if door.number == relayLoop.number {
                DataConnection.adopt(moved, nonce: preamble.nonce, on: relayLoop)
            } else {
                door.post { DataConnection.adopt(moved, nonce: preamble.nonce, on: $0) }
            }
        case .success(.skipped), .failure: refuseData(stream)
        }
    }

    private func refuseData(_ stream: IO.Stream) {
        context.metrics.strayData.add()
        stream.close()
    }

    // MARK: behind a shared entry

    private var passesOn: Bool { context.relay.sharedEntry && !isForwarded }

    private func passOn(_ stream: IO.Stream, _ kind: Passage.Kind, to neighbour: RelayInfo) {
        guard let moved = move(stream) else { return stream.close() }
        Passage.begin(moved, kind, to: neighbour, on: relayLoop)
    }

    private func readToken(_ stream: IO.Stream) {
        let decoded = stream.input.withSpan { bytes in
            Result { () throws(WireError) in try ForwardPreamble.decode(bytes) }
        }
        switch decoded {
        case .success(.needMore): return
        case .success(.message(let preamble, let consumed)):
            guard !isForwarded, let door = context.door(number: relayLoop.number) else {
                return refuseForward(stream)
            }
            stream.input.consume(consumed)
            let waiter = Forwards.Waiter(door: door, guest: LoopBound(self, loop))
            switch context.forwards.arrived(preamble.token, waiter, now: loop.now) {
            case .letIn: letIn()
            case .refuse: refuseForward(stream)
            case .wait:
                let timer = loop.schedule(after: Forwards.patience) { [weak self] in
                    guard let self, let stream = self.stream, self.awaited != nil else { return }
                    self.refuseForward(stream)
                }
                awaited = (preamble.token, timer)
            }
        case .success(.skipped), .failure: refuseForward(stream)
        }
    }

    /// Its token was announced: what follows is a guest like any other, but for being passed on.
    func letIn() {
        guard let stream else { return }
        if let awaited = awaited.take() { loop.cancel(awaited.timer) }
        isForwarded = true
        context.metrics.forwardArrivals.add()
        if !stream.input.isEmpty { streamReceived(stream) }
    }

    private func refuseForward(_ stream: IO.Stream) {
        context.metrics.strayForwards.add()
        stream.close()
    }

    // MARK: players

    private func readFirstPacket(_ stream: IO.Stream, quiet: Bool) {
        guard assignmentTimer == nil else { return }
        if let quietTimer { loop.cancel(quietTimer) }
        quietTimer = nil
        switch stream.input.withSpan({ FirstPacket.read($0, quiet: quiet) }) {
        case .needMore: return
        case .ambiguous:
            quietTimer = loop.schedule(after: FirstPacket.legacyWait) { [weak self] in
                guard let self, let stream = self.stream else { return }
                self.quietTimer = nil
                self.readFirstPacket(stream, quiet: true)
            }
        case .invalid:
            context.metrics.invalidFirstPackets.add()
            stream.close()
        case .legacyLogin: answer(stream, .legacyLogin, .clientTooOld, name: "")
        case .legacyPing(let ping):
            context.metrics.statusPings.add()
            guard let host = ping.host else {
                return answer(stream, .legacyPing(ping), .agentAway, name: "Minecart")
            }
            route(stream, .legacyPing(ping), serverAddress: host)
        case .handshake(let handshake):
            if !handshake.intent.isLogin { context.metrics.statusPings.add() }
            route(stream, .modern(handshake), serverAddress: handshake.serverAddress)
        }
    }

    private func route(_ stream: IO.Stream, _ greeting: Greeting, serverAddress: String) {
        let name: RoutingName
        do throws(RoutingName.Refusal) {
            name = try RoutingName(serverAddress: serverAddress)
        } catch {
            return answer(stream, greeting, .badAddress(error), name: "This server")
        }
        switch context.routes.find(name.text, relay: context.relay.id) {
        case .unknown: answer(stream, greeting, .unknownName, name: name.text)
        case .suspended: answer(stream, greeting, .suspended, name: name.label)
        case .asleep: answer(stream, greeting, .asleep, name: name.label)
        case .unplaced: answer(stream, greeting, .agentAway, name: name.label)
        case .soon:
            assignmentTimer = loop.schedule(after: Self.assignmentPause) { [weak self] in
                guard let self, let stream = self.stream else { return }
                self.assignmentTimer = nil
                self.route(stream, greeting, serverAddress: serverAddress)
            }
        case .here(let tunnel, let limits), .elsewhere(let tunnel, let limits):
            guard let door = context.door(forTunnel: tunnel), let moved = move(stream) else {
                return stream.close()
            }
            let arrival = Arrival(greeting: greeting, name: name, peer: peer, tunnel: tunnel, limits: limits)
            if door.number == relayLoop.number {
                PlayerConnection.arrive(moved, arrival, on: relayLoop)
            } else {
                door.post { PlayerConnection.arrive(moved, arrival, on: $0) }
            }
        }
    }

    private func answer(_ stream: IO.Stream, _ greeting: Greeting, _ reason: OfflineReason, name: String) {
        guard let moved = move(stream) else { return stream.close() }
        Farewell.say(reason, name: name, greeting: greeting, to: moved, on: relayLoop)
    }
}

/// How a player's client introduced itself.
enum Greeting: Sendable {
    case modern(Handshake)
    case legacyPing(LegacyPing)
    case legacyLogin

    var isLogin: Bool {
        switch self {
        case .modern(let handshake): handshake.intent.isLogin
        case .legacyPing: false
        case .legacyLogin: true
        }
    }
}

/// A player on the way to a tunnel's room.
struct Arrival: Sendable {
    let greeting: Greeting
    let name: RoutingName
    let peer: SocketAddress
    let tunnel: String
    let limits: Limits
}
