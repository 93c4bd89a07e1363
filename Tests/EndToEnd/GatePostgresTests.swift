import Core
import Postgres
import Support
import Testing

/// Gate 6 of the failure gates. That joins and players go on is in OutageTests, too.
extension Broken {
    @Test func gate6WebhooksOfAnOutageAreAskedForAgainAndCountOnce() async throws {
        let postgres = try PrivatePostgres()
        defer { postgres.end() }
        try await withFleet(postgres: postgres) { fleet in
            try #require(try fleet.deliver(event: "evt_before") == 200)
            for outage in ["halted", "frozen"] {
                if outage == "halted" { postgres.halt() } else { try postgres.freeze() }
                for number in 1...5 {
                    try #require((500...599).contains(try fleet.deliver(event: "evt_\(outage)_\(number)")))
                }
                if outage == "halted" { try postgres.resume() } else { try postgres.thaw() }
                // Stripe comes again, and may come twice.
                for number in 1...5 {
                    for _ in 1...2 {
                        try eventually("it is taken") {
                            try fleet.deliver(event: "evt_\(outage)_\(number)") == 200
                        }
                    }
                }
            }
            let pool = Pool(url: fleet.databaseURL, maxConnections: 1)
            let kept = try await pool.transaction { tx in
                try tx.row("SELECT count(*) AS events FROM stripe_events")["events"] as Int
            }
            await pool.close()
            try #require(kept == 11)
        }
    }

    /// The database goes on as another server: what followed it is promoted, and its address leads there.
    @Test func gate6AFailoverOfPostgresCostsNoPlayerAndNoChange() async throws {
        let first = try PrivatePostgres()
        defer { first.end() }
        let address = try FaultyProxy(to: first.port)
        try await withFleet(relays: ["eu", "eu"], postgres: first, databasePort: address.port) { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            let told = agent.events.count
            let second = try PrivatePostgres(following: first)
            defer { second.end() }
            let (agentKey, tunnels) = try fleet.newPlaces(3)
            let before = try fleet.place(tunnels[0], agentKey)

            // It ends in good order, so everything is with its follower.
            first.halt()
            address.reset()
            let answer = try fleet.ask(
                "POST", "/v1/tunnels/\(tunnels[0])/placements", key: agentKey,
                ["session": .string("ses_" + Fleet.password())])
            try #require(answer.status == 503)
            try #require(answer.headers["retry-after"].flatMap { Int($0) } != nil)
            try player.echo()
            try Player.join(port: tunnel.port, tunnel.hostname).echo()
            try await second.promote()
            address.lead(to: second.port)

            let after = try eventuallyWorks("placements go on") { try fleet.place(tunnels[0], agentKey) }
            try #require((after["generation"]?.integerValue ?? 0) > (before["generation"]?.integerValue ?? 0))
            let (_, _, new) = try fleet.newTunnel(home: home)
            try Player.join(port: new.port, new.hostname).echo()
            try fleet.waitUntilRelaysAgree()
            try player.echo(100_000)
            try #require(
                !agent.events.dropFirst(told).contains { $0["event"]?.stringValue == "reconnecting" })
        }
    }
}
