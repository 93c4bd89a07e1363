import CLinux
import Core
import Dispatch
import HTTP
import IO
import Synchronization

/// A loop on a thread of its own with one server, for tests that use real sockets.
final class TestServer: Sendable {
    let thread: LoopThread
    let address: SocketAddress
    private let server: LoopBound<HTTPServer>

    init(
        limits: HTTPServerLimits = HTTPServerLimits(), bodyLimitBytes: Int = 1_000_000,
        _ handler: @escaping HTTPServer.Handler
    ) throws {
        thread = try LoopThread.start(name: "http-test")
        let made = Held<Result<(SocketAddress, LoopBound<HTTPServer>), SystemError>>()
        thread.mailbox.post { loop in
            made.set(
                Result { () throws(SystemError) in
                    let any = SocketAddress(octets: [127, 0, 0, 1], port: 0)
                    guard let any else { throw SystemError("address", code: EINVAL) }
                    let server = try HTTPServer(
                        loop: loop, address: any, limits: limits, bodyLimit: { _ in bodyLimitBytes },
                        handler: handler)
                    return (server.localAddress, LoopBound(server, loop))
                })
        }
        (address, server) = try made.wait().get()
    }

    var url: String { "http://\(address)" }

    /// Runs on the loop's thread and waits for it.
    func onLoop<T: Sendable>(_ work: @escaping @Sendable (EventLoop, HTTPServer) -> T) -> T {
        let held = Held<T>()
        thread.mailbox.post { [server] loop in held.set(work(loop, server.get(loop))) }
        return held.wait()
    }

    /// Begins a graceful stop; the answer is set when it is over.
    func stop(within deadline: Milliseconds = .seconds(10)) -> Held<Bool> {
        let held = Held<Bool>()
        thread.mailbox.post { [server] loop in
            server.get(loop).stopGracefully(within: deadline) { held.set(true) }
        }
        return held
    }

    deinit {
        thread.mailbox.post { [server] loop in server.get(loop).close() }
        thread.stop()
        thread.join()
    }
}

/// A value that one thread sets and another waits for.
final class Held<T: Sendable>: Sendable {
    private let value = Mutex<T?>(nil)
    private let signal = DispatchSemaphore(value: 0)

    func set(_ new: T) {
        value.withLock { $0 = new }
        signal.signal()
    }

    func wait() -> T {
        while true {
            if let found = value.withLock({ $0 }) { return found }
            signal.wait()
        }
    }
}

/// A blocking connection that gives up after 10 s.
final class RawClient {
    private let descriptor: Descriptor

    init(_ address: SocketAddress) throws {
        let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw SystemError.last("socket") }
        descriptor = Descriptor(owning: raw)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(raw, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        guard address.withSockaddr({ connect(raw, $0, $1) }) == 0 else { throw SystemError.last("connect") }
    }

    func send(_ text: String) { send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                CLinux.send(descriptor.rawValue, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            sent += count
        }
    }

    func endSending() { shutdown(descriptor.rawValue, Int32(SHUT_WR)) }

    /// What comes until the text has come, the peer closes, or 10 s pass.
    func receive(until end: String? = nil) -> String {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            if let end, String(decoding: bytes, as: UTF8.self).hasSuffix(end) { break }
            let count = recv(descriptor.rawValue, &chunk, chunk.count, 0)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// True when the peer has closed; false when nothing came for 10 s.
    func sawClose() -> Bool {
        var byte: UInt8 = 0
        return recv(descriptor.rawValue, &byte, 1, 0) == 0
    }
}
