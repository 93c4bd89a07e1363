import Core
import Crypto
import Domain
import HTTP
import Postgres
import Store
import Testing

@testable import API

@Suite struct AuditTests {
    private func entries(_ answer: Fixture.Answer) -> [JSON] { answer["data"]?.arrayValue ?? [] }

    @Test func whatWasDoneIsReadByItsAccountAlone() async throws {
        let fixture = try await Fixture()
        let mine = try await fixture.account()
        let other = try await fixture.account()
        let tunnel = try await fixture.tunnel(mine)
        let deleted = try await fixture.call(
            "DELETE", "/v1/tunnels/\(tunnel)", as: mine.apiKey, peer: "203.0.113.7:4000")
        #expect(deleted.status == 204)

        let answer = try await fixture.call("GET", "/v1/audit", as: mine.apiKey)
        #expect(
            entries(answer).compactMap { $0["action"]?.stringValue } == [
                "tunnel.delete", "tunnel.create", "account.create",
            ])
        let entry = try #require(entries(answer).first)
        #expect(entry["subject"] == .string(tunnel))
        #expect(entry["actor"]?.stringValue?.hasPrefix("apk_") == true)
        #expect(entry["address"] == "203.0.113.7")
        #expect(entry["after"] == .null)
        #expect(entry["before"] == entries(answer)[1]["after"])
        #expect(entry["account_id"] == nil)

        let others = try await fixture.call("GET", "/v1/audit", as: other.apiKey)
        #expect(entries(others).compactMap { $0["action"]?.stringValue } == ["account.create"])
        #expect(
            try await fixture.call("GET", "/v1/audit?account=\(mine.id)", as: other.apiKey).pointers == [
                "?account"
            ])
    }

    @Test func operatorsReadEverythingOrOneAccount() async throws {
        let fixture = try await Fixture()
        let one = try await fixture.account()
        let two = try await fixture.account()
        _ = try await fixture.relayKey()
        let all = try await fixture.call("GET", "/v1/ops/audit?limit=100", as: Fixture.operatorKey)
        let accounts = Set(entries(all).map { $0["account_id"] ?? .null })
        #expect(accounts == [.null, .string(one.id), .string(two.id)])
        let only = try await fixture.call(
            "GET", "/v1/ops/audit?account=\(two.id)", as: Fixture.operatorKey)
        #expect(entries(only).map { $0["account_id"] } == [.string(two.id)])
        let keys = try await fixture.call(
            "GET", "/v1/ops/audit?action=relay_key.create&actor=operator", as: Fixture.operatorKey)
        #expect(entries(keys).count == 1)
        #expect(entries(keys).first?["address"] == "127.0.0.1")
    }

    @Test func filtersAndPagesWorkOverTheAPI() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        var made: [String] = []
        for _ in 0..<5 { made.append(try await fixture.tunnel(account)) }
        var seen: [String] = []
        var cursor: String?
        repeat {
            let answer = try await fixture.call(
                "GET", "/v1/audit?limit=2&action=tunnel" + (cursor.map { "&cursor=\($0)" } ?? ""),
                as: account.apiKey)
            seen += entries(answer).compactMap { $0["subject"]?.stringValue }
            cursor = answer["next_cursor"]?.stringValue
            // It comes before those that were asked for, and stays out of the pages that are left.
            _ = try await fixture.tunnel(account)
        } while cursor != nil
        #expect(seen == made.reversed())

        let none = try await fixture.call(
            "GET", "/v1/audit?to=2020-01-01T00:00:00Z", as: account.apiKey)
        #expect(none["data"] == [])
        let some = try await fixture.call(
            "GET", "/v1/audit?from=2020-01-01T00:00:00%2B01:00&subject=\(made[0])", as: account.apiKey)
        #expect(entries(some).count == 1)
    }

    @Test(arguments: [
        ("from=yesterday", "?from"), ("to=2026-13-01T00:00:00Z", "?to"), ("action=Tunnel.create", "?action"),
        ("action=tunnel.", "?action"), ("cursor=x", "?cursor"), ("limit=0", "?limit"), ("actor=", "?actor"),
        ("subject=", "?subject"),
    ])
    func aFilterThatMakesNoSenseIsRefused(_ query: String, _ pointer: String) async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let answer = try await fixture.call("GET", "/v1/audit?\(query)", as: account.apiKey)
        #expect(answer.status == 422)
        #expect(answer.pointers == [pointer])
    }
}

/// Made from the route table and its examples, so that a new route is covered the day it appears.
@Suite struct AuditWalkTests {
    /// Routes that tell what goes on rather than change what is kept for good.
    private static let operational: Set<String> = [
        "POST /v1/relay/links", "POST /v1/relay/load", "POST /v1/relay/usage",
    ]

    /// They would take the log, or the way to the rest, with them.
    private static let leaving: Set<String> = ["POST /v1/account/deletion", "POST /v1/account/leave"]

    /// Everything in the log, as one text.
    private func log(_ walker: RouteWalker) async throws -> String {
        try await walker.pool.transaction { tx in
            try tx.row("SELECT coalesce(string_agg(audit_log::text, ' '), '') AS text FROM audit_log")["text"]
        }
    }

    private func count(_ walker: RouteWalker, from address: String? = nil) async throws -> Int {
        try await walker.pool.transaction { tx in
            try tx.row(
                "SELECT count(*) AS n FROM audit_log WHERE $1::text IS NULL OR address = $1", address)["n"]
        }
    }

    @Test func everyChangeIsNotedWithWhereItCameFrom() async throws {
        for route in RouteWalker.routes where route.method != "GET" && !Self.operational.contains(route.name)
        {
            let walker = try await RouteWalker()
            let before = try await count(walker)
            let answer = try await walker.send(route, as: walker.bearer(for: route))
            // Others may have found nothing to do, and do not tell.
            guard answer.status == 201 || (answer.status == 200 && route.method != "POST") else { continue }
            #expect(try await count(walker) > before, "\(route.name) changed something that nobody noted")
            #expect(try await count(walker, from: RouteWalker.address(route)) > 0, "\(route.name)")
        }
    }

    @Test func noSecretIsInTheLog() async throws {
        let walker = try await RouteWalker()
        var secrets = [Fixture.password, Fixture.operatorKey] + Array(walker.bearers.values)
        // What makes something comes first: signing out is among the others.
        let changing = RouteWalker.routes.filter { $0.method != "GET" && !Self.leaving.contains($0.name) }
        for route in changing.filter({ $0.method == "POST" }) + changing.filter({ $0.method != "POST" }) {
            let answer = try await walker.send(route, as: walker.bearer(for: route))
            for name in ["key", "api_key", "agent_key", "access_token", "refresh_token", "token"] {
                if let secret = answer[name]?.stringValue { secrets.append(secret) }
            }
            secrets += (route.takes?.members ?? []).filter { $0.name.contains("password") }
                .compactMap { $0.schema.example.stringValue }
        }
        #expect(secrets.count > 10)
        let log = try await log(walker)
        #expect(log.contains("api_key.create"))
        for secret in secrets {
            let hash = SHA256.hash(Array(secret.utf8))
            for form in [secret, Hex.encode(hash), Base64URL.encode(hash)] {
                #expect(!log.contains(form), "a secret of \(secret.prefix(4))… is in the audit log")
            }
        }
        let hashes = try await walker.pool.transaction { tx in
            try tx.query("SELECT password_hash FROM users").map { try $0["password_hash"] as String }
        }
        for hash in hashes { #expect(!log.contains(hash)) }
    }
}
