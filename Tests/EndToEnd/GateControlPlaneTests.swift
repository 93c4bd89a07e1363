import CLinux
import Core
import Support
import Testing

/// Gates 7 and 8 of the failure gates, and relays that are cut off from everything that tells them something.
extension Broken {
    @Test func gate7ARelayThatRestartsInAnOutageServesWhatItKnew() async throws {
        try await withFleet(relays: ["eu", "eu"]) { fleet in
            let home = try HomeServer()
            let pair = try fleet.tunnelsOnTwoRelays(home: home)
            let (first, second) = (pair[0], pair[1])
            let player = try Player.join(port: second.tunnel.port, second.tunnel.hostname)
            // The file is some seconds behind.
            let kept = first.tunnel.relay.stateFolder + "/relay-region.jsonl"
            try eventually("the relay keeps both names") {
                let text = Files.read(kept) ?? ""
                return text.contains(first.tunnel.hostname) && text.contains(second.tunnel.hostname)
            }
            try fleet.control.kill()
            fleet.redis.halt()

            let began = Instant.now()
            let relay = try fleet.restart(first.tunnel.relay)
            print("gate 7: ready \(Instant.now().since(began).count) ms after the restart")
            try eventuallyWorks("the agent is back with what it holds, and players get in") {
                try Player.join(port: relay.port, first.tunnel.hostname).echo()
            }
            // It is no new relay to anybody: names of others are known there, too.
            try #require(
                (try? Player.kick(port: relay.port, second.tunnel.hostname).contains("No server is called"))
                    != true)
            try player.echo(100_000)
            try Player.join(port: second.tunnel.port, second.tunnel.hostname).echo()

            try fleet.redis.resume()
            try fleet.startControl()
            try fleet.waitUntilRelaysAgree()
            let (_, _, new) = try fleet.newTunnel(home: home)
            try Player.join(port: new.port, new.hostname).echo()
            try player.echo()
        }
    }

    @Test func gate8ALeaderThatWasStoppedHasNoSayAfterwards() async throws {
        try await withFleet(relays: ["eu", "eu"], splitsRedis: true) { fleet in
            let bridge = try #require(fleet.bridge)
            let home = try HomeServer()
            let (_, _, tunnel) = try fleet.newTunnel(home: home)
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            let (agentKey, tunnels) = try fleet.newPlaces(10)
            let old = try fleet.control
            try eventually("the first control plane leads") { try fleet.leads(port: fleet.controlPort) }
            let second = try fleet.addControl()
            try #require(try !fleet.leads(port: second.port))
            let epochBefore = try eventually("relays tell an epoch") {
                bridge.positions.values.compactMap { $0.last?.epoch }.max()
            }

            // It may stop in the middle of anything: placements go on until it does.
            try both({ old.signal(SIGSTOP) }) {
                for id in tunnels { _ = try? fleet.placeBriefly(id, agentKey) }
            }
            let stopped = Instant.now()
            try eventually("another leads") { try fleet.leads(port: second.port) }
            print("gate 8: led again \(Instant.now().since(stopped).count) ms after the leader stopped")
            try player.echo()
            for id in tunnels {
                try eventuallyWorks("placements go on") { try fleet.place(id, agentKey, port: second.port) }
            }
            try eventually("relays follow the new leader") {
                let last = fleet.relays.compactMap { bridge.positions[$0.id]?.last }
                return last.count == 2 && last[0] == last[1] && last[0].epoch > epochBefore
            }

            old.signal(SIGCONT)
            try eventually("the old one knows that it does not lead") {
                try !fleet.leads(port: fleet.controlPort)
            }
            try #require(try fleet.leads(port: second.port))
            for id in tunnels { try fleet.place(id, agentKey) }
            try fleet.waitUntilRelaysAgree()
            for relay in fleet.relays {
                let told = bridge.positions[relay.id] ?? []
                for (before, after) in zip(told, told.dropFirst()) { try #require(before <= after) }
            }
            try player.echo(100_000)
            try Player.join(port: tunnel.port, tunnel.hostname).echo()
            try #require(second.part.end == nil && old.end == nil)
        }
    }

    @Test func aRelayThatIsCutOffServesOnAndThenRefusesWhatIsOld() async throws {
        try await withFleet(relays: []) { fleet in
            let home = try HomeServer()
            let (cut, wires) = try fleet.addRelayBehindWires("eu")
            let (account, agent, tunnel) = try fleet.newTunnel(home: home)
            try #require(tunnel.relay.id == cut.id)
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            let other = try fleet.addRelay("eu")

            wires.cutOff()
            try eventually("the relay hears nothing") {
                cut.part.log.contains("cannot") || cut.part.log.contains("away")
            }
            try eventually("the control plane has heard nothing of it for a while") {
                let load = try fleet.operatorsView(of: cut)["load"]
                return (load?["age_ms"]?.integerValue ?? 0) > 5000
            }
            try player.echo(100_000)
            try Player.join(port: tunnel.port, tunnel.hostname).echo()

            // Somewhere else the tunnel gets another agent, which wins; where it is not known all goes on.
            let newHome = try HomeServer(status: #"{"description":"the second home"}"#)
            let newAgent = try fleet.startAgent(account, home: newHome.port)
            let moved = try newAgent.waitForTunnel(status: newHome.status)
            try #require(moved.relay.id == other.id)
            try player.echo()

            wires.heal()
            // The one before serves nobody new, and ends with its last player.
            try agent.event("finishing")
            try #require(agent.events.last { $0["event"]?.stringValue == "error" }?["code"] == "replaced")
            try player.echo()
            try player.leave()
            try #require(try agent.part.waitForEnd() == .code(1))
            try eventually("the relay is one of the region's again") {
                try fleet.operatorsView(of: cut)["state"]?.stringValue == "active"
            }
            try fleet.waitUntilRelaysAgree()
            try Player.join(port: moved.port, moved.hostname).echo()
            try #require(newAgent.part.end == nil)
        }
    }
}

extension Fleet {
    /// A placement that whoever stops in the middle may leave unanswered.
    fileprivate func placeBriefly(_ tunnel: String, _ agentKey: String) throws -> Int {
        try WebAnswer.ask(
            port: controlPort, "POST", "/v1/tunnels/\(tunnel)/placements", key: agentKey,
            ["session": .string("ses_" + Self.password())], within: Milliseconds(300)
        ).status
    }
}
