import CLinux
import Core

/// Why a codec cannot go on; shown to whoever runs the program.
public struct CodecError: Error, Sendable, Hashable, CustomStringConvertible {
    public let reason: String

    public init(_ reason: String) { self.reason = reason }
    public var description: String { reason }
}

/// Turns plain bytes into what goes over the wire and back, without a socket: TLS.
public protocol StreamCodec: AnyObject {
    /// The first bytes to send, if this side speaks first.
    func start(wire: inout [UInt8]) throws(CodecError)
    /// Takes bytes from the peer; appends decoded bytes to `plain` and answers of its own to `wire`.
    func receive(_ cipher: UnsafeRawBufferPointer, plain: inout ByteBuffer, wire: inout [UInt8])
        throws(CodecError)
    func send(_ plain: [UInt8], wire: inout [UInt8]) throws(CodecError)
    /// Appends the codec's own farewell.
    func finish(wire: inout [UInt8])
    /// The handshake is done.
    var isOpen: Bool { get }
    /// The peer said farewell.
    var peerFinished: Bool { get }
}

/// How a stream ended.
public enum StreamEnd: Sendable, Hashable, CustomStringConvertible {
    case closedHere
    case peerClosed
    case failed(SystemError)
    case protocolError(String)

    public var description: String {
        switch self {
        case .closedHere: "closed here"
        case .peerClosed: "the other side closed the connection"
        case .failed(let error): error.reason
        case .protocolError(let reason): reason
        }
    }
}

/// What a stream's owner is told, always on the stream's loop.
public protocol StreamHandler: AnyObject {
    /// Ready for use: at once without a codec, after its handshake with one.
    func streamOpened(_ stream: Stream)
    /// `stream.input` grew. Take what you can from its front.
    func streamReceived(_ stream: Stream)
    /// Output that had to wait is with the kernel now.
    func streamDrained(_ stream: Stream)
    /// The peer will send no more; sending is still possible. Closes unless a handler decides otherwise.
    func streamInputEnded(_ stream: Stream)
    /// The last call, made once.
    func streamClosed(_ stream: Stream, _ end: StreamEnd)
}

extension StreamHandler {
    public func streamOpened(_ stream: Stream) {}
    public func streamDrained(_ stream: Stream) {}
    public func streamInputEnded(_ stream: Stream) { stream.close(.peerClosed) }
}

/// A buffered connection for protocols: control links, HTTP, Redis. Player bytes do not pass here.
public final class Stream: Source {
    public let loop: EventLoop
    /// Plain bytes received and not yet taken.
    public var input = ByteBuffer()
    public let codec: (any StreamCodec)?
    /// The owner; held until the stream closes.
    public var handler: (any StreamHandler)?
    public private(set) var isOpen = false
    public private(set) var inputEnded = false

    private var descriptor: Descriptor?
    private var output = ByteBuffer()
    private let maxInputBytes: Int
    private let maxOutputBytes: Int
    private var readingPaused = false
    private var moreToRead = false
    private var closing = false
    private var started = false
    private var received: [UInt8] = []
    private static let readsPerTurn = 16
    /// How long a peer may take to accept the last bytes of `closeWhenSent`.
    private static let sendLimit = Milliseconds.seconds(5)
    /// ... and then to end its own direction.
    private static let lingerLimit = Milliseconds.seconds(2)

    /// Above `maxInputBytes` of untaken input the stream stops reading; above `maxOutputBytes` of unsent output
    /// it fails: that peer does not read. Call `start()` once the handler is in place.
    public init(
        loop: EventLoop, descriptor: consuming Descriptor, codec: (any StreamCodec)? = nil,
        maxInputBytes: Int = 64 * 1024, maxOutputBytes: Int = 8 * 1024 * 1024, handler: any StreamHandler
    ) {
        self.loop = loop
        self.descriptor = consume descriptor
        self.codec = codec
        self.maxInputBytes = maxInputBytes
        self.maxOutputBytes = maxOutputBytes
        self.handler = handler
        super.init()
    }

    /// Begins to read.
    public func start() {
        guard let raw = descriptor?.rawValue, !started else { return }
        started = true
        do throws(SystemError) {
            try loop.add(self, descriptor: raw)
        } catch {
            return close(.failed(error))
        }
        if codec == nil {
            isOpen = true
            handler?.streamOpened(self)
        } else {
            runCodec { codec, wire throws(CodecError) in try codec.start(wire: &wire) }
        }
        let early = received
        received = []
        if !early.isEmpty { early.withUnsafeBytes { take($0) } }
    }

    public var isClosed: Bool { descriptor == nil }
    public var unsentBytes: Int { output.count }
    public var rawDescriptor: Int32? { descriptor?.rawValue }

