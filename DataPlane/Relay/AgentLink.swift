import Core
import IO
import RelayCore
import TLS
import Wire

/// A TLS connection that wants to be a link: it has to show a good ticket within the patience for it. Or it is another
/// relay's, which its certificate shows.
final class LinkGuest: StreamHandler {
    private let relayLoop: RelayLoop
    private var stream: IO.Stream?
    private var deadline: TimerID?
    private var countsAsHandshake = true
    init(_ relayLoop: RelayLoop, moved: MovedStream, codec: any StreamCodec) {
        self.relayLoop = relayLoop
        relayLoop.context.metrics.connections.add(1)
        stream = Stream(
            wrapping: moved, on: relayLoop.loop, codec: codec,
            maxInputBytes: LinkFrame.headerBytes + LinkFrame.maxPayloadBytes, handler: self)
    }

    func start() {
        deadline = relayLoop.loop.schedule(after: relayLoop.context.patience.hello) { [weak self] in
            self?.relayLoop.context.metrics.handshakeTimeouts.add()
            self?.stream?.close()
        }
        stream?.start()
    }

    func streamOpened(_ stream: IO.Stream) { endHandshake() }

    func streamReceived(_ stream: IO.Stream) {
        while true {
            if stream.input.withSpan({ $0.count > 0 && $0[0] == MeshFrame.firstByte }) {
                return checkRelay(stream)
            }
            let decoded = stream.input.withSpan { bytes in
                Result { () throws(WireError) in try LinkFrame.decode(bytes) }
            }
            switch decoded {
            case .success(.needMore): return
            case .success(.skipped(let consumed)): stream.input.consume(consumed)
            case .success(.message(.hello(let text), let consumed)):
                stream.input.consume(consumed)
                return check(text, stream)
            case .success(.message), .failure: return refuse(stream, .protocolError)
            }
        }
    }

    private func check(_ text: String, _ stream: IO.Stream) {
        let context = relayLoop.context
        guard !context.isDraining else { return refuse(stream, .draining) }
        guard context.keys != nil else { return refuse(stream, .overloaded) }
        let ticket: Ticket
        do throws(TicketError) {
            ticket = try context.ticket(text, now: WallTime.now())
        } catch {
            Log("relay").info("link refused", ["reason": error.description])
            return refuse(stream, .ticketRefused)
        }
        guard let door = context.door(forTunnel: ticket.tunnel), let moved = stream.detach() else {
            return stream.close()
        }
        gone()
        if door.number == relayLoop.number {
            relayLoop.room(ticket.tunnel, limits: ticket.limits).linkArrived(moved, ticket: ticket)
        } else {
            door.post { $0.room(ticket.tunnel, limits: ticket.limits).linkArrived(moved, ticket: ticket) }
        }
    }

    /// Only who holds the certificate of the relay that it says it is, as this region knows it.
    private func checkRelay(_ stream: IO.Stream) {
        let context = relayLoop.context
        let decoded = stream.input.withSpan { bytes in
            Result { () throws(WireError) in try MeshFrame.decode(bytes) }
        }
        switch decoded {
        case .success(.needMore): return
        case .success(.message(.hello(let relay, let region), let consumed)):
            stream.input.consume(consumed)
            guard region == context.relay.region, relay != context.relay.id,
                let shown = (stream.codec as? TLSCodec)?.peerFingerprint,
                context.routes.relays[relay]?.fingerprint == shown,
                let mesh = context.mesh, let moved = stream.detach()
            else { return refuseRelay(stream) }
            gone()
            mesh.post { $0.accept(moved, from: relay, fingerprint: shown) }
        case .success, .failure: refuseRelay(stream)
        }
    }

    private func refuseRelay(_ stream: IO.Stream) {
        relayLoop.context.metrics.meshRefused.add()
        stream.close()
    }

    private func refuse(_ stream: IO.Stream, _ reason: GoAwayReason) {
        relayLoop.context.metrics.linkRefused.add()
        stream.send(LinkFrame.goAway(reconnectIn: .seconds(1), reason).encode())
        stream.closeWhenSent()
    }

    func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) { gone() }

    private func gone() {
        endHandshake()
        if let deadline { relayLoop.loop.cancel(deadline) }
        deadline = nil
        stream = nil
        relayLoop.context.metrics.connections.add(-1)
    }

    private func endHandshake() {
        guard countsAsHandshake else { return }
        countsAsHandshake = false
        relayLoop.endHandshake()
    }
}

/// The link of a tunnel's agent, on the tunnel's loop. A silent one is asked, and given up when it stays silent.
final class AgentLink: StreamHandler {
    /// What the newest ticket said.
    var held: HeldLink
    private let relayLoop: RelayLoop
    /// A link that was sent away may outlive its room.
    private weak var room: TunnelRoom?
    private var stream: IO.Stream?
    private var lastHeard: Instant
    private var pulse: TimerID?

    private var loop: EventLoop { relayLoop.loop }
    private var patience: RelayPatience { relayLoop.context.patience }

    init(_ room: TunnelRoom, moved: MovedStream, ticket: Ticket) {
        self.room = room
        relayLoop = room.relayLoop
        held = HeldLink(ticket)
        lastHeard = relayLoop.loop.now
        stream = Stream(
            moved: moved, on: relayLoop.loop, maxInputBytes: 32 * 1024, maxOutputBytes: 256 * 1024,
            handler: self)
        relayLoop.context.metrics.connections.add(1)
        schedulePulse()
    }

    func send(_ frame: LinkFrame) { stream?.send(frame.encode()) }

    /// Says why and closes.
    func sendAway(_ reason: GoAwayReason) {
        let reconnectIn = Milliseconds(Int.random(in: 0...1000, using: &relayLoop.random))
        send(.goAway(reconnectIn: reconnectIn, reason))
        leave()
    }

    private func leave() {
        stream?.closeWhenSent()
        room?.linkEnded(self)
    }

    func streamReceived(_ stream: IO.Stream) {
        lastHeard = loop.now
        while !stream.isClosed {
            let decoded = stream.input.withSpan { bytes in
                Result { () throws(WireError) in try LinkFrame.decode(bytes) }
            }
            switch decoded {
            case .success(.needMore): return
            case .success(.skipped(let consumed)): stream.input.consume(consumed)
            case .success(.message(let frame, let consumed)):
                stream.input.consume(consumed)
                handle(frame, stream)
            case .failure: return sendAway(.protocolError)
            }
        }
    }

    private func handle(_ frame: LinkFrame, _ stream: IO.Stream) {
        switch frame {
        case .ping(let token): send(.pong(token))
        case .refuse(let nonce, let rendezvous, let reason):
            room?.agentRefused(nonce, rendezvous, reason)
        case .goAway: leave()
        case .hello(let ticket): room?.linkBrings(ticket, self)
        // What only a relay says is ignored, as a frame from a newer agent would be.
        case .welcome, .park, .open, .pong, .migrate, .limits: break
        }
    }

    func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) {
        if let pulse { loop.cancel(pulse) }
        pulse = nil
        self.stream = nil
        relayLoop.context.metrics.connections.add(-1)
        room?.linkEnded(self)
    }

    private func schedulePulse() {
        pulse = loop.schedule(after: patience.pulse) { [weak self] in
            guard let self, let stream = self.stream else { return }
            let silence = self.loop.now.since(self.lastHeard)
            if silence >= self.patience.silence {
                return stream.close(.protocolError("silent for too long"))
            }
            if silence >= self.patience.pulse { self.send(.ping(self.loop.now.nanoseconds)) }
            self.schedulePulse()
        }
    }
}
