import AgentCore
import Core
import IO
import TLS
import Wire

/// One TLS connection to a relay that carries the link's frames.
final class Link: StreamHandler {
    enum Event {
        case opened
        case frame(LinkFrame)
        /// Not after `close`.
        case closed(String)
    }

    private let loop: EventLoop
    private let tell: (Event) -> Void
    private var stream: IO.Stream?
    private var isClosed = false
    /// Called once when nothing is left of it.
    var onGone: () -> Void = {}
    private static let connectLimit = Milliseconds.seconds(5)

    init(loop: EventLoop, tell: @escaping (Event) -> Void) {
        self.loop = loop
        self.tell = tell
    }

    func dial(_ relay: PlacedRelay) {
        let codec: TLSCodec
        do throws(CodecError) {
            codec = try Self.codec(for: relay)
        } catch {
            let reason = error.reason
            return loop.atEndOfTurn { [self] in fail(reason) }
        }
        loop.connect(relay.endpoint, timeout: Self.connectLimit) { [self] result in
            switch consume result {
            case .failure(let error): fail(error.description)
            case .success(let descriptor):
                guard !isClosed else { return onGone() }
                let stream = IO.Stream(loop: loop, descriptor: descriptor, codec: codec, handler: self)
                self.stream = stream
                stream.start()
            }
        }
    }

    /// The relay is the one that holds the key of the announced certificate; behind a shared entry its id, as
    /// the server name, leads to it.
    private static func codec(for relay: PlacedRelay) throws(CodecError) -> TLSCodec {
        let context: TLSClientContext
        do throws(TLSError) {
            context = try TLSClientContext(verify: .pinned(fingerprint: relay.fingerprint))
        } catch {
            throw CodecError(error.description)
        }
        return try context.codec(serverName: relay.id)
    }

    func send(_ frame: LinkFrame) { stream?.send(frame.encode()) }

    func close() {
        isClosed = true
        stream?.closeWhenSent()
    }

    private func fail(_ reason: String) {
        if !isClosed {
            isClosed = true
            tell(.closed(reason))
        }
        onGone()
    }

    func streamOpened(_ stream: IO.Stream) {
        if !isClosed { tell(.opened) }
    }

    func streamReceived(_ stream: IO.Stream) {
        while !isClosed, !stream.isClosed {
            let decoded = stream.input.withSpan { bytes in
                Result { () throws(WireError) in try LinkFrame.decode(bytes) }
            }
            switch decoded {
            case .success(.needMore): return
            case .success(.skipped(let consumed)): stream.input.consume(consumed)
            case .success(.message(let frame, let consumed)):
                stream.input.consume(consumed)
                tell(.frame(frame))
            case .failure(let error): return stream.close(.protocolError("the relay sent nonsense: \(error)"))
            }
        }
        stream.input.removeAll()
    }

    func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) {
        self.stream = nil
        fail(end.description)
    }
}
