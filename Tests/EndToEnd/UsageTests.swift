import Core
import Postgres
import Support
import Testing

extension Broken {
    /// Before the report's commit, and between the commit and the answer, when the account was not dealt with yet.
    @Test func usageIsCountedOnceThoughTheControlPlaneDiesWhileItIsTold() async throws {
        try await withFleet { fleet in
            let home = try HomeServer()
            let (account, _, tunnel) = try fleet.newTunnel(home: home)
            let id = try fleet.call("GET", "/v1/account", key: account.key, expect: 200)["id"]?.stringValue
            let accountID = try #require(id)
            let volume = 1_000_000
            _ = try fleet.call(
                "PUT", "/v1/ops/accounts/\(accountID)/limits", key: fleet.secrets.operatorKey,
                ["bytes_per_month": .integer(Int64(volume))], expect: 200)
            let pool = Pool(
                url: fleet.databaseURL, maxConnections: 1,
                timeouts: PostgresTimeouts(connect: patience, work: .minutes(3)))

            try await pool.transaction { tx in
                try tx.query("LOCK TABLE usage_months IN EXCLUSIVE MODE")
                try Self.play(tunnel, 10_000)
                try eventually("a report waits for the database") {
                    try tx.row(
                        """
                        SELECT count(*) > 0 AS waits FROM pg_locks
                        WHERE NOT granted AND relation = 'usage_months'::regclass
                        """)["waits"] as Bool
                }
                try fleet.control.kill()
            }
            try fleet.startControl()
            try Self.expectAllCounted(fleet, account, tunnel)

            try await pool.transaction { tx in
                try tx.query("SELECT 1 FROM accounts WHERE id = $1 FOR NO KEY UPDATE", accountID)
                try Self.play(tunnel, 100_000, times: 6)
                try eventually("a report is added that makes the account one to be looked at") {
                    try tx.row(
                        """
                        SELECT coalesce(sum(bytes_up + bytes_down), 0) >= $2 AS is_added
                        FROM usage_months WHERE account_id = $1
                        """, accountID, volume * 4 / 5)["is_added"] as Bool
                }
                try fleet.control.kill()
            }
            try fleet.startControl()
            try Self.expectAllCounted(fleet, account, tunnel)
            // By the next leader's sweep.
            try eventually("the account is slowed down", within: .minutes(1)) {
                try fleet.call("GET", "/v1/account", key: account.key, expect: 200)["throttled"] == true
            }
            let subject = "Subject: Minecart: this month's 1 MB are used up"
            try eventually("the owner is told") { fleet.mails.contains(subject) }
            #expect(fleet.mails.ranges(of: subject).count == 1)
            try Self.play(tunnel, 1000)
            try Self.expectAllCounted(fleet, account, tunnel)
            await pool.close()
        }
    }

    private static func play(_ tunnel: Tunnel, _ bytes: Int, times: Int = 1) throws {
        let player = try Player.join(port: tunnel.port, tunnel.hostname)
        for _ in 0..<times { try player.echo(bytes) }
        try player.leave()
    }

    /// Waits until the account's owner reads exactly what the relay says that it moved.
    private static func expectAllCounted(_ fleet: Fleet, _ account: Account, _ tunnel: Tunnel) throws {
        try eventually("no player is there any more") {
            try fleet.metric("minecart_relay_players", of: tunnel.relay) == 0
        }
        let moved = try ["minecart_relay_bytes_to_servers_total", "minecart_relay_bytes_to_players_total"]
            .map { try fleet.metric($0, of: tunnel.relay) }
        try eventuallyWorks("usage is \(moved)") {
            let rows = try fleet.call(
                "GET", "/v1/usage?from=2020-01-01&group_by=tunnel", key: account.key, expect: 200)["data"]
            let told = ["bytes_up", "bytes_down"].map { rows?.arrayValue?.first?[$0]?.integerValue ?? 0 }
            guard told == moved.map({ Int64($0) }) else { throw Trouble("it is \(told)") }
        }
    }
}
