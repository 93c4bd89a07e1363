import CLinux
import Core
import IO

/// Accepts connections on a loopback port and gives each to `serve` on a thread of its own.
final class RawServer: Sendable {
    let port: Int
    private let listener: Int32

    init(_ serve: @escaping @Sendable (Connection) throws -> Void) throws {
        let socket = try HomeServer.boundSocket()
        listener = socket
        guard listen(socket, 512) == 0 else { throw SystemError.last("listen") }
        port = SocketAddress.local(of: socket)?.port ?? 0
        try ThreadHandle.start(name: "raw server") {
            while true {
                let guest = accept4(socket, nil, nil, Int32(O_CLOEXEC))
                guard guest >= 0 else {
                    if mc_errno() == EINTR || mc_errno() == ECONNABORTED { continue }
                    close(socket)
                    return
                }
                let connection = Connection(owning: guest)
                // What goes wrong shows at the test's own end.
                try? ThreadHandle.start(name: "raw guest") { try? serve(connection) }.detach()
            }
        }.detach()
    }

    deinit { shutdown(listener, Int32(SHUT_RDWR)) }

    static func echo() throws -> RawServer {
        try RawServer { connection in
            while true {
                let bytes = try connection.receive(upTo: 65_536, within: .minutes(10))
                if bytes.isEmpty { return connection.finishSending() }
                try connection.send(bytes)
            }
        }
    }
}
