import Core
import Wire

/// A whole Minecart in one place: two control planes, relays, agents, players, a database, a Redis and the network
/// between them, moved by one schedule and one seed.
final class World {
    static let begins_s: Int64 = 1_800_000_000

    let options: Options
    var random: Chance
    var network = Network()
    private var schedule = Schedule()
    private(set) var mix: UInt64 = 0xCBF2_9CE4_8422_2325
    private(set) var lines: [String] = []

    private(set) var database: Database!
    private(set) var redis: RedisServer!
    private(set) var controls: [ControlPlane] = []
    private(set) var relays: [Relay] = []
    private(set) var agents: [Agent] = []
    private(set) var invariants: Invariants!
    private(set) var customers: Customers!
    private(set) var faults: Faults!
    var ticketOffice = TicketOffice()
    /// Connections that wait for a way to open.
    var heldCables: [Cable] = []
    private var lastPlayer = 0
    /// Whether the leader evens out how many agents relays own, which moves tunnels between living relays.
    private(set) var rebalances = false

    var bug: PlantedBug? { options.bug }
    var now_us: Int { schedule.now_us }
    var happened: Int { schedule.happened }

    init(_ options: Options) {
        self.options = options
        random = Chance(options.seed &* 0x9E37_79B9 &+ 17)
        invariants = Invariants(self)
        database = Database(self, name: "database")
        redis = RedisServer(self, name: "redis")
        controls = (1...2).map { ControlPlane(self, name: "control\($0)") }
        relays = (1...3).map { Relay(self, name: "r\($0)", endpoint: "r\($0):7000") }
        database.listeners = controls
        rebalances = random.happens(400)
        customers = Customers(self)
        faults = Faults(self)
        spaceOut()
    }

    // MARK: building

    /// Agents are farther away than the rest.
    private func spaceOut() {
        for relay in relays {
            for other in relays where other !== relay { network.setBase(relay, other, us: 300) }
        }
    }

    func addAgent(tunnel: String, hostname: String, key: String) -> Agent {
        let agent = Agent(
            self, name: "a\(agents.count + 1)", tunnel: tunnel, hostname: hostname, agentKey: key)
        for relay in relays { network.setBase(agent, relay, us: 2000 + random.below(20_000)) }
        for control in controls { network.setBase(agent, control, us: 2000 + random.below(20_000)) }
        agents.append(agent)
        return agent
    }

    func relay(_ id: String) -> Relay? { relays.first { $0.name == id } }

    /// What a health check in front of the control planes lets through.
    func front(_ client: Node) -> ControlPlane? {
        let good = controls.filter { $0.isUp && !network.isCut(client, $0) }
        return good.isEmpty ? nil : good[random.below(good.count)]
    }

    func join(
        _ tunnel: String, _ hostname: String, at relay: Relay, stay_us: Int,
        _ done: @escaping (OfflineAnswer) -> Void
    ) {
        lastPlayer += 1
        let player = Player(
            self, number: lastPlayer, tunnel: tunnel, hostname: hostname, at: relay, stay_us: stay_us, done)
        after(us: 1000 + random.below(20_000)) { player.arrive() }
    }

    // MARK: time

    func after(us: Int, _ work: @escaping () -> Void) { schedule.add(at_us: schedule.now_us + us, work) }

    func at(us: Int, _ work: @escaping () -> Void) { schedule.add(at_us: us, work) }

    func run(until_us: Int) {
        while invariants.violations.isEmpty, let work = schedule.next(before: until_us) {
            mix = (mix ^ UInt64(truncatingIfNeeded: schedule.now_us)) &* 0x100_0000_01B3
            work()
        }
    }

    /// Seconds with three digits.
    var clock: String {
        let ms = now_us / 1000
        let rest = String(ms % 1000)
        return "\(ms / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest) s"
    }

    func trace(_ text: @autoclosure () -> String) {
        guard options.traces else { return }
        lines.append("\(clock) \(text())")
    }

    func retransmit() {
        let waiting = heldCables
        heldCables = []
        for cable in waiting { cable.retransmit() }
    }

    // MARK: calm

    /// Until when something was wrong that may hold up what the control plane has to tell.
    var harshUntil_us = -12_000_000
    static let recovery_us = 15_000_000

    func wasCalm(since_us: Int) -> Bool { harshUntil_us + Self.recovery_us <= since_us }

    func release() {
        schedule.clear()
        for node in [database, redis] as [Node] + controls + relays + agents { node.release() }
        heldCables = []
        redis.forgetClients()
        database.listeners = []
    }
}
