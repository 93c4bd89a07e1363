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
        let claim = try PortClaim(address)
        defer { withExtendedLifetime(claim) {} }
        var servers: [Server] = []
        for mailbox in mailboxes {
            let server = try await start(api, at: claim.address, on: mailbox)
            servers.append(Server(mailbox: mailbox, server: server))
        }
        return Servers(address: claim.address, servers: servers)
    }

    private static func start(_ api: API, at address: SocketAddress, on mailbox: Mailbox) async throws
        -> LoopBound<HTTPServer>
    {
        try await withCheckedThrowingContinuation { continuation in
            mailbox.post { loop in
                do throws(SystemError) {
                    let server = try HTTPServer(
                        loop: loop, address: address, bodyLimit: { api.maxBodyBytes($0) },
                        refuse: { api.refuse($0) }, handler: { api.serve($0, $1) })
                    continuation.resume(returning: LoopBound(server, loop))
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
