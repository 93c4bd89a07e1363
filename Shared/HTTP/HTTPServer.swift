import CLinux
import Core
import IO

/// The HTTP server of one loop. Several loops may serve one address: the kernel spreads the connections.
public final class HTTPServer {
    /// Called on the loop's thread: answer at once, or hand the responder to whoever will.
    public typealias Handler = @Sendable (HTTPRequest, HTTPResponder) -> Void
    /// The largest body in bytes that a request may have, known from its head.
    public typealias BodyLimit = @Sendable (HTTPRequestHead) -> Int
    /// Puts into words what is answered without the handler: a message that cannot be read, is too large or too
    /// late, a connection too many, an answer that never came.
    public typealias Refusing = @Sendable (HTTPRefusal) -> HTTPResponse

    let loop: EventLoop
    let limits: HTTPServerLimits
    let bodyLimit: BodyLimit
    let refuse: Refusing
    let handler: Handler
    private let listener: Listener
    private let accepting: Accepting
    private var dates = HTTPDateLine()

    /// What the listener's closure shares with the server, so that neither holds the other.
    private final class Accepting {
        weak var server: HTTPServer?
        var connections: [ObjectIdentifier: HTTPServerConnection] = [:]
        var whenEmpty: (() -> Void)?
    }

    /// Port 0 takes a free port: see `localAddress`. The server lives until it is stopped or let go.
    public init(
        loop: EventLoop, address: SocketAddress, limits: HTTPServerLimits = HTTPServerLimits(),
        bodyLimit: @escaping BodyLimit, refuse: @escaping Refusing = HTTPResponse.refusal,
        handler: @escaping Handler
    ) throws(SystemError) {
        self.loop = loop
        self.limits = limits
        self.bodyLimit = bodyLimit
        self.refuse = refuse
        self.handler = handler
        let accepting = Accepting()
        self.accepting = accepting
        listener = try Listener(loop: loop, address: address) { descriptor, peer in
            accepting.server?.accept(descriptor, peer)
        }
        accepting.server = self
    }

    deinit { listener.close() }

    public var localAddress: SocketAddress { listener.localAddress }
    public var connectionCount: Int { accepting.connections.count }

    var dateLine: [UInt8] { dates.line(at: WallTime.now()) }

    private func accept(_ descriptor: consuming Descriptor, _ peer: SocketAddress) {
        guard connectionCount < limits.connections else { return turnAway(descriptor) }
        let connection = HTTPServerConnection(server: self, peer: peer)
        accepting.connections[ObjectIdentifier(connection)] = connection
        connection.start(descriptor)
    }

