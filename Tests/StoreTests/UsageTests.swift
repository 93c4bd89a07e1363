import Core
import Crypto
import Domain
import Postgres
import Testing
import Wire

@testable import Store

/// The ledger of what passed through tunnels.
struct UsageTests {
    private static let noon = WallTime(seconds: 1_795_262_400)

    private func sums(_ fixture: Fixture) async throws -> [String: [Int]] {
        try await fixture.pool.transaction { tx in
            var found: [String: [Int]] = [:]
            for row in try tx.query(
                """
                SELECT tunnel_id, sum(bytes_up)::bigint AS up, sum(bytes_down)::bigint AS down,
                    sum(player_s)::bigint AS seconds
                FROM usage_hours GROUP BY tunnel_id
                """)
            {
                found[try row["tunnel_id"]] = [try row["up"], try row["down"], try row["seconds"]]
            }
            return found
        }
    }

    private func monthBytes(_ fixture: Fixture) async throws -> Int {
        try await fixture.pool.transaction { tx in
            try tx.row("SELECT coalesce(sum(bytes_up + bytes_down), 0)::bigint AS n FROM usage_months")["n"]
        }
    }

    /// Promise: ten relays that repeat themselves in any order at once bring what an oracle adds up.
    @Test func reportsAreAddedExactlyOnce() async throws {
        let fixture = try await Fixture()
        var tunnels: [TunnelID] = []
        for account in [
            fixture.account, try await fixture.account(plan: "unlimited"),
            try await fixture.account(plan: "unlimited"),
        ] {
            for _ in 0..<3 { tunnels.append(try await fixture.tunnel(of: account).id) }
        }
        var oracle: [String: [Int]] = [:]
        var sent: [UsageReport] = []
        for relay in 0..<10 {
            for number in 0..<12 {
                let rows = tunnels.shuffled().prefix(6).map { tunnel in
                    UsageReport.Row(
                        tunnel: tunnel.text, bytes_up: .random(in: 0...1000),
                        bytes_down: .random(in: 0...1000), player_s: .random(in: 0...10))
                }
                let from = Self.noon + Int64(number) * 600
                let report = UsageReport(
                    relay: "r\(relay)", id: "run.\(number)", from: from, to: from + 600, rows: Array(rows))
                for row in rows {
                    let before = oracle[row.tunnel] ?? [0, 0, 0]
                    oracle[row.tunnel] = [
                        before[0] + row.bytes_up, before[1] + row.bytes_down, before[2] + row.player_s,
                    ]
                }
                sent += Array(repeating: report, count: .random(in: 1...3))
            }
        }
        sent.shuffle()
        let store = fixture.store
        await withTaskGroup(of: Void.self) { group in
            for report in sent {
                group.addTask {
                    do { try await store.addUsage(report, now: Self.noon + 7200) } catch {
                        Issue.record("not added: \(error)")
                    }
                }
            }
        }
        #expect(try await sums(fixture) == oracle)
        #expect(try await monthBytes(fixture) == oracle.values.reduce(0) { $0 + $1[0] + $1[1] })
    }

    @Test func aDeletedTunnelsUsageStaysTheAccountsAndAStrangersIsPassedOver() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        _ = try await fixture.store.deleteTunnel(tunnel.id, account: fixture.account, actor: "test")
        let rows = [tunnel.id, TunnelID(entropy: [9])].map {
            UsageReport.Row(tunnel: $0.text, bytes_up: 5, bytes_down: 6, player_s: 1)
        }
        let report = UsageReport(
            relay: "r1", id: "run.1", from: Self.noon, to: Self.noon + 10, rows: rows)
        try await fixture.store.addUsage(report, now: Self.noon + 20)
        #expect(try await sums(fixture) == [tunnel.id.text: [5, 6, 1]])
        #expect(try await monthBytes(fixture) == 11)
    }
}
