import CLinux
import Core
import Support
import Testing

extension Broken {
    @Test func noPlayerIsDroppedWhileRedisIsAway() async throws {
        try await withFleet(relays: ["eu", "eu"]) { fleet in
            let home = try HomeServer()
            let (_, _, tunnel) = try fleet.newTunnel(home: home)
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            try player.echo()

            fleet.redis.halt()
            try player.echo()
            try Player.join(port: tunnel.port, tunnel.hostname).echo()
            // New placements, changes and new relays do without it.
            try Self.changesArrive(fleet, home, within: .seconds(5))
            try fleet.addRelay("eu")
            try Self.changesArrive(fleet, home, within: .seconds(5))
            try player.echo()

            try Self.aRevocationArrives(fleet, home, within: .seconds(4))

            // It comes back empty.
            try fleet.redis.resume()
            try Self.allRelaysAgree(fleet)
            try Self.changesArrive(fleet, home, within: .seconds(3))
            try player.echo()

            // It loses everything while it runs.
            try #require(try fleet.askRedis("FLUSHALL") == "+OK")
            try Self.changesArrive(fleet, home, within: .seconds(3))
            try eventually("the projection is there again", within: .seconds(10)) {
                try fleet.askRedis("EXISTS snapshot:eu") == ":1"
            }
            try Self.allRelaysAgree(fleet)
            try player.echo(100_000)
            try Player.join(port: tunnel.port, tunnel.hostname).echo()
        }
    }

    /// A new tunnel gets a place and a player; deleted, it stops serving in time.
    private static func changesArrive(_ fleet: Fleet, _ home: HomeServer, within limit: Milliseconds) throws {
        let (account, agent, tunnel) = try fleet.newTunnel(home: home)
        let player = try Player.join(port: tunnel.port, tunnel.hostname)
        try player.echo()
        let id = try account.tunnel(fleet, tunnel.hostname)
        _ = try fleet.call("DELETE", "/v1/tunnels/\(id)", key: account.key, expect: 204)
        try #require(try agent.part.waitForEnd(within: limit) == .code(1))
        try #require(try player.connection.receiveToEnd(within: limit).isEmpty)
    }

    /// Only the relay ends the player: the agent does not get to run.
    private static func aRevocationArrives(_ fleet: Fleet, _ home: HomeServer, within limit: Milliseconds)
        throws
    {
        let (account, agent, tunnel) = try fleet.newTunnel(home: home)
        let player = try Player.join(port: tunnel.port, tunnel.hostname)
        try player.echo()
        agent.part.signal(SIGSTOP)
        defer { agent.part.signal(SIGCONT) }
        _ = try fleet.call(
            "DELETE", "/v1/agent-keys/\(account.agentKeyID)", key: account.key, expect: 204)
        try #require(try player.connection.receiveToEnd(within: limit).isEmpty)
    }

    private static func allRelaysAgree(_ fleet: Fleet) throws {
        try eventually("all relays have the same copy of the region", within: .seconds(10)) {
            let copies = try fleet.relays.map { relay in
                let load = try fleet.operatorsView(of: relay)["load"]
                return "\(load?["rev"]?.text ?? "") \(load?["digest"]?.text ?? relay.id)"
            }
            return Set(copies).count == 1
        }
    }

