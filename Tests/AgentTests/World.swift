import AgentCore
import Core
import Crypto
import HTTP
import IO
import Synchronization
import TLS
import Testing
import Wire

@testable import Agent

/// Everything around one agent, on one loop with real sockets: a control plane that knows one tunnel, two relays and
/// a home server. A test says what happens by closures; one that hangs fails after a minute.
final class World {
    let loop: EventLoop
    let control: FakeControlPlane
    let relay: FakeRelay
    /// Nobody is sent there unless a test says so.
    let other: FakeRelay
    let home: FakeHome
    private(set) var notices: [Notice] = []
    var onNotice: (Notice) -> Void = { _ in }
    private(set) var runner: AgentRunner?
    private var server: HTTPServer?

    init(
        key: String = "test-key", fingerprint: String? = nil, isHomeUp: Bool = true,
        proxyProtocol: ProxyProtocol = .off
    ) throws {
        loop = try EventLoop()
        relay = try FakeRelay(loop, id: "rly_1")
        other = try FakeRelay(loop, id: "rly_2")
        home = try FakeHome(loop)
        control = FakeControlPlane(
            FakePlacement(owner: FakePlacement.Relay(relay, ticket: "the-ticket", fingerprint: fingerprint)))
        let control = control
        let server = try HTTPServer(
            loop: loop, address: try #require(loopback), bodyLimit: { _ in 4096 },
            handler: { request, responder in responder.respond(control.answer(request)) })
        self.server = server
        if !isHomeUp { home.listener.close() }
        var options = UpOptions(control: try ControlURL("http://\(server.localAddress)"))
        options.local = Endpoint(home.listener.localAddress)
        options.proxyProtocol = proxyProtocol
        runner = AgentRunner(
            loop: loop, options: options, key: try AgentKey(.text(key)),
            session: AgentSession.Options(
                session: "ses_test", local: options.local, seed: 1, maxDataConnections: 10)
        ) { [unowned self] notice in
            notices.append(notice)
            onNotice(notice)
        }
    }

    /// Runs the agent until it ends; its exit code.
    func run() -> Int32 {
        loop.schedule(after: .minutes(1)) { [self] in
            Issue.record("the agent did not end: \(notices)")
            loop.stop()
        }
        runner?.start()
        loop.run()
        return runner?.exitCode ?? -1
    }

    func stopAgent() { runner?.interrupt() }
}

let loopback = SocketAddress(octets: [127, 0, 0, 1], port: 0)

extension Endpoint {
    init(_ address: SocketAddress) { self.init(host: address.host, port: address.port) }
}

/// Answers the few calls that the agent makes, and keeps what was asked.
final class FakeControlPlane: Sendable {
    private let seen = Mutex<[String]>([])
    /// Answers 503 to placements.
    let isAway = Mutex(false)
    /// What it answers to placements otherwise.
    let placement: Mutex<FakePlacement>

    init(_ placement: FakePlacement) { self.placement = Mutex(placement) }

    /// Bodies of the placement calls, in order.
    var placements: [String] { seen.withLock { $0 } }

    func answer(_ request: HTTPRequest) -> HTTPResponse {
        guard request.headers["Authorization"] == "Bearer test-key" else {
            return .problem(401, detail: "Who are you?")
        }
        if request.method == "GET" {
            return .json(
                200,
                [
                    "data": [["id": "tun_1", "hostname": "sleepy-creeper.eu.dvv.one", "region": "eu"]],
                    "next_cursor": nil,
                ])
        }
        seen.withLock { $0.append(String(decoding: request.body, as: UTF8.self)) }
        if isAway.withLock({ $0 }) { return .problem(503, detail: "Not now.") }
        return .json(201, placement.withLock { $0 }.json)
    }
}

/// Where the control plane says that the tunnel lives.
struct FakePlacement: Sendable {
    struct Relay: Sendable {
        let id: String
        let endpoint: String
        let fingerprint: String
        var ticket: String

        init(_ relay: FakeRelay, ticket: String, fingerprint: String? = nil) {
            id = relay.id
            endpoint = relay.links.localAddress.description
            self.fingerprint = fingerprint ?? relay.fingerprint
            self.ticket = ticket
        }

        var fields: JSONObject {
            [
                "id": .string(id), "endpoint": .string(endpoint), "fingerprint": .string(fingerprint),
            ]
        }
    }

    var generation = 1
    var owner: Relay
    var standby: Relay?

    var json: JSON {
        var second = standby?.fields
        if let standby { second?["ticket"] = .string(standby.ticket) }
        return [
            "generation": .integer(Int64(generation)), "session": "ses_test", "ticket": .string(owner.ticket),
            "expires_in_s": 300, "relay": .object(owner.fields),
            "standby": second.map { .object($0) } ?? .null,
        ]
    }
}

