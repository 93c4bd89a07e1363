import CLinux
import Core
import Crypto
import IO
import Testing

struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// One end of a TCP connection, used from a test's own thread: every call waits for what it wants, but no longer
/// than the deadline.
final class Peer: @unchecked Sendable {
    // Unchecked: a descriptor that one thread reads and another writes, as sockets allow.
    private var descriptor: Descriptor?
    static let deadline_s = 20

    /// `receiveBuffer` in bytes makes a peer that is soon full. `source` is the address to come from: each has
    /// ports of its own.
    init(to address: SocketAddress, receiveBuffer: Int32? = nil, from source: SocketAddress? = nil) throws {
        let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw SystemError.last("socket") }
        descriptor = Descriptor(owning: raw)
        if let receiveBuffer { SocketOptions.set(raw, SOL_SOCKET, SO_RCVBUF, receiveBuffer) }
        SocketOptions.set(raw, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            var limit = timeval(tv_sec: Self.deadline_s, tv_usec: 0)
            setsockopt(raw, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        if let source {
            SocketOptions.set(raw, Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, 1)
            guard source.withSockaddr({ bind(raw, $0, $1) }) == 0 else { throw SystemError.last("bind") }
        }
        guard address.withSockaddr({ connect(raw, $0, $1) }) == 0 else { throw SystemError.last("connect") }
    }

    private var raw: Int32 { descriptor?.rawValue ?? -1 }
    var localPort: Int { SocketAddress.local(of: raw)?.port ?? 0 }

    func send(_ bytes: [UInt8]) throws { try send(bytes[...]) }

    func send(_ bytes: ArraySlice<UInt8>) throws {
        var sent = bytes.startIndex
        while sent < bytes.endIndex {
            let count = bytes[sent...].withUnsafeBytes {
                CLinux.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw SystemError.last("send") }
            sent += count
        }
    }

    /// What there is, at least one byte; empty at the end of the connection.
    func receive(atMost count: Int = 64 * 1024) throws -> [UInt8] {
        var failure: SystemError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            let received = recv(raw, buffer.baseAddress, count, 0)
            if received < 0 { failure = .last("recv") }
            filled = max(0, received)
        }
        if let failure {
            throw failure.code == EAGAIN ? TestFailure("nothing came within the deadline") : failure
        }
        return bytes
    }

    func read(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let more = try receive(atMost: count - bytes.count)
            if more.isEmpty {
                throw TestFailure("the connection ended after \(bytes.count) of \(count) bytes")
            }
            bytes += more
        }
        return bytes
    }

    /// Everything until the other side has ended the connection, by closing or resetting it.
    func readToEnd() throws -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            do {
                let more = try receive()
                if more.isEmpty { return bytes }
                bytes += more
            } catch let error as SystemError where error.code == ECONNRESET {
                return bytes
            }
        }
    }

    func finishSending() { shutdown(raw, Int32(SHUT_WR)) }

    func reset() {
        var now = linger(l_onoff: 1, l_linger: 0)
        setsockopt(raw, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    func close() { descriptor = nil }
}
