import Core

/// What goes wrong in one run: which kinds, how often and how badly is drawn from the seed, so that some runs see one
/// kind only and others all at once.
final class Faults {
    enum Kind: CaseIterable {
        case killRelay, loseRelayMachine, stopRelay
        case killControl, stopControl
        case killAgent, stopAgent
        case cutPair, isolate, isolateOneWay
        case databaseAway, lostAnswers, slowDatabase, restoreDatabase
        case redisAway, redisEmptyRestart, flush, oldSnapshot, dropSubscribers
        case lossyChannels
        case slowNetwork
        case wallClocks

        /// Whether it may hold up what the control plane has to tell a relay, beyond Redis.
        var isHarsh: Bool {
            switch self {
            case .killAgent, .stopAgent, .redisAway, .redisEmptyRestart, .flush, .oldSnapshot,
                .dropSubscribers,
                .lossyChannels, .wallClocks:
                false
            default: true
            }
        }
    }

    private unowned let world: World
    private var random: Chance
    private let kinds: [Kind]
    private let every_us: Int
    private var until_us = 0
    private var dumpsTaken = false
    private var backupsTaken = false

    init(_ world: World) {
        self.world = world
        random = world.random.split()
        var chosen: [Kind] = []
        let permille = random.pick([100, 250, 250, 500, 1000]) ?? 250
        let mildOnly = random.happens(250)
        for kind in Kind.allCases where random.happens(permille) {
            if !mildOnly || !kind.isHarsh { chosen.append(kind) }
        }
        kinds = chosen
        every_us = random.within(300_000...3_000_000)
    }

    func begin(until_us: Int) {
        self.until_us = until_us
        world.trace("faults: \(kinds.map { "\($0)" }.joined(separator: " "))")
        if !kinds.isEmpty { next() }
    }

    private func next() {
        world.after(us: every_us / 2 + random.below(every_us)) { [self] in
            guard world.now_us < until_us else { return }
            if let kind = random.pick(kinds) { strike(kind) }
            next()
        }
    }

    /// Everything is as it should be; what died starts again.
    func end() {
        world.trace("no more faults")
        world.network.healAll()
        world.network.slowPermille = 5
        world.network.slow_us = 40_000
        world.retransmit()
        world.database.lostAnswersPermille = 0
        world.database.slow_us = 0
        world.redis.lostPermille = 0
        world.redis.doubledPermille = 0
        world.redis.shuffledPermille = 0
        for node in [world.database, world.redis] as [Node] + world.controls + world.relays { revive(node) }
        for agent in world.agents {
            agent.goOn()
        }
        world.harshUntil_us = max(world.harshUntil_us, world.now_us - 15_000_000)
    }

    private func revive(_ node: Node) {
        node.start()
        node.goOn()
    }

    private func some(_ limit_us: Int) -> Int { limit_us / 10 + random.below(limit_us) }

    /// It lasts for `time_us`, then it is undone.
    private func lasting(_ kind: Kind, _ time_us: Int, _ undo: @escaping () -> Void) {
        if kind.isHarsh { world.harshUntil_us = max(world.harshUntil_us, world.now_us + time_us) }
        world.after(us: time_us) { [self] in
            guard world.now_us < until_us else { return }
            undo()
        }
    }

