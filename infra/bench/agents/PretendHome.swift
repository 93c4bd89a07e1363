import AgentCore
import Core
import IO
import Wire

/// One data connection with a home server at its end that is no server: it takes every login, answers a ping with
/// the shortest of statuses, and then sends back what comes.
final class PretendHome: StreamHandler {
    enum Event {
        case unreachable
        case ended
    }

    private enum Stage {
        case arriving
        case handshake
        case login
        case status
        case echo
    }

    let request: DataRequest
    private let loop: EventLoop
    private let tell: (Event) -> Void
    private var machine: DataConnection
    private var stream: IO.Stream?
    private var stage = Stage.arriving
    private var timer: TimerID?
    private var hasEnded = false
    private static let status = #"{"version":{"name":"crowd","protocol":767},"players":{"max":1,"online":0}}"#

    init(loop: EventLoop, request: DataRequest, tell: @escaping (Event) -> Void) {
        self.loop = loop
        self.request = request
        self.tell = tell
        machine = DataConnection(request, home: nil, proxyProtocol: .off)
    }

    var isParked: Bool { machine.isParked }
    var isPlaying: Bool { if case .echo = stage { true } else { false } }

    func start() {
        guard let rendezvous = Endpoint(request.rendezvous.endpoint) else {
            return loop.atEndOfTurn { [self] in end(reached: false) }
        }
        loop.connect(rendezvous, timeout: .seconds(5)) { [self] result in
            guard case .success(let descriptor) = consume result else { return end(reached: false) }
            guard !hasEnded else { return }
            let stream = IO.Stream(loop: loop, descriptor: descriptor, handler: self)
            self.stream = stream
            stream.start()
        }
    }

    func close() {
        stream?.close()
        end(reached: true)
    }

    private func end(reached: Bool) {
        guard !hasEnded else { return }
        hasEnded = true
        if let timer = timer.take() { loop.cancel(timer) }
        if !reached { tell(.unreachable) }
        tell(.ended)
    }

    private func feed(_ event: DataConnection.Event) {
        for action in machine.handle(event, at: loop.now) {
            switch action {
            case .send(let bytes): stream?.send(bytes)
            case .take(let count): stream?.input.consume(count)
            case .dialHome:
                for case .join(let answer, _) in machine.handle(.homeConnected, at: loop.now) {
                    stream?.send(answer)
                    stage = .handshake
                }
            case .join: break
            case .close: stream?.closeWhenSent()
            }
        }
        if let timer = timer.take() { loop.cancel(timer) }
        guard !hasEnded, case .arriving = stage, let deadline = machine.deadline else { return }
        timer = loop.schedule(after: deadline.since(loop.now)) { [weak self] in self?.feed(.timePassed) }
    }

    // MARK: the stream

    func streamOpened(_ stream: IO.Stream) { feed(.connected) }

    func streamReceived(_ stream: IO.Stream) {
        if case .arriving = stage { feed(.received(stream.input.array(count: DataConnection.readBytes))) }
        while !stream.input.isEmpty {
            switch stage {
            case .arriving: return
            case .handshake:
                guard let packet = packet(of: stream) else { return }
                stage = packet.last == 1 ? .status : .login
            case .login:
                guard packet(of: stream) != nil else { return }
                stage = .echo
                // Login success: an id of sixteen bytes, a name, no properties.
                send([2] + [UInt8](repeating: 7, count: 16) + [1, 0x41, 0])
            case .status:
                guard let packet = packet(of: stream) else { return }
                let text = Array(Self.status.utf8)
                send(packet.first == 0 ? [0, UInt8(text.count)] + text : packet)
            case .echo:
                let bytes = stream.input.array()
                stream.input.consume(bytes.count)
                stream.send(bytes)
            }
        }
    }

    func streamInputEnded(_ stream: IO.Stream) { stream.closeWhenSent() }

    func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) {
        self.stream = nil
        self.end(reached: true)
    }

    /// The body of the next packet, if it is all there. None of a login's is longer than two digits can say.
    private func packet(of stream: IO.Stream) -> [UInt8]? {
        let bytes = stream.input.array(count: 2048)
        guard let first = bytes.first else { return nil }
        var start = 1
        var length = Int(first)
        if first >= 0x80 {
            guard bytes.count > 1 else { return nil }
            length = Int(first & 0x7F) | Int(bytes[1]) << 7
            start = 2
        }
        guard bytes.count >= start + length else { return nil }
        stream.input.consume(start + length)
        return Array(bytes[start..<(start + length)])
    }

    /// Bodies here are shorter than 128 bytes.
    private func send(_ body: [UInt8]) { stream?.send([UInt8(body.count)] + body) }
}
