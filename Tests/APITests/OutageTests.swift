import Core
import HTTP
import Postgres
import Support
import Testing

@testable import API

@Suite struct DatabaseOutageTests {
    @Test func withoutPostgresEveryRouteSaysSoAndComesBack() async throws {
        let server = try PrivatePostgres()
        defer { server.end() }
        let url = try await server.createDatabase()
        try await Migrator(url: url).run(try Migration.load(directory: Files.root + "/migrations"))
        let fixture = try await Fixture(url: url, timeouts: PostgresTimeouts())
        let account = try await fixture.account()
        let tunnel = try await fixture.tunnel(account)
        try await fixture.relay("r1")
        #expect(try await fixture.place(tunnel, "ses_1", account).status == 201)

        server.halt()
        for _ in 0..<3 {
            let answer = try await fixture.place(tunnel, "ses_1", account)
            #expect(answer.status == 503)
            #expect(answer.headers["retry-after"] == "1")
        }
        #expect(try await fixture.call("GET", "/healthz").status == 200)
        #expect(try await fixture.call("GET", "/readyz").status == 503)

        try server.resume()
        while try await fixture.call("GET", "/readyz").status != 200 {}
        #expect(try await fixture.place(tunnel, "ses_1", account)["generation"] == 1)
    }
}
