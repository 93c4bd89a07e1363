import Core
import Crypto
import Domain
import Postgres
import Reconcilers
import Store
import Testing
import Wire

@testable import API

/// From a relay's report to what customers read, and to the throttle.
@Suite struct UsageRouteTests {
    private func report(
        _ fixture: Fixture, _ relay: String, _ tunnel: String, bytes: Int,
        id: String = Hex.encode(SecureRandom.bytes(8))
    ) async throws {
        let now = WallTime.now()
        let report = UsageReport(
            relay: "r1", id: id, from: now, to: now,
            rows: [.init(tunnel: tunnel, bytes_up: bytes / 10, bytes_down: bytes - bytes / 10, player_s: 7)])
        let answer = try await fixture.call("POST", "/v1/relay/usage", report.json, as: relay)
        #expect(answer.status == 204)
    }

    private func rows(
        _ fixture: Fixture, _ path: String, as key: String
    ) async throws -> [JSON] {
        let answer = try await fixture.call("GET", path, as: key)
        #expect(answer.status == 200)
        return answer["data"]?.arrayValue ?? []
    }

    @Test func aCustomerReadsUsageByTunnelAndTimeAndThatOfDeletedTunnelsToo() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let relay = try await fixture.relay("r1")
        let kept = try await fixture.tunnel(account)
        let gone = try await fixture.tunnel(account)
        // As old as the ledger's hours are, so that the month's turn does not matter.
        let from = "?from=2020-01-01&group_by="
        for _ in 0..<2 { try await report(fixture, relay, kept, bytes: 1000, id: "run.1") }
        try await report(fixture, relay, gone, bytes: 100)
        #expect(
            try await fixture.call("DELETE", "/v1/tunnels/\(gone)", as: account.apiKey).status == 204)
        try await report(fixture, relay, gone, bytes: 10)
        let byTunnel = try await rows(fixture, "/v1/usage\(from)tunnel", as: account.apiKey)
        #expect(byTunnel.map { $0["tunnel"]?["id"] } == [.string(kept), .string(gone)])
        #expect(byTunnel.map { $0["tunnel"]?["deleted"] } == [false, true])
        #expect(byTunnel.map { $0["bytes_up"] } == [100, 11])
        #expect(byTunnel.map { $0["bytes_down"] } == [900, 99])
        #expect(byTunnel.map { $0["player_s"] } == [7, 14])
        for grouping in ["hour", "day", "month", "total"] {
            let all = try await rows(fixture, "/v1/usage\(from)\(grouping)", as: account.apiKey)
            #expect(all.reduce(0) { $0 + ($1["bytes_down"]?.integerValue ?? 0) } == 999)
            #expect(all.filter { $0["tunnel"] != .null }.isEmpty)
            let one = try await rows(
                fixture, "/v1/tunnels/\(gone)/usage\(from)\(grouping)", as: account.apiKey)
            #expect(one.reduce(0) { $0 + ($1["bytes_down"]?.integerValue ?? 0) } == 99)
        }
        let forOperators = try await rows(
            fixture, "/v1/ops/accounts/\(account.id)/usage\(from)total", as: Fixture.operatorKey)
        #expect(forOperators.map { $0["bytes_up"] } == [111])
    }

    @Test func anothersTunnelsAreNotThere() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel(try await fixture.account())
        let other = try await fixture.account()
        for id in [tunnel, "tun_0000000000000000000000", "tun_x"] {
            let answer = try await fixture.call("GET", "/v1/tunnels/\(id)/usage", as: other.apiKey)
            #expect(answer.status == 404)
        }
        let unknown = "/v1/ops/accounts/acc_0000000000000000000000/usage"
        #expect(try await fixture.call("GET", unknown, as: Fixture.operatorKey).status == 404)
    }

    @Test(arguments: [
        ("from=yesterday", "?from"), ("to=2026-13-01", "?to"), ("group_by=week", "?group_by"),
        ("limit=0", "?limit"), ("cursor=x", "?cursor"), ("by=day", "?by"),
    ])
    func whatCannotBeMeantIsRefused(_ query: String, _ pointer: String) async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let answer = try await fixture.call("GET", "/v1/usage?\(query)", as: account.apiKey)
        #expect(answer.status == 422)
        #expect(answer.pointers == [pointer])
    }

    @Test func extremeTimesAreCutAndAnEmptySpanIsEmpty() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        for query in [
            "from=0001-01-01T00:00:00%2B14:00&to=9999-12-31T23:59:60-14:00",
            "from=9999-12-31&to=0001-01-01", "to=0001-01-01", "from=9999-12-31",
        ] {
            for grouping in ["day", "total", "tunnel"] {
                let found = try await rows(
                    fixture, "/v1/usage?\(query)&group_by=\(grouping)", as: account.apiKey)
                #expect(found.count == (grouping == "total" ? 1 : 0))
            }
        }
    }

    /// Promise: a used-up volume slows the tunnels down with the report that uses it up, and says so.
    @Test func aReportThatUsesTheVolumeUpThrottlesAtOnceAndAnExceptionLiftsIt() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account(plan: "free")
        let relay = try await fixture.relay("r1")
        let tunnel = try await fixture.tunnel(account)
        func shown() async throws -> [JSON?] {
            let answer = try await fixture.call("GET", "/v1/account", as: account.apiKey)
            return [
                answer["throttled"], answer["limits"]?["bytes_per_s"], answer["usage"]?["bytes_this_month"],
            ]
        }
        #expect(try await shown() == [false, 2_500_000, 0])
        try await report(fixture, relay, tunnel, bytes: 49_000_000_000)
        #expect(try await shown() == [false, 2_500_000, 49_000_000_000])
        for _ in 0..<2 { try await report(fixture, relay, tunnel, bytes: 1_000_000_000, id: "run.2") }
        #expect(try await shown() == [true, 125_000, 50_000_000_000])
        let mails = try await fixture.store.claimMails(limit: 10, lease_s: 60).map(\.mail.kind)
        #expect(mails.sorted() == ["volume-nearly-used", "volume-used-up"])
        let path = "/v1/ops/accounts/\(account.id)/limits"
        let lifted = try await fixture.call(
            "PUT", path, ["bytes_per_month": 60_000_000_000], as: Fixture.operatorKey)
        #expect(lifted["over_quota"] == false)
        #expect(try await shown() == [false, 2_500_000, 50_000_000_000])
    }
}
