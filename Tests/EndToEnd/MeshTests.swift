import Core
import Testing

extension Broken {
    @Test func aPlayerReachesTheHomeServerThroughAnyRelayOfTheRegion() async throws {
        try await withFleet(relays: ["eu", "eu", "eu", "us"]) { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let relays = fleet.relays.filter { $0.region == "eu" }
            try #require(relays.count == 3)
            let players = try relays.map { relay in
                // They find each other by themselves, in a moment.
                try eventuallyWorks("a player joins through relay \(relay.id)") {
                    try Player.join(port: relay.port, tunnel.hostname)
                }
            }
            for (player, relay) in zip(players, relays) {
                try player.echo(100_000)
                try #require(try Player.ping(port: relay.port, tunnel.hostname) == home.status)
                // The bytes cross the relay where the player is, and no other.
                try eventually("the look at the server list is over") {
                    try fleet.metric("minecart_relay_players", of: relay) == 1
                }
            }
            let asked = try relays.map { try fleet.metric("minecart_relay_mesh_asked_total", of: $0) }
            let asks = try relays.map { try fleet.metric("minecart_relay_mesh_asks_total", of: $0) }
            try #require(asked.reduce(0, +) <= asks.reduce(0, +))
            // Regions keep to themselves.
            let far = try #require(fleet.relays.first { $0.region == "us" })
            try #require(
                try Player.kick(port: far.port, tunnel.hostname).contains("No server is called"))
            try #require(try fleet.metric("minecart_relay_mesh_peers", of: far) == 0)
            for player in players { try player.leave() }
            try #require(try agent.part.stop() == .code(0))
        }
    }
}