    @Test func noPlayerIsDroppedWhilePostgresIsAway() async throws {
        let postgres = try PrivatePostgres()
        defer { postgres.end() }
        try await withFleet(postgres: postgres) { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            try player.echo()
            let told = agent.events.count

            let waiting = try fleet.signUp()
            postgres.halt()
            try Self.postgresIsMissed(fleet, tunnel, player)
            // An agent that comes now waits until it is back.
            let late = try fleet.startAgent(waiting, home: home.port, ["--region", "eu"])
            try late.event("reconnecting")
            try postgres.resume()
            let lateTunnel = try late.waitForTunnel()
            try Player.join(port: lateTunnel.port, lateTunnel.hostname).echo()
            try Self.postgresIsBack(fleet, home)
            try player.echo()

            // The same when it does not refuse but says nothing at all.
            try postgres.freeze()
            try Self.postgresIsMissed(fleet, tunnel, player)
            try postgres.thaw()
            try Self.postgresIsBack(fleet, home)
            try player.echo(100_000)
            try Player.join(port: tunnel.port, tunnel.hostname).echo()
            try #require(
                !agent.events.dropFirst(told).contains { $0["event"]?.stringValue == "reconnecting" })
        }
    }

    private static func postgresIsMissed(_ fleet: Fleet, _ tunnel: Tunnel, _ player: Player) throws {
        let account = try #require(fleet.accounts.last)
        let complaint = "cannot get assignments from the control plane"
        let complaintsBefore = tunnel.relay.part.log.ranges(of: complaint).count
        for _ in 0..<3 {
            let answer = try fleet.ask(
                "POST", "/v1/tunnels/tun_\(Fleet.password().prefix(22))/placements", key: account.agentKey,
                ["session": .string("ses_" + Fleet.password().prefix(22))])
            try #require(answer.status == 503)
            try #require(answer.headers["retry-after"].flatMap { Int($0) } != nil)
        }
        try #require(try fleet.ask("GET", "/readyz").status == 503)
        try #require(try fleet.ask("GET", "/healthz").status == 200)
        try player.echo()
        try Player.join(port: tunnel.port, tunnel.hostname).echo()
        // Long enough for the relay to hear no beacon and to get no answer.
        try eventually("the relay misses the control plane's word") {
            tunnel.relay.part.log.ranges(of: complaint).count > complaintsBefore
        }
        try player.echo()
        try Player.join(port: tunnel.port, tunnel.hostname).echo()
    }

    private static func postgresIsBack(_ fleet: Fleet, _ home: HomeServer) throws {
        try eventuallyWorks("the control plane is ready by itself", within: .seconds(15)) {
            guard try fleet.ask("GET", "/readyz").status == 200 else { throw Trouble("not ready") }
        }
        try Self.changesArrive(fleet, home, within: .seconds(5))
    }

    @Test func noPlayerIsDroppedByAControlPlaneRestart() async throws {
        try await withFleet { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            try player.echo()

            try fleet.stopControl()
            try player.echo()
            try Player.join(port: tunnel.port, tunnel.hostname).echo()

            // The agent is away until the relay gives its link up, and comes back with the ticket it holds.
            let told = agent.events.count
            agent.part.signal(SIGSTOP)
            try eventually("the relay gives the link up") {
                try fleet.metric("minecart_relay_links", of: tunnel.relay) == 0
            }
            agent.part.signal(SIGCONT)
            let again = try agent.waitForTunnel(after: told)
            try #require(again.relay.id == tunnel.relay.id)
            try player.echo()
            try Player.join(port: tunnel.port, tunnel.hostname).echo()

            try fleet.startControl()
            try Self.changesArrive(fleet, home, within: .seconds(5))
            try player.echo(100_000)
        }
    }

    /// Killed, it leaves a lease behind that its follower has to wait for.
    @Test func aKilledControlPlaneIsFollowedByAnother() async throws {
        try await withFleet { fleet in
            let home = try HomeServer()
            let (_, _, tunnel) = try fleet.newTunnel(home: home)
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            try fleet.control.kill()
            try Player.join(port: tunnel.port, tunnel.hostname).echo()
            try fleet.startControl()
            try Self.changesArrive(fleet, home, within: .seconds(5))
            try player.echo()
        }
    }

    /// A relay that restarts while the control plane and Redis are away serves from what it kept.
    @Test func aRelayThatRestartsWhileNobodyAnswersServesFromItsFile() async throws {
        try await withFleet { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let kept = tunnel.relay.stateFolder + "/relay-region.jsonl"
            try eventually("the relay keeps the region") {
                Files.read(kept)?.contains(tunnel.hostname) == true
            }
            try fleet.control.kill()
            fleet.redis.halt()
            let told = agent.events.count

            // Ready by itself, with nobody to ask.
            let again = try fleet.restart(tunnel.relay)
            try #require(again.id == tunnel.relay.id)
            try #require(again.port == tunnel.port)

            // The agent comes back with the ticket it holds.
            let there = try agent.waitForTunnel(after: told)
            try #require(there.hostname == tunnel.hostname)
            try Player.join(port: tunnel.port, tunnel.hostname).echo(100_000)
            // It knows names whose agents are not there, and those that nobody has.
            let kick = try Player.kick(port: tunnel.port, "nobody.eu.\(Fleet.baseDomain)")
            try #require(!kick.isEmpty)

            // What comes later continues what was kept.
            try fleet.redis.resume()
            try fleet.startControl()
            try Self.changesArrive(fleet, home, within: .seconds(5))
            try Player.join(port: tunnel.port, tunnel.hostname).echo()
        }
    }
}
