import CLinux
import Core
import IO
import Support
import Synchronization
import Testing

/// Gates 1 to 3 of the failure gates: a relay that is killed, falls silent, or is replaced.
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

    /// Behind a front that gives players to whoever says to be ready.
    @Test func gate3ReplacingEveryRelayRefusesNoJoinAndDropsNobody() async throws {
        try await withFleet(relays: []) { fleet in
            let notice = ["RELAY_DRAIN_NOTICE_S": "3"]
            for _ in 1...2 { try fleet.addRelay("eu", environment: notice) }
            let home = try HomeServer()
            let tunnels = try (0..<3).map { _ in try fleet.newTunnel(home: home) }
            try fleet.waitForLinks(2 * tunnels.count)
            let front = Front(fleet, tunnels.map(\.tunnel.hostname))
            try front.start()
            for old in fleet.relays {
                let stays = try Player.join(port: old.port, tunnels[0].tunnel.hostname)
                try fleet.addRelay("eu", environment: notice)
                old.part.signal(SIGTERM)
                try fleet.waitForLinks(
                    2 * tunnels.count, at: fleet.relays.filter { $0.part.end == nil && $0.id != old.id })
                try eventually("the front leaves it") { !front.isReady(old) }
                try stays.echo(10_000)
                try #require(old.part.end == nil)
                try stays.leave()
                try #require(try old.part.waitForEnd() == .code(0))
            }
            let (joins, refused) = try front.end()
            print("gate 3: \(joins) joins while two relays were replaced")
            try #require(joins > 0 && refused.isEmpty, "refused: \(refused)")
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

/// Joins all the while through relays whose readiness said yes the last time it was looked at, as behind a front.
private final class Front: Sendable {
    private struct State: Sendable {
        var ready: [Fleet.Relay] = []
        var joins = 0
        var refused: [String] = []
        var isRunning = true
    }

    private let fleet: Fleet
    private let names: [String]
    private let state = Mutex(State())
    private let ended = Gathering<Void>(expecting: 2)

    init(_ fleet: Fleet, _ names: [String]) {
        self.fleet = fleet
        self.names = names
    }

    func start() throws {
        look()
        for work: @Sendable (Front) -> Void in [{ $0.look() }, { $0.join() }] {
            try ThreadHandle.start(name: "front") { [self] in
                while state.withLock({ $0.isRunning }) {
                    work(self)
                    usleep(100_000)
                }
                ended.add(())
            }.detach()
        }
    }

    func isReady(_ relay: Fleet.Relay) -> Bool {
        state.withLock { $0.ready.contains { $0.id == relay.id } }
    }

    /// How many joined, and why others did not.
    func end() throws -> (Int, [String]) {
        state.withLock { $0.isRunning = false }
        _ = ended.wait()
        return state.withLock { ($0.joins, $0.refused) }
    }

    private func look() {
        let ready = fleet.relays.filter { relay in
            (try? WebAnswer.ask(port: relay.httpPort, "GET", "/readyz", within: .seconds(2)).status) == 200
        }
        state.withLock { $0.ready = ready }
    }

    private func join() {
        guard let relay = state.withLock({ $0.ready.randomElement() }), let name = names.randomElement()
        else {
            return
        }
        do {
            try Player.join(port: relay.port, name).echo(100)
            state.withLock { $0.joins += 1 }
        } catch {
            state.withLock { $0.refused.append("\(relay.part.name): \(error)") }
        }
    }
}