    /// Sends now or as soon as the peer reads. Dropped after a close.
    public func send(_ bytes: [UInt8]) {
        guard descriptor != nil, !closing, !bytes.isEmpty else { return }
        if codec == nil { return write(bytes) }
        runCodec { codec, wire throws(CodecError) in try codec.send(bytes, wire: &wire) }
    }

    /// Closes once everything sent so far is with the peer's kernel: our direction ends at once, the peer has
    /// 2 s to end its own. Unsent output may take 5 s.
    public func closeWhenSent() {
        guard descriptor != nil, !closing else { return }
        if let codec {
            var wire: [UInt8] = []
            codec.finish(wire: &wire)
            write(wire)
        }
        guard descriptor != nil else { return }
        closing = true
        loop.schedule(after: Self.sendLimit) { [weak self] in self?.close(.closedHere) }
        if output.isEmpty { linger() }
    }

    /// Everything is sent: ends our direction and waits for the peer to end its own.
    private func linger() {
        guard let raw = descriptor?.rawValue else { return }
        if inputEnded { return close(.closedHere) }
        shutdown(raw, Int32(SHUT_WR))
        loop.schedule(after: Self.lingerLimit) { [weak self] in self?.close(.closedHere) }
        // Edges told so far may have been left unread.
        loop.requeue(self, .readable)
    }

    public func close(_ end: StreamEnd = .closedHere) {
        guard descriptor != nil else { return }
        loop.remove(self)
        descriptor = nil
        input.removeAll()
        output.removeAll()
        let owner = handler
        handler = nil
        owner?.streamClosed(self, end)
    }

    public func pauseReading() { readingPaused = true }

    public func resumeReading() {
        readingPaused = false
        wakeIfMoreToRead()
    }

    /// To be called after taking input outside `streamReceived`.
    public func wakeIfMoreToRead() {
        if moreToRead, !readingPaused, input.count < maxInputBytes { loop.requeue(self, .readable) }
    }

    /// Takes the connection off this loop whole, to go on elsewhere: `Stream(moved:on:)`.
    public func detach() -> MovedStream? {
        loop.remove(self)
        guard let taken = descriptor.take() else { return nil }
        handler = nil
        return MovedStream(
            descriptor: taken.release(), codec: codec, input: input.array(), output: output.array(),
            isOpen: isOpen)
    }

    /// Goes on with a connection detached from another loop. The handler hears of input that came along.
    public convenience init(
        moved: MovedStream, on loop: EventLoop, maxInputBytes: Int = 64 * 1024,
        maxOutputBytes: Int = 8 * 1024 * 1024, handler: any StreamHandler
    ) {
        self.init(
            loop: loop, descriptor: moved.takeDescriptor(), codec: moved.codec,
            maxInputBytes: maxInputBytes, maxOutputBytes: maxOutputBytes, handler: handler)
        input.append(moved.input)
        output.append(moved.output)
        isOpen = moved.isOpen
        started = true
        if let raw = descriptor?.rawValue {
            do throws(SystemError) {
                try loop.add(self, descriptor: raw)
                loop.requeue(self, [.readable, .writable])
                if !input.isEmpty {
                    loop.atEndOfTurn { [self] in
                        if !input.isEmpty { self.handler?.streamReceived(self) }
                    }
                }
            } catch {
                // The handler is still being made.
                closeSoon(.failed(error))
            }
        }
    }

    /// Puts a codec under a connection that had none so far; `start()` gives it what had been received.
    public convenience init(
        wrapping moved: MovedStream, on loop: EventLoop, codec: any StreamCodec,
        maxInputBytes: Int = 64 * 1024, maxOutputBytes: Int = 8 * 1024 * 1024, handler: any StreamHandler
    ) {
        self.init(
            loop: loop, descriptor: moved.takeDescriptor(), codec: codec,
            maxInputBytes: maxInputBytes, maxOutputBytes: maxOutputBytes, handler: handler)
        received = moved.input
    }

    // MARK: reading

    public override func ready(_ readiness: Readiness) {
        if !output.isEmpty, !readiness.isDisjoint(with: [.writable, .hungUp]) { flush() }
        if inputEnded, !readiness.isDisjoint(with: .hungUp) { return resetAfterEnd() }
        if !readiness.isDisjoint(with: [.readable, .hungUp, .readEnded]) { readAll() }
    }

    private func readAll() {
        moreToRead = true
        for _ in 0..<Self.readsPerTurn {
            guard let raw = descriptor?.rawValue, !inputEnded else { return }
            if closing { return discardInput(raw) }
            guard !readingPaused, input.count < maxInputBytes else { return }
            let room = min(EventLoop.scratchBytes, maxInputBytes - input.count)
            let count = recv(raw, loop.scratch.baseAddress, room, 0)
            if count > 0 {
                take(UnsafeRawBufferPointer(rebasing: loop.scratch[..<count]))
            } else if count == 0 {
                moreToRead = false
                return endInput()
            } else {
                switch mc_errno() {
                case EAGAIN:
                    moreToRead = false
                    return
                case EINTR: continue
                case let code: return close(.failed(SystemError("recv", code: code)))
                }
            }
        }
        loop.requeue(self, .readable)
    }

