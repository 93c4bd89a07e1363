import CLinux
import Core
import Postgres
import Synchronization

/// A Postgres server of our own in a temporary folder, on loopback and a Unix socket. Ends with this process.
/// When it cannot be started every test that asks for it fails: none is skipped.
public final class PrivatePostgres: Sendable {
    public let port: Int
    private let folder: String
    private let command: String
    private let server: Mutex<ChildProcess?>
    private let nextDatabase = Atomic<Int>(0)

    private static let startAttempts = 5
    private static let template = "minecart_template"

    /// One server for all tests of this process, started when it is first asked for.
    private static let sharedServer = Result { () throws(SupportError) in try PrivatePostgres() }

    public static func shared() throws(SupportError) -> PrivatePostgres { try sharedServer.get() }

    /// A new, migrated database on the shared server.
    public static func createDatabase() async throws -> String {
        let server = try shared()
        try await sharedTemplate.value
        return try await server.createDatabase(template: template)
    }

    /// Migrated once; tests' databases are copies of it.
    private static let sharedTemplate = Task {
        let server = try shared()
        let url = try await server.createDatabase(named: template, template: "template0")
        try await Migrator(url: url).run(try Migration.load(directory: Files.root + "/migrations"))
    }

    /// A server apart from the shared one, for tests that take it down.
    public init() throws(SupportError) {
        let binaries = try Self.binaries()
        folder = try Files.temporaryFolder("pg")
        let runAs = try Self.prepareUser(folder)
        let initdb =
            runAs + [
                binaries + "/initdb", "-D", folder + "/data", "-U", "minecart", "-A", "trust", "-E", "UTF8",
                "--locale=C", "--no-sync", "--no-instructions",
            ]
        try ChildProcess.run(initdb[0], Array(initdb.dropFirst()), log: folder + "/log")
        let started = try Self.startOnFreePort(folder, runAs)
        port = started.port
        command = started.command
        server = Mutex(started.server)
    }

    /// A server that follows `primary` until `promote`.
    public init(following primary: PrivatePostgres) throws(SupportError) {
        let binaries = try Self.binaries()
        folder = try Files.temporaryFolder("pg")
        let runAs = try Self.prepareUser(folder)
        let copy =
            runAs + [
                binaries + "/pg_basebackup", "-D", folder + "/data", "-h", "127.0.0.1", "-p",
                "\(primary.port)", "-U", "minecart", "-R", "-X", "stream", "--checkpoint=fast", "--no-sync",
            ]
        try ChildProcess.run(copy[0], Array(copy.dropFirst()), log: folder + "/log")
        let started = try Self.startOnFreePort(folder, runAs)
        port = started.port
        command = started.command
        server = Mutex(started.server)
    }

    /// Makes a follower a server of its own; returns when it takes writes.
    public func promote() async throws {
        try await Pool.runAlone(
            "SELECT pg_promote()", url: url(database: "postgres"), timeout: .seconds(90))
    }

    private static func startOnFreePort(
        _ folder: String, _ runAs: [String]
    ) throws(SupportError) -> (port: Int, command: String, server: ChildProcess?) {
        var attempt = 1
        while true {
            let port = try Files.freePort()
            let command = (runAs + [try binaries() + "/postgres"] + options(folder, port)).joined(
                separator: " ")
            do throws(SupportError) {
                return (port, command, try start(command, folder, port))
            } catch {
                // Somebody else took the port between our look and Postgres' bind.
                guard attempt < startAttempts, error.description.contains("could not bind") else {
                    throw error
                }
                attempt += 1
            }
        }
    }

    /// Ends the server and removes its data.
    public func end() {
        server.withLock { $0.take() }?.end()
    }

    /// Stops the server; its data stay for `resume`.
    public func halt() { server.withLock { $0.take() }?.end(keepFolder: true) }

    public func resume() throws(SupportError) {
        let started = try Self.start(command, folder, port)
        server.withLock { $0 = started }
    }

    /// Stops all of the server's processes where they stand: connections stay open and get no answer.
    public func freeze() throws(SupportError) { try signalProcesses(SIGSTOP) }

    public func thaw() throws(SupportError) { try signalProcesses(SIGCONT) }

    private func signalProcesses(_ number: Int32) throws(SupportError) {
        guard let pid = Files.read(folder + "/data/postmaster.pid")?.split(separator: "\n").first,
            let postmaster = pid_t(pid)
        else { throw SupportError("\(folder)/data/postmaster.pid cannot be read") }
        // The postmaster first, so that it starts no others meanwhile.
        kill(postmaster, number)
        let children = Files.read("/proc/\(postmaster)/task/\(postmaster)/children") ?? ""
        for child in children.split(separator: " ").compactMap({ pid_t($0) }) { kill(child, number) }
    }

    public func url(database: String) -> String { "postgresql://minecart@127.0.0.1:\(port)/\(database)" }

    /// A copy of a database nobody is connected to.
    public func createDatabase(named name: String? = nil, template: String = "template1") async throws
        -> String
    {
        let name = name ?? "test_\(nextDatabase.wrappingAdd(1, ordering: .relaxed).newValue)"
        try await Pool.runAlone(
            "CREATE DATABASE \(name) TEMPLATE \(template)", url: url(database: "postgres"),
            timeout: .seconds(60))
        return url(database: name)
    }

    private static func start(_ command: String, _ folder: String, _ port: Int) throws(SupportError)
        -> ChildProcess
    {
        let log = folder + "/log"
        let child = try ChildProcess(command: command, endSignal: "INT", log: log, remove: folder)
        var problem = SupportError("pg_isready was never asked")
        for _ in 0..<startChecks {
            do throws(SupportError) {
                try ChildProcess.run(
                    try binaries() + "/pg_isready", ["-q", "-h", "127.0.0.1", "-p", "\(port)"], log: log)
                return child
            } catch {
                problem = error
                if ChildProcess.tail(of: log).contains("could not bind") { break }
                usleep(startCheckPause_us)
            }
        }
        child.end(keepFolder: true)
        throw SupportError("the private Postgres did not start: \(problem)")
    }

    private static let startChecks = 600
    private static let startCheckPause_us: UInt32 = 50_000

    /// Postgres refuses to run as root: there it runs as its own user.
    private static func prepareUser(_ folder: String) throws(SupportError) -> [String] {
        guard geteuid() == 0 else { return [] }
        guard let user = getpwnam("postgres") else {
            throw SupportError("there is no user `postgres`: install the package postgresql")
        }
        guard chown(folder, user.pointee.pw_uid, user.pointee.pw_gid) == 0 else {
            throw SupportError("chown \(folder): errno \(mc_errno())")
        }
        return ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    }

    /// Tests need no durability; everything else is as in production.
    private static func options(_ folder: String, _ port: Int) -> [String] {
        let settings = [
            "listen_addresses=127.0.0.1", "port=\(port)", "unix_socket_directories=\(folder)",
            "max_connections=300", "shared_buffers=64MB", "fsync=off", "synchronous_commit=off",
            "full_page_writes=off", "timezone=UTC", "max_wal_size=512MB",
        ]
        return ["-D", folder + "/data"] + settings.flatMap { ["-c", $0] }
    }

    private static func binaries() throws(SupportError) -> String {
        for version in stride(from: 20, through: 14, by: -1) {
            let path = "/usr/lib/postgresql/\(version)/bin"
            if access(path + "/postgres", X_OK) == 0 { return path }
        }
        throw SupportError("no Postgres under /usr/lib/postgresql: install the package postgresql")
    }
}
