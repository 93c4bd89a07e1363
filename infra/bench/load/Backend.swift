import CLinux
import IO

/// What a client asks the backend for with the first byte after its handshake. The backend answers with the same
/// byte, so that the client knows that the whole way stands.
enum Order: UInt8 {
    /// Every byte comes back.
    case echo = 0x45
    /// After eight more bytes, a big-endian count, that many bytes come.
    case bulk = 0x42
}

/// Serves until the process is ended; prints its address.
func serve(on loop: EventLoop) throws(SystemError) {
    guard let address = SocketAddress("127.0.0.1:0") else { stop("127.0.0.1 is no address") }
    let listener = try Listener(loop: loop, address: address) { descriptor, _ in
        SocketOptions.tune(descriptor.rawValue)
        let connection = BackendConnection(loop, descriptor)
        try? loop.add(connection, descriptor: connection.raw)
    }
    say("\(listener.localAddress)")
    loop.run()
}

/// One client of the backend: its handshake, its order, and then bytes.
final class BackendConnection: Source {
    private enum Stage {
        case prelude
        case echo
        case count
        case bulk(left: Int)
    }

    private let loop: EventLoop
    private var descriptor: Descriptor?
    let raw: Int32
    private var stage = Stage.prelude
    private var received: [UInt8] = []
    private var unsent: [UInt8] = []
    private static let block = [UInt8](repeating: 0x5A, count: 256 * 1024)

    init(_ loop: EventLoop, _ descriptor: consuming Descriptor) {
        self.loop = loop
        raw = descriptor.rawValue
        self.descriptor = consume descriptor
    }

    override func ready(_ readiness: Readiness) {
        guard descriptor != nil, flush() else { return }
        while descriptor != nil {
            let count = recv(raw, loop.scratch.baseAddress, loop.scratch.count, 0)
            if count > 0 {
                take(UnsafeRawBufferPointer(rebasing: loop.scratch[..<count]))
            } else if count < 0, mc_errno() == EAGAIN {
                break
            } else {
                return close()
            }
        }
        sendBulk()
    }

    private func close() {
        loop.remove(self)
        descriptor = nil
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        if case .echo = stage { return send(bytes) }
        received += bytes
        if case .prelude = stage, let order = prelude() {
            stage = order == .echo ? .echo : .count
            [order.rawValue].withUnsafeBytes { send($0) }
        }
        if case .count = stage, received.count >= 8 {
            stage = .bulk(left: received[..<8].reduce(0) { $0 << 8 | Int($1) })
        }
    }

    /// Drops the Minecraft frame with which every connection begins, and the order after it.
    private func prelude() -> Order? {
        var length = 0
        var index = 0
        while index < received.count, index < 3 {
            length |= Int(received[index] & 0x7F) << (7 * index)
            index += 1
            guard received[index - 1] < 0x80 else { continue }
            guard received.count > index + length else { return nil }
            let order = Order(rawValue: received[index + length])
            received.removeFirst(index + length + 1)
            if order == nil { close() }
            return order
        }
        return nil
    }

    private func send(_ bytes: UnsafeRawBufferPointer) {
        var sent = 0
        if unsent.isEmpty {
            sent = max(0, CLinux.send(raw, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL)))
        }
        if sent < bytes.count { unsent += bytes[sent...] }
    }

    /// False while the client does not take what waits.
    private func flush() -> Bool {
        while !unsent.isEmpty {
            let sent = unsent.withUnsafeBytes {
                CLinux.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { return false }
            unsent.removeFirst(sent)
        }
        return true
    }

    private func sendBulk() {
        guard descriptor != nil, unsent.isEmpty, case .bulk(var left) = stage else { return }
        while left > 0 {
            let wanted = min(left, Self.block.count)
            let sent = Self.block.withUnsafeBytes {
                CLinux.send(raw, $0.baseAddress, wanted, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { break }
            left -= sent
        }
        stage = .bulk(left: left)
    }
}
