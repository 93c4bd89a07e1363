import Core
import Crypto
import Postgres
import Support
import Testing

/// Gates 4 and 5 of the failure gates: Redis away, emptied, with an old snapshot; messages lost, repeated, late.
extension Broken {
    @Test func gate4AnOldSnapshotInRedisIsNoEvidence() async throws {
        try await withFleet(relays: ["eu", "eu"]) { fleet in
            let home = try HomeServer()
            let (_, _, kept) = try fleet.newTunnel(home: home)
            let (account, goneAgent, gone) = try fleet.newTunnel(home: home)
            let old = try eventuallyWorks("the snapshot tells of both") {
                let snapshot = try fleet.redisText("snapshot:eu")
                let told = String(
                    decoding: snapshot.split(separator: ".").compactMap { Base64URL.decode(String($0)) }
                        .joined(),
                    as: UTF8.self)
                guard told.contains(kept.hostname), told.contains(gone.hostname) else {
                    throw Trouble("it tells \(told)")
                }
                return snapshot
            }
            let player = try Player.join(port: kept.port, kept.hostname)
            try player.echo()
            let id = try account.tunnel(fleet, gone.hostname)
            _ = try fleet.call("DELETE", "/v1/tunnels/\(id)", key: account.key, expect: 204)
            _ = try goneAgent.part.waitForEnd()
            let (_, _, new) = try fleet.newTunnel(home: home)

            // As a backup would put it back: into a Redis that comes up, and under everybody's feet.
            fleet.redis.halt()
            try player.echo()
            try fleet.redis.resume()
            for _ in 1...3 {
                try #require(try fleet.askRedis("SET snapshot:eu \(old)") == "+OK")
                let other = try #require(fleet.relays.first { $0.id != kept.relay.id })
                let again = try fleet.restart(other)
                try eventually("a relay that starts knows what was deleted since") {
                    try Player.kick(port: again.port, gone.hostname).contains("No server is called")
                }
                try #require(
                    try Player.kick(port: kept.port, gone.hostname).contains("No server is called"))
                try player.echo()
                try Player.join(port: kept.port, kept.hostname).echo()
            }
            try eventuallyWorks("what was new then is served") {
                for relay in fleet.relays
                where (try? Player.join(port: relay.port, new.hostname).echo()) != nil {
                    return
                }
                throw Trouble("no relay serves it")
            }
            try fleet.waitUntilRelaysAgree()
            try player.echo(100_000)
        }
    }

    /// Messages and snapshots stay as bad as they are to the end.
    @Test func gate5LostRepeatedAndLateMessagesLeadToTheSameCopyAndNeverBack() async throws {
        try await withFleet(relays: ["eu", "eu"], splitsRedis: true) { fleet in
            let bridge = try #require(fleet.bridge)
            try eventually("the bridge hears both sides") { bridge.isReady }
            let home = try HomeServer()
            let (_, _, tunnel) = try fleet.newTunnel(home: home)
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            let (agentKey, tunnels) = try fleet.newPlaces(30)

            bridge.set(.bad(0.3))
            for turn in 0..<600 {
                try fleet.place(tunnels[turn % tunnels.count], agentKey)
                if turn % 50 == 0 {
                    try player.echo()
                    try Player.join(port: tunnel.port, tunnel.hostname).echo()
                }
            }
            let lastChange = Instant.now()
            let truth = try await Self.revision(of: "eu", fleet)
            try eventually("every relay is where the last change is, with the same copy", within: .minutes(1))
            {
                let last = fleet.relays.compactMap { bridge.positions[$0.id]?.last }
                return last.count == 2 && last[0] == last[1] && last[0].rev >= truth
            }
            print(
                "gate 5: agreed \(Instant.now().since(lastChange).count) ms after the last change",
                bridge.counts)
            let counts = bridge.counts
            try #require(counts.lost > 50 && counts.twice > 50 && counts.late > 50)
            for relay in fleet.relays {
                let told = bridge.positions[relay.id] ?? []
                for (before, after) in zip(told, told.dropFirst()) { try #require(before <= after) }
            }
            try player.echo(100_000)
        }
    }

    private static func revision(of region: String, _ fleet: Fleet) async throws -> Int {
        let pool = Pool(url: fleet.databaseURL, maxConnections: 1)
        let rev = try await pool.transaction { tx in
            try tx.row("SELECT rev FROM regions WHERE id = $1", region)["rev"] as Int
        }
        await pool.close()
        return rev
    }
}