/// Speaks the relay's side of links and data connections as a test tells it to.
final class FakeRelay {
    let id: String
    let fingerprint: String
    private(set) var links: Listener
    private(set) var data: Listener
    private let handlers = Handlers()

    private final class Handlers {
        var links: [FakeLink] = []
        var onFrame: (LinkFrame, FakeLink) -> Void = { _, _ in }
        var onData: (Preamble, FakeData) -> Void = { _, _ in }
        var codecs: () throws(CodecError) -> any StreamCodec = { () throws(CodecError) in
            throw CodecError("no certificate")
        }
    }

    init(_ loop: EventLoop, id: String) throws {
        self.id = id
        let certificate = try SelfSignedCertificate.generate(commonName: id)
        fingerprint = certificate.fingerprint
        let tls = try TLSServerContext(
            certificatePEM: certificate.certificatePEM, privateKeyPEM: certificate.privateKeyPEM)
        let handlers = handlers
        handlers.codecs = { () throws(CodecError) in try tls.codec() }
        links = try Listener(loop: loop, address: try #require(loopback)) { socket, _ in
            guard let codec = try? handlers.codecs() else { return }
            let link = FakeLink { handlers.onFrame($0, $1) }
            handlers.links.append(link)
            link.start(Stream(loop: loop, descriptor: socket, codec: codec, handler: link))
        }
        data = try Listener(loop: loop, address: try #require(loopback)) { socket, _ in
            let data = FakeData { handlers.onData($0, $1) }
            data.start(Stream(loop: loop, descriptor: socket, handler: data))
        }
    }

    /// Every frame of every link.
    func onFrame(_ work: @escaping (LinkFrame, FakeLink) -> Void) { handlers.onFrame = work }
    /// Every data connection, once its preamble is there.
    func onData(_ work: @escaping (Preamble, FakeData) -> Void) { handlers.onData = work }

    /// On every link that is open.
    func links(send frame: LinkFrame) { for link in handlers.links { link.send(frame) } }

    var rendezvous: Rendezvous { Rendezvous(relay: id, endpoint: data.localAddress.description) }
}

final class FakeLink: StreamHandler {
    private let onFrame: (LinkFrame, FakeLink) -> Void
    private(set) var stream: IO.Stream?

    init(onFrame: @escaping (LinkFrame, FakeLink) -> Void) { self.onFrame = onFrame }

    func start(_ stream: IO.Stream) {
        self.stream = stream
        stream.start()
    }

    func send(_ frame: LinkFrame) { stream?.send(frame.encode()) }

    func streamReceived(_ stream: IO.Stream) {
        while !stream.isClosed {
            let decoded = stream.input.withSpan { try? LinkFrame.decode($0) }
            guard case .message(let frame, let consumed) = decoded else { return }
            stream.input.consume(consumed)
            onFrame(frame, self)
        }
    }

    func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) { self.stream = nil }
}

/// The relay's end of a data connection; `bytes` is what came behind the preamble.
final class FakeData: StreamHandler {
    private let onData: (Preamble, FakeData) -> Void
    private(set) var stream: IO.Stream?
    private var hasPreamble = false
    private(set) var bytes: [UInt8] = []
    var onBytes: ([UInt8]) -> Void = { _ in }
    var onClosed: () -> Void = {}

    init(onData: @escaping (Preamble, FakeData) -> Void) { self.onData = onData }

    func start(_ stream: IO.Stream) {
        self.stream = stream
        stream.start()
    }

    func send(_ bytes: [UInt8]) { stream?.send(bytes) }
    func close() { stream?.close() }

    func streamReceived(_ stream: IO.Stream) {
        if !hasPreamble {
            let decoded = stream.input.withSpan { try? Preamble.decode($0) }
            guard case .message(let preamble, let consumed) = decoded else { return }
            stream.input.consume(consumed)
            hasPreamble = true
            onData(preamble, self)
        }
        guard !stream.isClosed, !stream.input.isEmpty else { return }
        bytes += stream.input.array()
        stream.input.removeAll()
        onBytes(bytes)
    }

    func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) {
        self.stream = nil
        onClosed()
    }
}

/// Sends everything back, in capitals as it were: each byte one higher.
final class FakeHome: StreamHandler {
    private(set) var listener: Listener
    private(set) var received: [UInt8] = []
    private let box: Box

    private final class Box { weak var home: FakeHome? }

    init(_ loop: EventLoop) throws {
        let box = Box()
        self.box = box
        listener = try Listener(loop: loop, address: try #require(loopback)) { socket, _ in
            guard let home = box.home else { return }
            Stream(loop: loop, descriptor: socket, handler: home).start()
        }
        box.home = self
    }

    func streamReceived(_ stream: IO.Stream) {
        let bytes = stream.input.array()
        stream.input.consume(bytes.count)
        received += bytes
        stream.send(bytes.map { $0 &+ 1 })
    }

    func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) {}
}
