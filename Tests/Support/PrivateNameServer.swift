import CLinux
import Core
import Synchronization

/// An NSD name server of our own on a loopback port, authoritative for the zones it is given. Ends with this process.
public final class PrivateNameServer: Sendable {
    public let port: Int
    private let folder: String
    private let server: Mutex<ChildProcess?>

    private static let startAttempts = 5
    private static let startChecks = 400
    private static let startCheckPause_us: UInt32 = 20_000

    /// `zones`: records by zone, in the form of a zone file with names relative to the zone. `broken`: zones that it
    /// has to serve but has no records of, so that it answers SERVFAIL.
    public init(zones: [String: String], broken: [String] = []) throws(SupportError) {
        folder = try Files.temporaryFolder("dns")
        var attempt = 1
        while true {
            let port = try Files.freePort()
            do throws(SupportError) {
                try Self.configure(folder, port, Array(zones.keys) + broken)
                for (zone, records) in zones { try Self.write(records, of: zone, in: folder, serial: 1) }
                server = Mutex(try Self.start(folder, port))
                self.port = port
                return
            } catch {
                guard attempt < Self.startAttempts, error.description.contains("already in use") else {
                    throw error
                }
                attempt += 1
            }
        }
    }

    /// What `DNS_SERVERS` takes.
    public var address: String { "127.0.0.1:\(port)" }

    /// Replaces a zone's records. They are served a moment later.
    public func replace(_ zone: String, _ records: String) throws(SupportError) {
        try Self.write(records, of: zone, in: folder, serial: Int(WallTime.now().seconds))
        guard let pid = Files.read(folder + "/pid")?.split(separator: "\n").first.flatMap({ pid_t($0) })
        else {
            throw SupportError("the name server's pid file cannot be read")
        }
        kill(pid, SIGHUP)
    }

    public func end() { server.withLock { $0.take() }?.end() }

    private static func write(
        _ records: String, of zone: String, in folder: String, serial: Int
    ) throws(SupportError) {
        try Files.write(
            """
            $ORIGIN \(zone).
            $TTL 1
            @ SOA ns.\(zone). root.\(zone). \(serial) 60 60 60 1
            @ NS ns.\(zone).
            ns A 127.0.0.1
            \(records)

            """, to: "\(folder)/\(zone).zone")
    }

    private static func configure(_ folder: String, _ port: Int, _ zones: [String]) throws(SupportError) {
        let list = zones.map { "zone:\n  name: \($0)\n  zonefile: \($0).zone\n" }.joined()
        try Files.write(
            """
            server:
              ip-address: 127.0.0.1@\(port)
              server-count: 1
              username: ""
              chroot: ""
              database: ""
              zonesdir: "\(folder)"
              zonelistfile: "\(folder)/zones"
              xfrdfile: "\(folder)/xfrd"
              pidfile: "\(folder)/pid"
              rrl-ratelimit: 0
            remote-control:
              control-enable: no
            \(list)
            """, to: folder + "/nsd.conf")
    }

    private static func start(_ folder: String, _ port: Int) throws(SupportError) -> ChildProcess {
        let log = folder + "/log"
        let child = try ChildProcess(
            command: "/usr/sbin/nsd -d -c \(folder)/nsd.conf", endSignal: "TERM", log: log, remove: folder)
        for _ in 0..<startChecks {
            let words = Files.read(log) ?? ""
            if words.contains("nsd started") { return child }
            if words.contains("already in use") || words.contains("not found") { break }
            usleep(startCheckPause_us)
        }
        let words = ChildProcess.tail(of: log)
        child.end(keepFolder: true)
        throw SupportError("the private name server did not start: \(words)")
    }
}
