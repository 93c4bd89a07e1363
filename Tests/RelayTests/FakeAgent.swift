import CLinux
import Core
import Crypto
import IO
import TLS
import Testing
import Wire

@testable import Relay

/// An agent's link over real TLS, and the data connections it brings, step by step from the test's thread.
final class FakeAgent {
    private let relay: any RelayUnderTest
    private let peer: Peer
    private let codec: TLSCodec
    private var plain = ByteBuffer()
    /// Nonces for parked connections that came while something else was awaited.
    private(set) var parkNonces: [Nonce] = []
    /// What a silent agent does not do.
    var answersPings = true

    /// Connects and says HELLO with this ticket, or only connects. With a certificate of its `own` it may be taken for
    /// a relay.
    init(_ relay: some RelayUnderTest, ticket: String?, own: OwnCertificate? = nil) throws {
        self.relay = relay
        peer = try relay.player()
        let context = try TLSClientContext(verify: .pinned(fingerprint: relay.fingerprint), own: own)
        codec = try context.codec(serverName: relay.rendezvous.relay)
        var wire: [UInt8] = []
        try codec.start(wire: &wire)
        try peer.send(wire)
        while !codec.isOpen { try receive() }
        if let ticket { try send(.hello(ticket: ticket)) }
    }

    /// An agent whose link is up, and which has been asked for its first parked connection.
    static func up(
        _ relay: TestRelay, _ name: String, generation: Int = 1, session: String = "ses_1",
        agentKey: String = "agk_1", role: Ticket.Role = .owner, limits: Limits = .none
    ) throws -> FakeAgent {
        let agent = try FakeAgent(
            relay,
            ticket: relay.ticket(
                name, generation: generation, session: session, agentKey: agentKey, role: role,
                limits: limits))
        let first = try agent.next()
        guard case .welcome = first else { throw TestFailure("\(first) came instead of WELCOME") }
        _ = try agent.nonceToPark()
        return agent
    }

    // MARK: the link

    func send(_ frame: LinkFrame) throws { try send(plain: frame.encode()) }

    func send(plain bytes: [UInt8]) throws {
        var wire: [UInt8] = []
        try codec.send(bytes, wire: &wire)
        try peer.send(wire)
    }

    /// The next frame that is not a PING.
    func next() throws -> LinkFrame {
        while true {
            let frame = try nextOfAny()
            guard case .ping(let token) = frame else { return frame }
            if answersPings { try send(.pong(token)) }
        }
    }

    func nextOfAny() throws -> LinkFrame {
        while true {
            switch try plain.withSpan({ try LinkFrame.decode($0) }) {
            case .message(let frame, let consumed):
                plain.consume(consumed)
                return frame
            case .skipped(let consumed): plain.consume(consumed)
            case .needMore: try receive()
            }
        }
    }

    /// Reads on until the relay says GOAWAY and then ends the link.
    func goAway() throws -> GoAwayReason {
        while true {
            if case .goAway(_, let reason) = try next() {
                try waitForEnd()
                return reason
            }
        }
    }

    /// All plain bytes until the relay ends the connection, or so many.
    func everything(upTo count: Int = .max) throws -> [UInt8] {
        while !codec.peerFinished, plain.count < count {
            do { try receive() } catch is LinkEnded { break }
        }
        return plain.array()
    }

    func waitForEnd() throws {
        while !codec.peerFinished {
            do { try receive() } catch is LinkEnded { return }
        }
        _ = try peer.readToEnd()
    }

    struct LinkEnded: Error {}

    private func receive() throws {
        let bytes = try peer.receive()
        if bytes.isEmpty { throw LinkEnded() }
        var wire: [UInt8] = []
        try bytes.withUnsafeBytes { try codec.receive($0, plain: &plain, wire: &wire) }
        if !wire.isEmpty { try peer.send(wire) }
    }

    func close() { peer.close() }

    // MARK: orders

    func nonceToPark() throws -> Nonce {
        while parkNonces.isEmpty { try take(try next()) }
        return parkNonces.removeFirst()
    }

    func nonceToOpen() throws -> Nonce {
        while true {
            let frame = try next()
            if case .open(let nonce, let rendezvous) = frame {
                #expect(rendezvous == relay.rendezvous)
                return nonce
            }
            try take(frame)
        }
    }

    /// OPEN, for whatever relay the player waits at. MIGRATE may come before it.
    func orderToOpen() throws -> (nonce: Nonce, rendezvous: Rendezvous) {
        while true {
            switch try next() {
            case .open(let nonce, let rendezvous): return (nonce, rendezvous)
            case .migrate, .limits: continue
            case let frame: try take(frame)
            }
        }
    }

    /// What LIMITS says next.
    func newLimits() throws -> Limits {
        while true {
            let frame = try next()
            if case .limits(let limits) = frame { return limits }
            try take(frame)
        }
    }

    private func take(_ frame: LinkFrame) throws {
        guard case .park(let nonces, let rendezvous) = frame else {
            throw TestFailure("\(frame) came instead of PARK or OPEN")
        }
        #expect(rendezvous == relay.rendezvous)
        parkNonces += nonces
    }

    // MARK: data connections

    func dial(_ nonce: Nonce, at rendezvous: TestRelay) throws -> Peer {
        let data = try rendezvous.player()
        try data.send(Preamble(relay: rendezvous.rendezvous.relay, nonce: nonce).encode())
        return data
    }

    func dial(_ nonce: Nonce, relay id: String? = nil) throws -> Peer {
        let data = try relay.player()
        try data.send(Preamble(relay: id ?? relay.rendezvous.relay, nonce: nonce).encode())
        return data
    }

    /// Dials with a nonce for parking, and returns when the relay has parked the connection. The nonce that PARK
    /// brought in `up` has to be given.
    func park(_ nonce: Nonce, at relay: TestRelay) throws -> Peer {
        let before = relay.context.metrics.parked.current
        let data = try dial(nonce)
        relay.eventually("the connection was not parked") { relay.context.metrics.parked.current > before }
        return data
    }
}

extension Peer {
    /// START, as the agent reads it.
    func readStart() throws -> Start {
        let header = try read(3)
        let bytes = header + (try read(Int(header[1]) << 8 | Int(header[2])))
        guard case .message(let start, bytes.count) = try Start.decode(bytes.span) else {
            throw TestFailure("START does not decode")
        }
        return start
    }
}