    /// The peer, who had only ended its own direction, is gone altogether.
    private func resetAfterEnd() {
        guard let raw = descriptor?.rawValue else { return }
        let code = SocketOptions.pendingError(raw)
        close(code == 0 ? .peerClosed : .failed(SystemError("recv", code: code)))
    }

    /// While the last output leaves, what the peer still sends is read and dropped: closing with unread input
    /// would reset the connection and destroy the output.
    private func discardInput(_ raw: Int32) {
        for _ in 0..<Self.readsPerTurn {
            let count = recv(raw, loop.scratch.baseAddress, EventLoop.scratchBytes, 0)
            if count > 0 { continue }
            if count < 0, mc_errno() == EAGAIN || mc_errno() == EINTR { return }
            inputEnded = true
            if output.isEmpty { close(.closedHere) }
            return
        }
        loop.requeue(self, .readable)
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        guard codec != nil else {
            input.append(bytes)
            handler?.streamReceived(self)
            return
        }
        let before = input.count
        runCodec { [self] codec, wire throws(CodecError) in
            try codec.receive(bytes, plain: &input, wire: &wire)
        }
        guard descriptor != nil, let codec else { return }
        if !isOpen, codec.isOpen {
            isOpen = true
            handler?.streamOpened(self)
        }
        if descriptor != nil, input.count > before { handler?.streamReceived(self) }
        if descriptor != nil, codec.peerFinished { endInput() }
    }

    private func endInput() {
        guard !inputEnded, descriptor != nil else { return }
        inputEnded = true
        handler?.streamInputEnded(self)
    }

    // MARK: writing

    private func runCodec(_ step: (any StreamCodec, inout [UInt8]) throws(CodecError) -> Void) {
        guard let codec else { return }
        var wire: [UInt8] = []
        do throws(CodecError) {
            try step(codec, &wire)
            write(wire)
        } catch {
            write(wire)  // the alert that tells the peer why
            closeSoon(.protocolError(error.reason))
        }
    }

    private func write(_ bytes: [UInt8]) {
        guard let raw = descriptor?.rawValue, !bytes.isEmpty else { return }
        var sent = 0
        if output.isEmpty {
            let count = bytes.withUnsafeBytes {
                CLinux.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0 {
                let code = mc_errno()
                guard code == EAGAIN || code == EINTR else { return fail(code) }
            }
            sent = max(0, count)
        }
        guard sent < bytes.count else { return }
        output.append(bytes[sent...])
        if output.count > maxOutputBytes { closeSoon(.protocolError("the other side does not read")) }
    }

    private func flush() {
        while let raw = descriptor?.rawValue, !output.isEmpty {
            let count = output.withUnsafeBytes {
                CLinux.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0 {
                let code = mc_errno()
                if code == EAGAIN { return }
                if code == EINTR { continue }
                return close(.failed(SystemError("send", code: code)))
            }
            output.consume(count)
        }
        guard descriptor != nil else { return }
        if closing { return linger() }
        handler?.streamDrained(self)
    }

    private func fail(_ code: Int32) { closeSoon(.failed(SystemError("send", code: code))) }

    /// A failure inside `send` is told after the caller returned, so that no owner is called back from within
    /// its own call.
    private func closeSoon(_ end: StreamEnd) {
        closing = true
        loop.atEndOfTurn { [self] in close(end) }
    }
}

/// A connection between two owners: another loop, or a splice.
public final class MovedStream: @unchecked Sendable {
    // Unchecked because exactly one loop holds it at a time: the old one let go in `detach`.
    private var descriptor: Int32
    let codec: (any StreamCodec)?
    /// Received and not taken.
    public let input: [UInt8]
    /// Accepted for sending and not yet sent.
    public let output: [UInt8]
    let isOpen: Bool

    fileprivate init(
        descriptor: Int32, codec: (any StreamCodec)?, input: [UInt8], output: [UInt8], isOpen: Bool
    ) {
        self.descriptor = descriptor
        self.codec = codec
        self.input = input
        self.output = output
        self.isOpen = isOpen
    }

    /// To be called once: by the one who goes on with the connection.
    func takeDescriptor() -> Descriptor {
        defer { descriptor = -1 }
        return Descriptor(owning: descriptor)
    }

    deinit { if descriptor >= 0 { CLinux.close(descriptor) } }
}
