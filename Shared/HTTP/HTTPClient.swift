import Core
import IO
import TLS

/// A request of ours to a server.
public struct HTTPClientRequest: Sendable {
    public var method: String
    public var url: HTTPURL
    public var headers: HTTPHeaders
    public var body: [UInt8]
    /// For the connection, its TLS handshake included.
    public var connectDeadline = Milliseconds.seconds(10)
    /// From the request to the answer's head: for a long poll, more than the server may take.
    public var headDeadline = Milliseconds.seconds(30)
    /// From the answer's head to its end.
    public var bodyDeadline = Milliseconds.seconds(30)
    public var maxResponseBytes = 4 * 1024 * 1024
    /// Not on a kept connection, which the server may be about to close: for requests that must not be left in doubt.
    public var takesFreshConnection = false

    public init(
        _ method: String, _ url: HTTPURL, headers: HTTPHeaders = HTTPHeaders(), body: [UInt8] = []
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }

    /// A request with a JSON body.
    public init(_ method: String, _ url: HTTPURL, headers: HTTPHeaders = HTTPHeaders(), json: JSON) {
        var headers = headers
        headers["Content-Type"] = "application/json"
        self.init(method, url, headers: headers, body: json.bytes)
    }

    /// Doing it twice does what doing it once does (RFC 9110 section 9.2.2).
    var isIdempotent: Bool { ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"].contains(method) }
}

/// Why there is no answer, in words for whoever runs the program.
public enum HTTPClientError: Error, Sendable, Hashable, CustomStringConvertible {
    case connect(ConnectError)
    /// TLS, or a connection that broke.
    case connection(Endpoint, String)
    case timedOut(Endpoint, waitingFor: String)
    case badAnswer(Endpoint, HTTPRefusal)
    case cancelled

    public var description: String {
        switch self {
        case .connect(let error): error.description
        case .connection(let endpoint, let reason): "the connection to \(endpoint) broke: \(reason)"
        case .timedOut(let endpoint, let what): "\(endpoint) took too long: no \(what)"
        case .badAnswer(let endpoint, let refusal):
            "\(endpoint) sent an answer that is no good: \(refusal.reason)"
        case .cancelled: "the request was cancelled"
        }
    }
}

/// Makes requests on one loop and keeps a few connections for the next ones. Redirects are answers like any
/// other: nothing is followed.
public final class HTTPClient {
    public typealias Done = (Result<HTTPResponse, HTTPClientError>) -> Void
    /// Makes the TLS end of a connection to that host.
    public typealias Secure = (_ host: String) throws(CodecError) -> any StreamCodec

    private struct Origin: Hashable {
        let isSecure: Bool
        let endpoint: Endpoint
    }

    let loop: EventLoop
    private let secure: Secure
    private var idle: [Origin: [HTTPClientConnection]] = [:]
    private static let idlePerOrigin = 4
    static let idleDeadline = Milliseconds.seconds(20)

    public init(loop: EventLoop, secure: @escaping Secure) {
        self.loop = loop
        self.secure = secure
    }

    /// For `https`, servers are known by name and the authorities that this machine trusts.
    public convenience init(loop: EventLoop, oldest: TLSVersion = .tls13) {
        self.init(loop: loop) { host throws(CodecError) in
            let context: TLSClientContext
            do throws(TLSError) {
                context = try TLSClientContext(verify: .system(host: host), oldest: oldest)
            } catch {
                throw CodecError(error.description)
            }
            return try context.codec()
        }
    }

    deinit { closeIdle() }

    /// `done` is called once, on the loop, never from within this call.
    @discardableResult
    public func send(_ request: HTTPClientRequest, _ done: @escaping Done) -> HTTPClientCall {
        let call = HTTPClientCall(client: self, request: request, done: done)
        let origin = Origin(isSecure: request.url.isSecure, endpoint: request.url.endpoint)
        if !request.takesFreshConnection, let connection = idle[origin]?.popLast() {
            call.begin(on: connection, reused: true)
        } else {
            connect(call)
        }
        return call
    }

    /// Lets kept connections go.
    public func closeIdle() {
        for connection in idle.values.joined() { connection.close() }
        idle = [:]
    }

    func connect(_ call: HTTPClientCall) {
        let url = call.request.url
        let deadline = loop.now + call.request.connectDeadline
        loop.connect(url.endpoint, timeout: call.request.connectDeadline) { [self] result in
            // Unfinished business of a call that was cancelled meanwhile ends here.
            switch consume result {
            case .failure(let error): call.finish(.failure(.connect(error)))
            case .success(let descriptor):
                guard !call.isDone else { return }
                do throws(CodecError) {
                    let codec = url.isSecure ? try secure(url.endpoint.host) : nil
                    let connection = HTTPClientConnection(client: self)
                    call.begin(on: connection, reused: false, openBy: deadline)
                    connection.start(descriptor, codec)
                } catch {
                    call.finish(.failure(.connection(url.endpoint, error.reason)))
                }
            }
        }
    }

