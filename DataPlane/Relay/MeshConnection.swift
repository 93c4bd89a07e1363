import Core
import IO
import Wire

/// One TLS connection between two relays, with both their certificates checked, on the relay's first loop. A silent
/// one is asked, and given up when it stays silent.
final class MeshConnection: StreamHandler {
    /// The other relay, whose certificate this connection shows.
    let relay: String
    let number: Int
    let isDialled: Bool
    private let loop: EventLoop
    private let patience: RelayPatience
    private unowned let mesh: Mesh
    private var stream: IO.Stream?
    private var lastHeard: Instant
    private var pulse: TimerID?
    /// The other side said WELCOME, or was told so.
    private(set) var isUp: Bool
    /// Answers to this relay's questions that came here, as PRESENCE says.
    private(set) var answersHeard = 0
    /// ... and as many it has said already.
    var answersTold = 0
    private var answersSent = 0
    /// Whom answers sent here let in, oldest first, until the other relay says that it has heard them.
    private var unsettled: [(answer: Int, tunnel: String, nonce: Nonce)] = []
    /// One that never says so is not remembered without end.
    private static let maxUnsettled = 4096
    private static let maxInputBytes = 2 * (MeshFrame.headerBytes + MeshFrame.maxPayloadBytes)
    private static let maxOutputBytes = 1024 * 1024

    /// Dialled just now; call `start`.
    init(
        _ mesh: Mesh, to relay: String, number: Int, descriptor: consuming Descriptor, codec: any StreamCodec
    ) {
        self.mesh = mesh
        self.relay = relay
        self.number = number
        loop = mesh.loop
        patience = mesh.context.patience
        lastHeard = loop.now
        isUp = false
        isDialled = true
        stream = Stream(
            loop: loop, descriptor: descriptor, codec: codec, maxInputBytes: Self.maxInputBytes,
            maxOutputBytes: Self.maxOutputBytes, handler: self)
        schedulePulse()
    }

    /// Says HELLO.
    func start(_ hello: MeshFrame) {
        stream?.start()
        send(hello)
    }

    /// Accepted, and known by its certificate.
    init(_ mesh: Mesh, from relay: String, number: Int, moved: MovedStream) {
        self.mesh = mesh
        self.relay = relay
        self.number = number
        loop = mesh.loop
        patience = mesh.context.patience
        lastHeard = loop.now
        isUp = true
        isDialled = false
        stream = Stream(
            moved: moved, on: loop, maxInputBytes: Self.maxInputBytes, maxOutputBytes: Self.maxOutputBytes,
            handler: self)
        schedulePulse()
        send(.welcome)
    }

    func send(_ frame: MeshFrame) { stream?.send(frame.encode()) }

    func send(_ answer: MeshAnswer, to question: MeshQuestion) {
        answersSent &+= 1
        if question.isLogin, case .opened = answer {
            unsettled.append((answersSent, question.tunnel, question.nonce))
            if unsettled.count > Self.maxUnsettled { unsettled.removeFirst(Self.maxUnsettled / 2) }
        }
        send(.answer(number: question.number, answer))
    }

    /// Takes out, by tunnel, whom the first so many answers let in.
    func settle(_ answers: Int) -> [String: [Nonce]] {
        let heard = unsettled.prefix { $0.answer <= answers }
        unsettled.removeFirst(heard.count)
        return Dictionary(grouping: heard, by: \.tunnel).mapValues { $0.map(\.nonce) }
    }

    func close() { stream?.close() }

    func streamReceived(_ stream: IO.Stream) {
        lastHeard = loop.now
        while !stream.isClosed {
            let decoded = stream.input.withSpan { bytes in
                Result { () throws(WireError) in try MeshFrame.decode(bytes) }
            }
            switch decoded {
            case .success(.needMore): return
            case .success(.skipped(let consumed)): stream.input.consume(consumed)
            case .success(.message(let frame, let consumed)):
                stream.input.consume(consumed)
                handle(frame)
            case .failure(let error): return stream.close(.protocolError(error.description))
            }
        }
    }

    private func handle(_ frame: MeshFrame) {
        switch frame {
        case .welcome:
            guard !isUp else { return }
            isUp = true
            mesh.cameUp(self)
        case .ping(let token): send(.pong(token))
        case .hello, .pong: break
        default:
            if case .answer = frame { answersHeard &+= 1 }
            if isUp { mesh.received(frame, on: self) }
        }
    }

    func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) {
        if let pulse { loop.cancel(pulse) }
        pulse = nil
        self.stream = nil
        mesh.closed(self, end)
    }

    private func schedulePulse() {
        pulse = loop.schedule(after: patience.pulse) { [weak self] in
            guard let self, let stream = self.stream else { return }
            let silence = self.loop.now.since(self.lastHeard)
            if silence >= self.patience.silence {
                return stream.close(.protocolError("silent for too long"))
            }
            if self.isUp, silence >= self.patience.pulse { self.send(.ping(self.loop.now.nanoseconds)) }
            self.schedulePulse()
        }
    }
}
