import Core
import Support
import Testing

extension Broken {
    /// Two relays behind one address, as where a platform spreads connections over replicas by itself.
    @Test func behindASharedEntryEveryJoinWorksWhateverRelayItLandsOn() async throws {
        try await withFleet(relays: []) { fleet in
            let ports = [try Files.freePort(), try Files.freePort()]
            let entry = try FaultyProxy(to: ports[0])
            entry.lead(inTurnTo: ports)
            for port in ports {
                try fleet.addRelay(
                    "eu",
                    environment: [
                        "RELAY_LISTEN": "127.0.0.1:\(port)", "RELAY_PUBLIC_ENDPOINT": entry.address,
                        "RELAY_SHARED_ENTRY": "1", "RELAY_MESH_ADDRESS": "127.0.0.1:\(port)",
                    ])
            }
            let home = try HomeServer()
            // Without a limit of players, which counts those who left within the last second.
            let account = try fleet.newPlaces(0)
            let agent = try fleet.startAgent(
                ["--local", "127.0.0.1:\(home.port)", "--region", "eu"],
                environment: ["MINECART_KEY": account.agentKey])
            let ready = try agent.event("ready")
            let hostname = try #require(
                ready["address"]?.stringValue?.split(separator: ":").first.map(String.init))
            // The relays find each other by themselves, in a moment.
            for port in ports {
                try eventuallyWorks("players join at port \(port)") {
                    try Player.join(port: port, hostname).echo()
                }
            }
            let players = try (0..<4).map { _ in try Player.join(port: entry.port, hostname) }
            for _ in 0..<40 {
                let player = try Player.join(port: entry.port, hostname)
                try player.echo()
                try player.leave()
            }
            for player in players { try player.echo(100_000) }
            let passedOn = try fleet.relays.map { try fleet.metric("minecart_relay_forwarded_total", of: $0) }
            try #require(passedOn.reduce(0, +) > 0)
            for relay in fleet.relays {
                try #require(try fleet.metric("minecart_relay_stray_forwards_total", of: relay) == 0)
                try #require(try fleet.metric("minecart_relay_forward_failures_total", of: relay) == 0)
            }
            for player in players { try player.leave() }
            try #require(try agent.part.stop() == .code(0))
        }
    }
}
