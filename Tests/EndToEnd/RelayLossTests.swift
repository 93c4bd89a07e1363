import CLinux
import Core
import Testing

extension Broken {
    @Test func aRelayThatIsKilledCostsOnlyItsOwnPlayers() async throws {
        try await withFleet(relays: ["eu", "eu"]) { fleet in
            let home = try HomeServer()
            let pair = try fleet.tunnelsOnTwoRelays(home: home)
            let (lost, kept) = (pair[0], pair[1])
            let unlucky = try Player.join(port: lost.tunnel.port, lost.tunnel.hostname)
            let lucky = try Player.join(port: kept.tunnel.port, kept.tunnel.hostname)
            try unlucky.echo()
            try lucky.echo()
            let told = lost.agent.events.count
            let keptTold = kept.agent.events.count

            lost.tunnel.relay.part.kill()

            // The agent finds the other relay by itself, and keeps its name.
            let again = try lost.agent.waitForTunnel(after: told)
            try #require(again.hostname == lost.tunnel.hostname)
            try #require(again.relay.id == kept.tunnel.relay.id)
            try Player.join(port: again.port, again.hostname).echo()
            try #require((try? unlucky.connection.receiveToEnd())?.isEmpty ?? true)

            try lucky.echo(100_000)
            try #require(
                !kept.agent.events.dropFirst(keptTold).contains { $0["event"]?.stringValue == "reconnecting" }
            )
        }
    }

    @Test func aRelayThatFallsSilentIsLeftByItsAgents() async throws {
        try await withFleet(relays: ["eu", "eu"]) { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let told = agent.events.count
            // Its sockets stay open: nothing but the silence tells.
            tunnel.relay.part.signal(SIGSTOP)
            let again = try agent.waitForTunnel(after: told)
            try #require(again.relay.id != tunnel.relay.id)
            try Player.join(port: again.port, again.hostname).echo()
        }
    }

    @Test func relayShutsDownGently() async throws {
        try await withFleet(relays: ["eu", "eu"]) { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            try player.echo()
            let told = agent.events.count
            let relay = tunnel.relay.part

            relay.signal(SIGTERM)

            // The agent has taken its new place before it lets the old one go.
            let moved = try agent.event("migrated", after: told)
            try #require(moved["address"]?.stringValue == tunnel.hostname)
            let there = try fleet.relay(moved["relay"]?.stringValue ?? "")
            try #require(there.id != tunnel.relay.id)
            try eventuallyWorks("players join at the new place") {
                try Player.join(port: there.port, tunnel.hostname).echo()
            }
            // Who plays stays until they leave, and the doors stay open until then.
            try player.echo(100_000)
            _ = try Connection(to: tunnel.port)
            try #require(try WebAnswer.ask(port: tunnel.relay.httpPort, "GET", "/readyz").status == 503)
            try #require(relay.end == nil)
            try player.leave()
            try #require(try relay.waitForEnd() == .code(0))
            #expect(throws: (any Error).self) { try Connection(to: tunnel.port) }
            try #require(
                !agent.events.dropFirst(told).contains { $0["event"]?.stringValue == "reconnecting" })
        }
    }
}
