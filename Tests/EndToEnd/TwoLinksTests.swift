import CLinux
import Core
import Testing

extension Broken {
    @Test func whenTheOwnerIsKilledPlayersComeByTheStandbyAndAnotherRelayStandsBy() async throws {
        try await withFleet(relays: ["eu", "eu", "eu"]) { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let standby = try agent.standby()
            try #require(standby.id != tunnel.relay.id)
            try Player.join(port: standby.port, tunnel.hostname).echo()
            let stays = try Player.join(port: standby.port, tunnel.hostname)

            tunnel.relay.part.kill()

            // At once: the link is there already.
            try Player.join(port: standby.port, tunnel.hostname).echo()
            let moved = try agent.event("migrated")
            try #require(moved["relay"]?.stringValue == standby.id)
            try #require(moved["lost"]?.stringValue == tunnel.relay.id)
            let third = try agent.standby(after: 1)
            try #require(![tunnel.relay.id, standby.id].contains(third.id))
            try Player.join(port: third.port, tunnel.hostname).echo()
            try stays.echo(100_000)

            standby.part.kill()
            try eventually("the third serves") {
                agent.events.last { $0["event"]?.stringValue == "migrated" }?["relay"]?.stringValue
                    == third.id
            }
            try Player.join(port: third.port, tunnel.hostname).echo()
            try #require(agent.events.count { $0["event"]?.stringValue == "ready" } == 1)
            try #require(!agent.events.contains { $0["event"]?.stringValue == "reconnecting" })
        }
    }

    @Test func withTheControlPlaneAwayTheStandbyServesAndBothAreFoundAgain() async throws {
        try await withFleet(relays: ["eu", "eu"]) { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let standby = try agent.standby()
            try fleet.stopControl()

            tunnel.relay.part.kill()
            try Player.join(port: standby.port, tunnel.hostname).echo()
            try agent.event("migrated")
            let player = try Player.join(port: standby.port, tunnel.hostname)

            // Both links break, and the relay that is left lets the agent in with the ticket that it holds.
            let told = agent.events.count
            agent.part.signal(SIGSTOP)
            try eventually("the relay gives the link up") {
                try fleet.metric("minecart_relay_links", of: standby) == 0
            }
            agent.part.signal(SIGCONT)
            try #require(try agent.event("ready", after: told)["relay"]?.stringValue == standby.id)
            try player.echo()
            try Player.join(port: standby.port, tunnel.hostname).echo()

            try fleet.startControl()
            try player.echo(100_000)
        }
    }

    @Test func aStandbyThatGoesIsReplacedWithoutAWordToPlayers() async throws {
        try await withFleet(relays: ["eu", "eu", "eu"]) { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let standby = try agent.standby()
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            standby.part.kill()
            let lost = try agent.event("standby_lost")
            try #require(lost["relay"]?.stringValue == standby.id)
            let third = try agent.standby(after: 1)
            try #require(third.id != tunnel.relay.id)
            try Player.join(port: third.port, tunnel.hostname).echo()
            try player.echo()
            for word in ["migrated", "reconnecting"] {
                try #require(!agent.events.contains { $0["event"]?.stringValue == word })
            }
        }
    }

    @Test func aRelayThatComesBackStandsByAgain() async throws {
        try await withFleet(relays: ["eu", "eu"]) { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let standby = try agent.standby()
            let player = try Player.join(port: standby.port, tunnel.hostname)
            tunnel.relay.part.kill()
            try Player.join(port: standby.port, tunnel.hostname).echo()
            _ = try fleet.restart(tunnel.relay)
            try eventually("it stands by", within: .minutes(1)) {
                agent.events.last { $0["event"]?.stringValue == "standby" }?["relay"]?.stringValue
                    == tunnel.relay.id
            }
            try Player.join(port: tunnel.port, tunnel.hostname).echo()
            try player.echo(100_000)
            try #require(!agent.events.contains { $0["event"]?.stringValue == "reconnecting" })
        }
    }

    @Test func aRelayThatDrainsIsLeftBeforeItGoes() async throws {
        try await withFleet(relays: ["eu", "eu", "eu"]) { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let standby = try agent.standby()
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            _ = try fleet.call(
                "POST", "/v1/ops/relays/\(tunnel.relay.id)/drain", key: fleet.secrets.operatorKey, expect: 200
            )
            let moved = try agent.event("migrated", within: .minutes(1))
            try #require(moved["relay"]?.stringValue == standby.id)
            try Player.join(port: standby.port, tunnel.hostname).echo()
            try player.echo(100_000)
            try eventually("its link is let go") {
                try fleet.metric("minecart_relay_links", of: tunnel.relay) == 0
            }
            try player.echo()
            try #require(!agent.events.contains { $0["event"]?.stringValue == "reconnecting" })
        }
    }
}

extension Agent {
    /// The relay of the next standby link that is up, behind the first `skipped` ones.
    func standby(after skipped: Int = 0) throws -> Fleet.Relay {
        let id = try eventually("\(part.name) has a standby") {
            events.filter { $0["event"]?.stringValue == "standby" }.dropFirst(skipped).first?["relay"]?
                .stringValue
        }
        return try fleet.relay(id)
    }
}
