import Core
import IO
import TLS
import Wire

/// One TLS connection to a relay that carries the link's frames.
final class CrowdLink: StreamHandler {
    enum Event {
        case opened
        case frame(LinkFrame)
        /// Not after `close`.
        case closed(String)
    }

    private let crowd: Crowd
    private let tell: (Event) -> Void
    private var stream: IO.Stream?
    private var isClosed = false

    init(crowd: Crowd, tell: @escaping (Event) -> Void) {
        self.crowd = crowd
        self.tell = tell
    }

    func dial(_ endpoint: Endpoint, fingerprint: String, serverName: String) {
        let codec: TLSCodec
        do throws(CodecError) {
            codec = try crowd.context(pinning: fingerprint).codec(serverName: serverName)
        } catch {
            let reason = error.reason
            return crowd.loop.atEndOfTurn { [self] in fail(reason) }
        }
        crowd.loop.connect(endpoint, timeout: .seconds(5)) { [self] result in
            switch consume result {
            case .failure(let error): fail(error.description)
            case .success(let descriptor):
                guard !isClosed else { return }
                let stream = IO.Stream(
                    loop: crowd.loop, descriptor: descriptor, codec: codec, handler: self)
                self.stream = stream
                stream.start()
            }
        }
    }

    func send(_ frame: LinkFrame) { stream?.send(frame.encode()) }

    func close() {
        isClosed = true
        stream?.closeWhenSent()
    }

    private func fail(_ reason: String) {
        guard !isClosed else { return }
        isClosed = true
        tell(.closed(reason))
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
            case .failure(let error): return stream.close(.protocolError("\(error)"))
            }
        }
        stream.input.removeAll()
    }

    func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) {
        self.stream = nil
        fail(end.description)
    }
}