    private func strike(_ kind: Kind) {
        world.trace("fault: \(kind)")
        let long_us = some(8_000_000)
        switch kind {
        case .killRelay, .loseRelayMachine:
            guard let relay = random.pick(world.relays) else { return }
            relay.kill(silently: kind == .loseRelayMachine)
            lasting(kind, some(6_000_000)) { relay.start() }
        case .stopRelay: stop(random.pick(world.relays), kind, some(12_000_000))
        case .killControl:
            guard let control = random.pick(world.controls) else { return }
            control.kill()
            lasting(kind, some(5_000_000)) { control.start() }
        case .stopControl: stop(random.pick(world.controls), kind, some(14_000_000))
        case .killAgent:
            guard let agent = random.pick(world.agents.filter { $0.isUp }) else { return }
            agent.kill(silently: random.happens(300))
            lasting(kind, some(4_000_000)) { agent.start() }
        case .stopAgent: stop(random.pick(world.agents.filter { $0.isUp }), kind, some(12_000_000))
        case .cutPair:
            let nodes = everyone
            guard let one = random.pick(nodes), let other = random.pick(nodes), one !== other else { return }
            cut([(one, other), (other, one)], kind, long_us)
        case .isolate, .isolateOneWay:
            guard let one = random.pick(everyone) else { return }
            var ways: [(Node, Node)] = []
            for other in everyone where other !== one {
                ways.append((one, other))
                if kind == .isolate { ways.append((other, one)) }
            }
            cut(ways, kind, long_us)
        case .databaseAway:
            world.database.kill()
            lasting(kind, some(6_000_000)) { [world] in world.database.start() }
        case .lostAnswers:
            world.database.lostAnswersPermille = random.within(50...500)
            lasting(kind, long_us) { [world] in world.database.lostAnswersPermille = 0 }
        case .slowDatabase:
            world.database.slow_us = random.within(50_000...2_000_000)
            lasting(kind, long_us) { [world] in world.database.slow_us = 0 }
        case .restoreDatabase:
            backupsTaken.toggle()
            if backupsTaken { return world.database.takeBackup() }
            world.database.kill()
            world.database.restore()
            lasting(kind, some(2_000_000)) { [world] in world.database.start() }
        case .redisAway, .redisEmptyRestart:
            world.redis.kill()
            if kind == .redisEmptyRestart { world.redis.flushAll() }
            lasting(kind, kind == .redisAway ? long_us : some(1_500_000)) { [world] in world.redis.start() }
        case .flush: world.redis.flushAll()
        case .oldSnapshot:
            if dumpsTaken {
                world.redis.loadDump()
                world.redis.dropSubscribers()
            } else {
                world.redis.takeDump()
            }
            dumpsTaken.toggle()
        case .dropSubscribers: world.redis.dropSubscribers()
        case .lossyChannels:
            world.redis.lostPermille = random.pick([50, 300, 700]) ?? 300
            world.redis.doubledPermille = random.pick([0, 300]) ?? 300
            world.redis.shuffledPermille = random.pick([0, 300]) ?? 300
            lasting(kind, long_us) { [world] in
                world.redis.lostPermille = 0
                world.redis.doubledPermille = 0
                world.redis.shuffledPermille = 0
            }
        case .slowNetwork:
            world.network.slowPermille = random.within(50...500)
            world.network.slow_us = random.within(100_000...3_000_000)
            lasting(kind, long_us) { [world] in
                world.network.slowPermille = 5
                world.network.slow_us = 40_000
            }
        case .wallClocks:
            let nodes = world.controls + world.relays + world.agents as [Node]
            if let node = random.pick(nodes) { node.wallOffset_s += Int64(random.within(-90...90)) }
        }
    }

    private var everyone: [Node] {
        [world.database, world.redis] + world.controls + world.relays + world.agents.filter { $0.isUp }
            as [Node]
    }

    private func stop(_ node: Node?, _ kind: Kind, _ time_us: Int) {
        guard let node, node.isUp else { return }
        node.stop()
        lasting(kind, time_us) { node.goOn() }
    }

    private func cut(_ ways: [(Node, Node)], _ kind: Kind, _ time_us: Int) {
        world.trace("cut: " + ways.map { "\($0.name)>\($1.name)" }.joined(separator: " "))
        for way in ways { world.network.cut(way.0, way.1) }
        world.after(us: 3_000_000) { [world] in world.redis.noticeCuts() }
        lasting(kind, time_us) { [world] in
            for way in ways { world.network.heal(way.0, way.1) }
            world.retransmit()
        }
    }
}