    /// Too many connections: the peer is told so without a place being made for it.
    private func turnAway(_ descriptor: consuming Descriptor) {
        var output: [UInt8] = []
        ResponseWriter.write(
            refuse(HTTPRefusal(503, "too many connections, try again later")), toHead: false, closes: true,
            date: dateLine, into: &output)
        _ = output.withUnsafeBytes {
            CLinux.send(descriptor.rawValue, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
    }

    func forget(_ connection: HTTPServerConnection) {
        accepting.connections[ObjectIdentifier(connection)] = nil
        if accepting.connections.isEmpty, let done = accepting.whenEmpty.take() { done() }
    }

    /// Accepts what has already knocked, then no more; idle connections close, the others after their last
    /// answer, all after `deadline`. `done` is called once, on the loop.
    public func stopGracefully(within deadline: Milliseconds, _ done: @escaping () -> Void = {}) {
        listener.ready(.readable)
        listener.close()
        let timer = loop.schedule(after: deadline) { [accepting] in
            for connection in Array(accepting.connections.values) { connection.abort() }
        }
        accepting.whenEmpty = { [loop] in
            loop.cancel(timer)
            done()
        }
        for connection in Array(accepting.connections.values) { connection.stop() }
        if accepting.connections.isEmpty, let done = accepting.whenEmpty.take() { done() }
    }

    /// Closes everything at once.
    public func close() {
        listener.close()
        for connection in Array(accepting.connections.values) { connection.abort() }
    }
}

/// The shell around one connection's state: moves bytes, answers and time between it, the stream and the loop.
final class HTTPServerConnection: StreamHandler {
    private let server: HTTPServer
    private let peer: SocketAddress
    private var state: ServerConnectionState
    private var stream: Stream?
    /// One timer at most; it is moved only to an earlier time, and asks for the true deadline when it rings.
    private var timer: TimerID?
    private var timerDue = Instant(nanoseconds: 0)
    private var saidEnd = false
    private let presence = ClientPresence()

    init(server: HTTPServer, peer: SocketAddress) {
        self.server = server
        self.peer = peer
        state = ServerConnectionState(limits: server.limits, now: server.loop.now, refuse: server.refuse)
    }

    func start(_ descriptor: consuming Descriptor) {
        let stream = Stream(loop: server.loop, descriptor: descriptor, handler: self)
        self.stream = stream
        stream.start()
        if self.stream != nil { apply() }
    }

    func streamReceived(_ stream: Stream) { readOn() }

    func streamDrained(_ stream: Stream) {
        state.outputWaits(0, now: server.loop.now)
        readOn()
    }

    func streamInputEnded(_ stream: Stream) {
        presence.end()
        state.inputEnded()
        readOn()
    }

    func streamClosed(_ stream: Stream, _ end: StreamEnd) {
        self.stream = nil
        presence.end()
        if let timer = timer.take() { server.loop.cancel(timer) }
        server.forget(self)
    }

    func answered(_ number: UInt64, _ answer: ServerConnectionState.Answer) {
        state.answered(number, answer, date: server.dateLine, now: server.loop.now)
        // The answer may have made room for a request that was already read.
        readOn()
    }

    func stop() {
        state.stop(now: server.loop.now)
        apply()
    }

    func abort() { stream?.close() }

    /// Hands requests over until there is no whole one left, or too many answers wait to be sent.
    private func readOn() {
        guard let stream, let id = stream.id else { return }
        let date = server.dateLine
        var goesOn = true
        while goesOn, !stream.isClosed {
            goesOn = deliver(stream, id, date)
            apply()
        }
        stream.wakeIfMoreToRead()
    }

    /// True when there was a request and more may follow once the answers are sent.
    private func deliver(_ stream: Stream, _ id: SourceID, _ date: [UInt8]) -> Bool {
        let now = server.loop.now
        var delivered = false
        while true {
            var consumed = 0
            let delivery = stream.input.withSpan { input in
                state.received(
                    input, consumed: &consumed, now: now, date: date, bodyLimit: server.bodyLimit)
            }
            stream.input.consume(consumed)
            guard let delivery else { return delivered && !stream.input.isEmpty }
            delivered = true
            let ticket = ResponseTicket(
                mailbox: server.loop.mailbox, source: id, number: delivery.number, presence: presence)
            server.handler(
                HTTPRequest(head: delivery.head, body: delivery.body, peer: peer), HTTPResponder(ticket))
            ticket.detach { state.answered(delivery.number, $0, date: date, now: now) }
        }
    }

    /// Does what the state decided.
    private func apply() {
        guard let stream else { return }
        let output = state.takeOutput()
        if !output.isEmpty { stream.send(output) }
        guard !stream.isClosed else { return }
        state.outputWaits(stream.unsentBytes, now: server.loop.now)
        switch state.ending {
        case .open: break
        case .now: return stream.close()
        case .afterOutput where stream.unsentBytes == 0:
            if stream.inputEnded { return stream.close() }
            sayEnd()
        case .afterOutput: break
        }
        arm()
    }

    /// Tells the peer that nothing more comes and waits for it to close. Closing at once, with bytes of its
    /// unread, would make the kernel throw our last answer away (RFC 9112 section 9.6).
    private func sayEnd() {
        guard !saidEnd, let raw = stream?.rawDescriptor else { return }
        saidEnd = true
        shutdown(raw, Int32(SHUT_WR))
    }

    private func arm() {
        guard let deadline = state.deadline else { return }
        if let timer {
            guard deadline < timerDue else { return }
            server.loop.cancel(timer)
        }
        timerDue = deadline
        let delay = Milliseconds(deadline.since(server.loop.now).count + 1)
        timer = server.loop.schedule(after: delay) { [self] in
            timer = nil
            state.timePassed(now: server.loop.now, date: server.dateLine)
            apply()
        }
    }
}