    func keep(_ connection: HTTPClientConnection, _ url: HTTPURL) {
        let origin = Origin(isSecure: url.isSecure, endpoint: url.endpoint)
        guard idle[origin, default: []].count < Self.idlePerOrigin else { return connection.close() }
        idle[origin, default: []].append(connection)
        connection.idleEnded = { [weak self] connection in
            self?.idle[origin]?.removeAll { $0 === connection }
        }
        connection.waitIdle()
    }
}

/// One request under way.
public final class HTTPClientCall {
    let request: HTTPClientRequest
    private let client: HTTPClient
    private var done: HTTPClient.Done?
    private var connection: HTTPClientConnection?
    private var parser: ResponseParser
    private var timer: TimerID?
    private var reused = false

    init(client: HTTPClient, request: HTTPClientRequest, done: @escaping HTTPClient.Done) {
        self.client = client
        self.request = request
        self.done = done
        parser = Self.parser(request)
    }

    private static func parser(_ request: HTTPClientRequest) -> ResponseParser {
        ResponseParser(toHead: request.method == "HEAD", bodyLimitBytes: request.maxResponseBytes)
    }

    var isDone: Bool { done == nil }

    /// Ends the request without an answer: `done` is not called any more.
    public func cancel() {
        done = nil
        finish(.failure(.cancelled))
    }

    func begin(on connection: HTTPClientConnection, reused: Bool, openBy: Instant? = nil) {
        self.connection = connection
        self.reused = reused
        connection.take(self)
        if reused {
            opened()
        } else if let openBy {
            wait(openBy.since(client.loop.now), for: "answer to the TLS handshake")
        }
    }

    func opened() {
        wait(request.headDeadline, for: "answer")
        connection?.send(RequestWriter.write(request, keepAlive: true))
    }

    private func wait(_ time: Milliseconds, for what: String) {
        if let timer { client.loop.cancel(timer) }
        let endpoint = request.url.endpoint
        timer = client.loop.schedule(after: time) { [weak self] in
            self?.timer = nil
            self?.finish(.failure(.timedOut(endpoint, waitingFor: what)))
        }
    }

    func received(_ stream: Stream) {
        let hadHead = parser.hasHead
        var consumed = 0
        let event = stream.input.withSpan { parser.feed($0, consumed: &consumed) }
        stream.input.consume(consumed)
        if let event {
            settle(event, inputLeft: !stream.input.isEmpty)
        } else if parser.hasHead, !hadHead {
            wait(request.bodyDeadline, for: "end of the answer")
        }
    }

    /// `cleanly`: the server said so, rather than that the connection broke.
    func inputEnded(_ reason: String, cleanly: Bool) {
        if reused, !parser.hasBegun, request.isIdempotent {
            // The server closed the kept connection before it saw the request: once more on a new one.
            connection?.close()
            connection = nil
            reused = false
            if let timer = timer.take() { client.loop.cancel(timer) }
            parser = Self.parser(request)
            return client.connect(self)
        }
        guard cleanly, parser.hasBegun, let event = parser.inputEnded() else {
            return finish(.failure(.connection(request.url.endpoint, reason)))
        }
        settle(event, inputLeft: false)
    }

    private func settle(_ event: ResponseParser.Event, inputLeft: Bool) {
        switch event {
        case .response(let response, let reusable):
            finish(.success(response), reusable: reusable && !inputLeft)
        case .refused(let refusal): finish(.failure(.badAnswer(request.url.endpoint, refusal)))
        }
    }

    func finish(_ result: Result<HTTPResponse, HTTPClientError>, reusable: Bool = false) {
        if let timer = timer.take() { client.loop.cancel(timer) }
        if let connection = connection.take() {
            connection.leave()
            if reusable { client.keep(connection, request.url) } else { connection.close() }
        }
        if let done = done.take() { done(result) }
    }
}

/// One connection of a client: a call has it, or it waits for the next one.
final class HTTPClientConnection: StreamHandler {
    private let loop: EventLoop
    private var stream: Stream?
    private var call: HTTPClientCall?
    private var idleTimer: TimerID?
    var idleEnded: ((HTTPClientConnection) -> Void)?

    init(client: HTTPClient) { loop = client.loop }

    func start(_ descriptor: consuming Descriptor, _ codec: (any StreamCodec)?) {
        let stream = Stream(loop: loop, descriptor: descriptor, codec: codec, handler: self)
        self.stream = stream
        stream.start()
    }

    func take(_ call: HTTPClientCall) {
        self.call = call
        endIdle()
    }

    func leave() { call = nil }

    func waitIdle() {
        idleTimer = loop.schedule(after: HTTPClient.idleDeadline) { [weak self] in
            self?.idleTimer = nil
            self?.close()
        }
    }

    private func endIdle() {
        idleEnded = nil
        if let timer = idleTimer.take() { loop.cancel(timer) }
    }

    func send(_ bytes: [UInt8]) { stream?.send(bytes) }

    func close() {
        call = nil
        stream?.close()
    }

    func streamOpened(_ stream: Stream) { call?.opened() }

    func streamReceived(_ stream: Stream) {
        // Bytes that nobody asked for: such a connection is not used again.
        guard let call else { return close() }
        call.received(stream)
    }

    func streamInputEnded(_ stream: Stream) {
        guard let call else { return close() }
        call.inputEnded("the server closed it", cleanly: stream.codec?.peerFinished ?? true)
    }

    func streamClosed(_ stream: Stream, _ end: StreamEnd) {
        self.stream = nil
        let ended = idleEnded
        endIdle()
        ended?(self)
        if let call = call.take() { call.inputEnded(end.description, cleanly: false) }
    }
}
