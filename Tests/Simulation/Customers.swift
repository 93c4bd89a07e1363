import Core
import Wire

/// Those who have tunnels and those who play: what they do, with or without faults.
final class Customers {
    private unowned let world: World
    private var random: Chance
    private var lastTunnel = 0
    private var lastKey = 0
    private var until_us = 0
    private var isSettling = false
    /// How often something changes and somebody joins, in a thousand of a usual run.
    private let changesPermille: Int
    private let joinEvery_us: Int

    init(_ world: World) {
        self.world = world
        random = world.random.split()
        changesPermille = random.pick([0, 300, 1000, 3000]) ?? 1000
        joinEvery_us = random.within(200_000...1_500_000)
    }

    func begin(until_us: Int) {
        self.until_us = until_us
        for _ in 0..<random.within(3...5) { open(after_us: random.below(1_500_000)) }
        join()
        change()
        watchAgents()
    }

    private func freshKey() -> String {
        lastKey += 1
        return "key\(lastKey)"
    }

    // MARK: tunnels and agents

    private func open(after_us: Int) {
        lastTunnel += 1
        let tunnel = "t\(lastTunnel)"
        let hostname = "t\(lastTunnel).eu"
        let idle_s = random.happens(100) ? 4 : nil
        world.after(us: after_us) { [self] in
            world.database.commit { tables throws(StoreFailure) in
                tables.tunnels[tunnel] = Tables.TunnelRow(
                    account: "acc", hostname: hostname, limits: Limits(players: 20, idle_timeout_s: idle_s))
                tables.announce(upserts: [tunnel])
            }
            let agent = world.addAgent(tunnel: tunnel, hostname: hostname, key: freshKey())
            agent.start()
        }
    }

    /// Whoever's agent has ended starts it again, with a new key if the old one is worth nothing.
    private func watchAgents() {
        let pause_us = 400_000 + random.below(800_000)
        world.after(us: pause_us) { [self] in
            for tunnel in world.database.tables.tunnels.keys.sorted() { restartAgent(of: tunnel) }
            watchAgents()
        }
    }

    private func restartAgent(of tunnel: String) {
        guard world.database.tables.tunnels[tunnel]?.isSuspended == false else { return }
        let agents = world.agents.filter { $0.tunnel == tunnel }
        guard !agents.contains(where: { $0.isServing }), let agent = agents.last(where: { !$0.isUp }) else {
            return
        }
        guard agent.hasExited || isSettling else { return }
        if world.database.tables.revokedKeys.contains(agent.agentKey) { agent.take(key: freshKey()) }
        agent.start()
    }

    // MARK: changes

    private func change() {
        guard changesPermille > 0 else { return }
        let pause_us = (200_000 + random.below(2_000_000)) * 1000 / changesPermille
        world.after(us: pause_us) { [self] in
            guard world.now_us < until_us else { return }
            changeOne()
            change()
        }
    }

    private func changeOne() {
        // Through a control plane, so not while the database is away.
        guard world.database.isUp else { return }
        let tunnels = world.database.tables.tunnels.keys.sorted()
        guard let tunnel = random.pick(tunnels) else { return }
        switch random.below(100) {
        case ..<55:
            let players = random.within(5...30)
            world.database.commit { tables throws(StoreFailure) in
                tables.change(tunnel: tunnel) { $0.limits.players = players }
            }
        case ..<70: revoke(tunnel)
        case ..<80:
            world.trace("customer suspends or restores \(tunnel)")
            world.database.commit { tables throws(StoreFailure) in
                tables.change(tunnel: tunnel) { $0.isSuspended.toggle() }
            }
        case ..<90:
            guard lastTunnel < 10 else { return }
            world.trace("customer deletes \(tunnel)")
            world.database.commit { tables throws(StoreFailure) in tables.delete(tunnel: tunnel) }
            open(after_us: 100_000)
        default: secondAgent(tunnel)
        }
    }

    private func revoke(_ tunnel: String) {
        guard let key = world.agents.last(where: { $0.tunnel == tunnel })?.agentKey else { return }
        world.trace("customer revokes \(key) of \(tunnel)")
        world.database.commit { tables throws(StoreFailure) in tables.revoke(key) }
    }

    /// The same tunnel from another machine: the newest wins.
    private func secondAgent(_ tunnel: String) {
        guard world.agents.count < 24, let first = world.agents.last(where: { $0.tunnel == tunnel }) else {
            return
        }
        world.trace("customer starts a second agent for \(tunnel)")
        world.addAgent(tunnel: tunnel, hostname: first.hostname, key: freshKey()).start()
    }

    /// Suspended tunnels are served again; every agent that should run does.
    func settle() {
        isSettling = true
        world.database.commit { tables throws(StoreFailure) in
            for tunnel in tables.tunnels.keys.sorted() {
                tables.change(tunnel: tunnel) {
                    $0.isSuspended = false
                    $0.limits.idle_timeout_s = nil
                }
            }
        }
    }

    func revokeOne() {
        if let tunnel = world.database.tables.tunnels.keys.min() { revoke(tunnel) }
    }

    // MARK: players

    private func join() {
        world.after(us: joinEvery_us / 2 + random.below(joinEvery_us)) { [self] in
            guard world.now_us < until_us else { return }
            let tables = world.database.tables
            if let tunnel = random.pick(tables.tunnels.keys.sorted()), let row = tables.tunnels[tunnel] {
                let known = world.relay(tables.placements[tunnel]?.owner ?? "")
                let any = world.relays[random.below(world.relays.count)]
                let relay = random.happens(600) ? known ?? any : any
                if relay.isUp {
                    world.join(tunnel, row.hostname, at: relay, stay_us: 1_000_000 + random.below(15_000_000))
                    { _ in }
                }
            }
            join()
        }
    }
}
