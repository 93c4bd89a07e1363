import CLinux
import Core
import Testing

extension Whole {
    @Test func theNewestAgentSessionWins() async throws {
        try await withFleet { fleet in
            let home = try HomeServer()
            let (account, first, tunnel) = try fleet.newTunnel(home: home)
            let player = try Player.join(port: tunnel.port, tunnel.hostname)

            let newHome = try HomeServer(status: #"{"description":"the second home"}"#)
            let second = try fleet.startAgent(account, home: newHome.port)
            let newTunnel = try second.waitForTunnel(status: newHome.status)
            try #require(newTunnel.hostname == tunnel.hostname)

            // The loser stops instead of fighting, and says why.
            let word = try first.event("error")
            try #require(word["code"]?.stringValue == "replaced")
            try #require(word["fatal"]?.boolValue == true)
            try #require(word["message"]?.stringValue?.contains("another agent") == true)
            // Its player plays on, and is the last one; the winner serves whoever comes.
            try first.event("finishing")
            try player.echo(100_000)
            try player.leave()
            try #require(try first.part.waitForEnd() == .code(1))
            try Player.join(port: newTunnel.port, tunnel.hostname).echo()
            try #require(!newHome.logins.isEmpty)
            try #require(second.part.end == nil)
        }
    }

    @Test func aRevokedAgentKeyDropsItsLinkAndItsPlayersWithinASecond() async throws {
        try await withFleet { fleet in
            let home = try HomeServer()
            let (account, agent, tunnel) = try fleet.newTunnel(home: home)
            let (_, _, neighbour) = try fleet.newTunnel(home: home)
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            try player.echo()
            let stranger = try Player.join(port: neighbour.port, neighbour.hostname)
            try stranger.echo()
            _ = try fleet.call(
                "DELETE", "/v1/agent-keys/\(account.agentKeyID)", key: account.key, expect: 204)
            try #require(try agent.part.waitForEnd(within: .seconds(3)) == .code(1))
            let word = try #require(agent.events.last { $0["event"]?.stringValue == "error" })
            try #require(["revoked", "bad_key"].contains(word["code"]?.stringValue ?? ""))
            try #require(try player.connection.receiveToEnd(within: .seconds(3)).isEmpty)
            try stranger.echo()
            let kick = try Player.kick(port: tunnel.port, tunnel.hostname)
            try #require(kick.contains("offline"))
            // The key opens nothing any more.
            try #require(try fleet.ask("GET", "/v1/tunnels", key: account.agentKey).status == 401)
        }
    }

    /// An agent that does not obey: it is stopped, so that nobody but the relay can end what came with it.
    @Test func theRelayItselfEndsARevokedAgentsPlayers() async throws {
        try await withFleet { fleet in
            let home = try HomeServer()
            let (account, agent, tunnel) = try fleet.newTunnel(home: home)
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            try player.echo()
            agent.part.signal(SIGSTOP)
            defer { agent.part.signal(SIGCONT) }
            _ = try fleet.call(
                "DELETE", "/v1/agent-keys/\(account.agentKeyID)", key: account.key, expect: 204)
            try #require(try player.connection.receiveToEnd(within: .seconds(3)).isEmpty)
            try eventually("nothing of it is left at the relay", within: .seconds(3)) {
                try Player.kick(port: tunnel.port, tunnel.hostname).contains("offline")
            }
        }
    }

    @Test func aDeletedTunnelStopsServing() async throws {
        try await withFleet { fleet in
            let home = try HomeServer()
            let (account, agent, tunnel) = try fleet.newTunnel(home: home)
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            try player.echo()
            let id = try account.tunnel(fleet, tunnel.hostname)
            _ = try fleet.call("DELETE", "/v1/tunnels/\(id)", key: account.key, expect: 204)
            try #require(try agent.part.waitForEnd(within: .seconds(3)) == .code(1))
            try #require(try player.connection.receiveToEnd(within: .seconds(3)).isEmpty)
            let kick = try Player.kick(port: tunnel.port, tunnel.hostname)
            try #require(kick.contains("No server is called"))
            try #require(try fleet.ask("GET", "/v1/tunnels/\(id)", key: account.key).status == 404)
        }
    }

    @Test func theStateOfATunnelIsWhatItIs() async throws {
        try await withFleet { fleet in
            let account = try fleet.signUp()
            let made = try fleet.call(
                "POST", "/v1/tunnels", key: account.key, ["region": "eu"], expect: 201)
            try #require(made["state"]?.stringValue == "offline")
            let id = try #require(made["id"]?.stringValue)
            func state() throws -> String? {
                try fleet.call("GET", "/v1/tunnels/\(id)", key: account.key, expect: 200)["state"]?
                    .stringValue
            }
            let home = try HomeServer()
            let agent = try fleet.startAgent(account, home: home.port)
            let tunnel = try agent.waitForTunnel()
            try #require(tunnel.hostname == made["hostname"]?.stringValue)
            try eventually("the tunnel is online", within: .seconds(5)) { try state() == "online" }
            try #require(try agent.part.stop() == .code(0))
            try eventually("the tunnel is offline", within: .seconds(5)) { try state() == "offline" }
        }
    }
}

extension Account {
    /// The id of the tunnel of this hostname.
    func tunnel(_ fleet: Fleet, _ hostname: String) throws -> String {
        let list = try fleet.call("GET", "/v1/tunnels", key: key, expect: 200)
        guard let row = list["data"]?.arrayValue?.first(where: { $0["hostname"]?.stringValue == hostname }),
            let id = row["id"]?.stringValue
        else { throw Trouble("the account has no tunnel \(hostname): \(list.text)") }
        return id
    }
}
