import CLinux
import Core
import Support
import Testing

/// Gates 1 and 2 of the failure gates: a relay that is killed or falls silent.
extension Broken {
    /// The control plane is stopped before: nobody can ask it.
    @Test func gate1JoinsGoOnThroughOtherRelaysWhenOneIsKilled() async throws {
        try await withFleet(relays: ["eu", "eu", "eu"]) { fleet in
            let home = try HomeServer()
            let tunnels = try (0..<3).map { _ in try fleet.newTunnel(home: home) }
            try fleet.waitForLinks(2 * tunnels.count)
            let victim = tunnels[0].tunnel.relay
            let others = fleet.relays.filter { $0.id != victim.id }
            var players: [Player] = []
            for relay in others {
                for (_, _, tunnel) in tunnels {
                    players.append(try Player.join(port: relay.port, tunnel.hostname))
                }
            }

            let control = try fleet.control
            control.signal(SIGSTOP)
            defer { control.signal(SIGCONT) }
            victim.part.kill()
            let killed = Instant.now()
            for relay in others {
                for (_, _, tunnel) in tunnels {
                    try eventuallyWorks("\(tunnel.hostname) is reached through \(relay.part.name)") {
                        try Player.join(port: relay.port, tunnel.hostname).echo()
                    }
                }
            }
            print("gate 1: all joins worked \(Instant.now().since(killed).count) ms after the kill")
            for player in players { try player.echo(10_000) }

            // With the control plane back everybody has a standby again.
            control.signal(SIGCONT)
            try fleet.waitForLinks(2 * tunnels.count)
            for player in players { try player.echo() }
            for (_, agent, _) in tunnels { try #require(agent.part.end == nil) }
        }
    }

    @Test func gate2ARelayThatFallsSilentIsLeftAndMayComeBack() async throws {
        try await withFleet(relays: ["eu", "eu"]) { fleet in
            // Cut off for agents and other relays, and then stopped altogether.
            let (silent, wires) = try fleet.addRelayBehindWires("eu")
            let home = try HomeServer()
            let tunnels = try (0..<4).map { _ in try fleet.newTunnel(home: home) }
            try fleet.waitForLinks(2 * tunnels.count)
            let others = fleet.relays.filter { $0.id != silent.id }
            var players: [Player] = []
            for relay in others {
                for (_, _, tunnel) in tunnels {
                    players.append(try Player.join(port: relay.port, tunnel.hostname))
                }
            }
            for isStopped in [false, true] {
                if isStopped { silent.part.signal(SIGSTOP) } else { wires.entry.silence() }
                for relay in others {
                    for (_, _, tunnel) in tunnels {
                        try eventuallyWorks("\(tunnel.hostname) is reached through \(relay.part.name)") {
                            try Player.join(port: relay.port, tunnel.hostname).echo()
                        }
                    }
                }
                try fleet.waitForLinks(2 * tunnels.count, at: others)
                for player in players { try player.echo(10_000) }
                if isStopped { silent.part.signal(SIGCONT) } else { wires.entry.heal() }
                for (_, _, tunnel) in tunnels {
                    try eventuallyWorks("\(tunnel.hostname) is reached through the one that is back") {
                        try Player.join(port: silent.port, tunnel.hostname).echo()
                    }
                }
                try fleet.waitUntilRelaysAgree()
            }
            for player in players { try player.echo() }
            for (_, agent, _) in tunnels { try #require(agent.part.end == nil) }
        }
    }
}

extension Fleet {
    /// Waits until these relays, or all that run, have so many links between them.
    func waitForLinks(_ count: Int, at relays: [Relay]? = nil) throws {
        let relays = relays ?? self.relays.filter { $0.part.end == nil }
        try eventually("there are \(count) links", within: .minutes(1)) {
            try relays.reduce(0) { try $0 + metric("minecart_relay_links", of: $1) } == count
        }
    }
}
