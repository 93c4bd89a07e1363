import API
import CLinux
import Core
import HTTP
import IO

/// One HTTP server per loop at one address: the kernel spreads connections over them.
struct Servers: Sendable {
    private struct Server: Sendable {
        let mailbox: Mailbox
        let server: LoopBound<HTTPServer>
    }

    let address: SocketAddress
    private let servers: [Server]

    static func start(_ api: API, at address: SocketAddress, on mailboxes: [Mailbox]) async throws -> Servers
    {
        try checkFree(address)
        var servers: [Server] = []
        var bound = address
        for mailbox in mailboxes {
            let (server, local) = try await start(api, at: bound, on: mailbox)
            servers.append(Server(mailbox: mailbox, server: server))
            // With port 0 the first chooses for all.
            bound = local
        }
        return Servers(address: bound, servers: servers)
    }

    /// Our listeners share their port, so that several loops can serve it; another process of ours would share it
    /// too, unnoticed. A plain bind fails when anyone listens there.
    private static func checkFree(_ address: SocketAddress) throws(SystemError) {
        guard address.port != 0 else { return }
        let socket = try SocketOptions.tcpSocket(ipv6: address.isIPv6)
        let raw = socket.rawValue
        SocketOptions.set(raw, SOL_SOCKET, SO_REUSEADDR, 1)
        let failure = address.withSockaddr({ bind(raw, $0, $1) }) == 0 ? 0 : mc_errno()
        _ = consume socket
        guard failure == 0 else { throw SystemError("listen at \(address)", code: failure) }
    }

    private static func start(_ api: API, at address: SocketAddress, on mailbox: Mailbox) async throws -> (
        LoopBound<HTTPServer>, SocketAddress
    ) {
        try await withCheckedThrowingContinuation { continuation in
            mailbox.post { loop in
                do throws(SystemError) {
                    let server = try HTTPServer(
                        loop: loop, address: address, bodyLimit: { api.maxBodyBytes($0) },
                        handler: { api.serve($0, $1) })
                    continuation.resume(returning: (LoopBound(server, loop), server.localAddress))
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }

    /// Accepts no more and waits for the answers under way.
    func stop(within deadline: Milliseconds) async {
        await withDiscardingTaskGroup { group in
            for server in servers {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        server.mailbox.post { loop in
                            server.server.get(loop).stopGracefully(within: deadline) { continuation.resume() }
                        }
                    }
                }
            }
        }
    }
}

extension Mailbox {
    /// Waits, on the loop behind this mailbox, for one of these signals, which must be blocked.
    func signal(_ signals: [Int32]) async throws -> Int32 {
        try await withCheckedThrowingContinuation { continuation in
            post { loop in
                let waiter = SignalWaiter(continuation)
                waiter.start(loop, signals)
            }
        }
    }
}

/// Resumes at the first signal; later ones change nothing.
private final class SignalWaiter {
    private var continuation: CheckedContinuation<Int32, any Error>?
    private var source: Signals?

    init(_ continuation: CheckedContinuation<Int32, any Error>) { self.continuation = continuation }

    func start(_ loop: EventLoop, _ signals: [Int32]) {
        do throws(SystemError) {
            source = try Signals(loop: loop, signals) { [self] signal in
                continuation.take()?.resume(returning: signal)
            }
        } catch {
            continuation.take()?.resume(throwing: error)
        }
    }
}
