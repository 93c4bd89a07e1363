import CLinux
import Core
import IO
import Synchronization

/// A TCP connection over loopback that blocks, with a deadline on every wait. One task may send while another
/// receives.
final class Connection: Sendable {
    private let descriptor: Int32
    private let ahead = Mutex<[UInt8]>([])

    /// The other side was still there when the deadline passed.
    struct Late: Error, CustomStringConvertible {
        let description = "nothing came in time"
    }

    init(to port: Int) throws {
        guard let address = SocketAddress(octets: [127, 0, 0, 1], port: port) else {
            throw Trouble("\(port) is no port")
        }
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(O_CLOEXEC), 0)
        guard descriptor >= 0 else { throw SystemError.last("socket") }
        // On loopback it is made or refused at once.
        guard address.withSockaddr({ connect(descriptor, $0, $1) }) == 0 else {
            throw SystemError.last("connect to port \(port)")
        }
        prepare()
    }

    init(owning descriptor: Int32) {
        self.descriptor = descriptor
        prepare()
    }

    deinit { close(descriptor) }

    private func prepare() {
        let flags = mc_fcntl_int(descriptor, F_GETFL, 0)
        _ = mc_fcntl_int(descriptor, F_SETFL, flags | O_NONBLOCK)
        var yes: Int32 = 1
        setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
    }

    var localPort: Int { SocketAddress.local(of: descriptor)?.port ?? 0 }

    // MARK: sending

    func send(_ bytes: [UInt8]) throws { try send(bytes[...]) }

    func send(_ bytes: ArraySlice<UInt8>) throws {
        var rest = bytes
        let deadline = Instant.now() + patience
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                CLinux.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if mc_errno() == EAGAIN {
                try wait(for: POLLOUT, until: deadline)
            } else if mc_errno() != EINTR {
                throw SystemError.last("send")
            }
        }
    }

    /// Nothing more comes from here; receiving goes on.
    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    // MARK: receiving

    /// At most `count` bytes, at least one; empty at the end.
    func receive(upTo count: Int, within limit: Milliseconds = patience) throws -> [UInt8] {
        let waiting = ahead.withLock { ahead in
            let some = Array(ahead.prefix(count))
            ahead.removeFirst(some.count)
            return some
        }
        return waiting.isEmpty ? try read(upTo: count, until: Instant.now() + limit) : waiting
    }

    func receive(exactly count: Int, within limit: Milliseconds = patience) throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            let some = try receive(upTo: min(count - bytes.count, 1 << 20), within: limit)
            guard !some.isEmpty else {
                throw Trouble("the connection ended after \(bytes.count) of \(count) bytes")
            }
            bytes += some
        }
        return bytes
    }

    func receiveToEnd(maxBytes: Int = 1 << 20, within limit: Milliseconds = patience) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count <= maxBytes {
            let some = try receive(upTo: 65_536, within: limit)
            if some.isEmpty { return bytes }
            bytes += some
        }
        throw Trouble("more than \(maxBytes) bytes came")
    }

    /// Gives bytes back that were read too far.
    func putBack(_ bytes: [UInt8]) { ahead.withLock { $0 = bytes + $0 } }

    /// Whether the other side has closed or reset it by now.
    var hasEnded: Bool {
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, Int32(MSG_PEEK))
        return count == 0 || count < 0 && mc_errno() != EAGAIN && mc_errno() != EINTR
    }

    private func read(upTo count: Int, until deadline: Instant) throws -> [UInt8] {
        while true {
            var got = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
                got = recv(descriptor, buffer.baseAddress, count, 0)
                initialized = max(0, got)
            }
            if got >= 0 { return bytes }
            switch mc_errno() {
            case EAGAIN: try wait(for: POLLIN, until: deadline)
            case EINTR: break
            default: throw SystemError.last("recv")
            }
        }
    }

    private func wait(for events: Int32, until deadline: Instant) throws {
        var item = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        let left = deadline.since(.now()).count
        if poll(&item, 1, Int32(clamping: max(0, left))) == 0 { throw Late() }
    }
}
