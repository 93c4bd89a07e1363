import CLinux
import Core
import Synchronization

/// A Redis server of our own on a loopback port, without persistence. Ends with this process.
public final class PrivateRedis: Sendable {
    public let port: Int
    private let folder: String
    private let command: String
    private let server: Mutex<ChildProcess?>

    private static let startAttempts = 5
    private static let startChecks = 400
    private static let startCheckPause_us: UInt32 = 20_000

    /// One server for all tests of this process; they keep apart by the names of their keys and channels.
    private static let sharedServer = Result { () throws(SupportError) in try PrivateRedis() }

    public static func shared() throws(SupportError) -> PrivateRedis { try sharedServer.get() }

    /// A server apart from the shared one, for tests that take it down or configure it.
    public init(arguments: [String] = []) throws(SupportError) {
        folder = try Files.temporaryFolder("redis")
        var attempt = 1
        while true {
            let port = try Files.freePort()
            let command =
                (["redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "''"]
                + ["--appendonly", "no", "--dir", folder, "--pidfile", folder + "/pid"] + arguments).joined(
                    separator: " ")
            do throws(SupportError) {
                server = Mutex(try Self.start(command, folder, port))
                self.port = port
                self.command = command
                return
            } catch {
                guard attempt < Self.startAttempts, error.description.contains("Address already in use")
                else {
                    throw error
                }
                attempt += 1
            }
        }
    }

    public var url: String { "redis://127.0.0.1:\(port)" }

    /// Ends the server.
    public func end() { server.withLock { $0.take() }?.end() }

    /// Stops the server, as an outage would; what it held is lost.
    public func halt() { server.withLock { $0.take() }?.end(keepFolder: true) }

    public func resume() throws(SupportError) {
        let started = try Self.start(command, folder, port)
        server.withLock { $0 = started }
    }

    /// Keeps the server from answering, with its connections open, until `thaw`.
    public func freeze() throws(SupportError) { try signal(SIGSTOP) }
    public func thaw() throws(SupportError) { try signal(SIGCONT) }

    private func signal(_ signal: Int32) throws(SupportError) {
        let line = (Files.read(folder + "/pid") ?? "").split(separator: "\n").first ?? ""
        guard let process = pid_t(line), process > 1, kill(process, signal) == 0 else {
            throw SupportError("the private Redis does not run")
        }
    }

    private static func start(_ command: String, _ folder: String, _ port: Int) throws(SupportError)
        -> ChildProcess
    {
        let log = folder + "/log"
        let child = try ChildProcess(command: command, endSignal: "TERM", log: log, remove: folder)
        var problem = SupportError("redis-cli was never asked")
        for _ in 0..<startChecks {
            do throws(SupportError) {
                try ChildProcess.run("/usr/bin/redis-cli", ["-p", "\(port)", "ping"], log: log)
                return child
            } catch {
                problem = error
                if ChildProcess.tail(of: log).contains("Address already in use") { break }
                usleep(startCheckPause_us)
            }
        }
        child.end(keepFolder: true)
        throw SupportError("the private Redis did not start: \(problem)")
    }
}
