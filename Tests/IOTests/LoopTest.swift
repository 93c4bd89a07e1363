import Core
import IO
import Testing

/// Runs a loop on the test's own thread until the test stops it; a test that hangs fails after 20 s.
func withLoop(_ body: (EventLoop) throws -> Void) throws {
    let loop = try EventLoop()
    loop.schedule(after: .seconds(20)) {
        Issue.record("the loop was not stopped")
        loop.stop()
    }
    try body(loop)
    loop.run()
}

let anyLoopbackPort = SocketAddress(octets: [127, 0, 0, 1], port: 0)

extension Endpoint {
    init(_ address: SocketAddress) { self.init(host: address.host, port: address.port) }
}

/// Listens on loopback and connects once: both ends of a TCP connection.
func withPair(
    _ loop: EventLoop, _ body: @escaping (consuming Descriptor, consuming Descriptor) -> Void
) throws {
    let address = try #require(anyLoopbackPort)
    let pair = Pair(body)
    let listener = try Listener(loop: loop, address: address) { socket, _ in
        pair.give(server: socket)
    }
    loop.connect(Endpoint(listener.localAddress), timeout: .seconds(10)) { result in
        switch consume result {
        case .success(let socket): pair.give(client: socket)
        case .failure(let error): Issue.record("\(error)")
        }
        loop.atEndOfTurn { pair.whenComplete { listener.close() } }
    }
}

private final class Pair {
    private var client: Descriptor?
    private var server: Descriptor?
    private let body: (consuming Descriptor, consuming Descriptor) -> Void
    private var afterwards: (() -> Void)?
    private var isComplete = false

    init(_ body: @escaping (consuming Descriptor, consuming Descriptor) -> Void) { self.body = body }

    func give(client: consuming Descriptor) {
        self.client = consume client
        check()
    }

    func give(server: consuming Descriptor) {
        self.server = consume server
        check()
    }

    func whenComplete(_ work: @escaping () -> Void) {
        if isComplete { work() } else { afterwards = work }
    }

    private func check() {
        guard client != nil, server != nil, let one = client.take(), let two = server.take() else { return }
        isComplete = true
        body(one, two)
        afterwards?()
    }
}

/// A stream's owner made of closures.
final class Handler: StreamHandler {
    var opened: (Stream) -> Void = { _ in }
    var received: (Stream) -> Void = { _ in }
    var drained: (Stream) -> Void = { _ in }
    var inputEnded: (Stream) -> Void = { $0.close(.peerClosed) }
    var closed: (Stream, StreamEnd) -> Void = { _, _ in }

    func streamOpened(_ stream: Stream) { opened(stream) }
    func streamReceived(_ stream: Stream) { received(stream) }
    func streamDrained(_ stream: Stream) { drained(stream) }
    func streamInputEnded(_ stream: Stream) { inputEnded(stream) }
    func streamClosed(_ stream: Stream, _ end: StreamEnd) { closed(stream, end) }
}

/// Takes everything a stream has received.
extension Stream {
    func takeAll() -> [UInt8] {
        let bytes = input.array()
        input.consume(bytes.count)
        return bytes
    }
}

/// Bytes whose order shows.
func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }
