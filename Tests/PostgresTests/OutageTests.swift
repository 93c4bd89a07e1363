import CLinux
import Core
import Postgres
import Support
import Testing

@Suite struct OutageTests {
    /// Every wait has this deadline, so that a caller can be told within a second.
    @Test func gettingAConnectionMayTakeLessThanASecond() {
        #expect(PostgresTimeouts().connect < .seconds(1))
    }

    @Test func whilePostgresIsAwayCallersAreToldAndOnceItIsBackTheyWork() async throws {
        let server = try PrivatePostgres()
        defer { server.end() }
        let url = server.url(database: "postgres")
        let pool = Pool(url: url)
        let patient = Pool(url: url, timeouts: PostgresTimeouts(connect: .seconds(20), work: .seconds(20)))
        try await patient.transaction { tx in _ = try tx.query("SELECT 1") }
        let listener = Listener(url: url, channels: ["news"])
        var events = listener.events.makeAsyncIterator()
        #expect(await events.next() == .listening)

        server.halt()
        await #expect(throws: PostgresError.self) { try await pool.transaction { _ in } }
        await #expect(throws: PostgresError.self) { try await patient.transaction { _ in } }
        guard case .lost? = await events.next() else {
            Issue.record("the listener did not notice")
            return
        }

        try server.resume()
        try await patient.transaction { tx in _ = try tx.query("SELECT 1") }
        while let event = await events.next(), event != .listening {}
        listener.stop()
    }

    /// A socket that accepts in the kernel and never answers, like a server behind a broken path.
    @Test func aServerThatNeverAnswersIsUnavailable() async throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(descriptor, $0, size)
                getsockname(descriptor, $0, &size)
            }
        }
        listen(descriptor, 5)
        let pool = Pool(
            url: "postgresql://nobody:secret@127.0.0.1:\(UInt16(bigEndian: address.sin_port))/none",
            maxConnections: 1)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    await #expect(throws: PostgresError.self) { try await pool.transaction { _ in } }
                }
            }
        }
    }
}
