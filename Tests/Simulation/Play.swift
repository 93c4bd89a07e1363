import Core
import RelayCore
import Wire

typealias OfflineAnswer = OfflineReason?

/// The acts of one run: everything starts, faults come and go, everything settles within a bound, and then works as
/// if nothing had been.
final class Play {
    private let world: World
    private(set) var settled_ms: Int?

    /// When faults stop, everything agrees again within this. An agent may be waiting for half a minute just then, and
    /// a relay that a restored database does not know says who it is once a minute.
    static let settlingBound_s = 75
    /// A missing standby is nobody's trouble yet: its agent asks for it ever more rarely, at least every five minutes.
    static let standbyBound_s = 400
    private static let step_us = 500_000

    init(_ world: World) { self.world = world }

    func run() {
        let faultsEnd_us = world.options.seconds * 1_000_000 * 3 / 5
        world.database.start()
        world.redis.start()
        for control in world.controls { control.start() }
        for relay in world.relays { world.after(us: world.random.below(400_000)) { relay.start() } }
        world.customers.begin(until_us: faultsEnd_us)
        world.faults.begin(until_us: faultsEnd_us)
        world.run(until_us: faultsEnd_us)
        world.faults.end()
        world.customers.settle()
        guard settle(from_us: faultsEnd_us) else { return }
        finale()
    }

    private var isSound: Bool { world.invariants.violations.isEmpty }

    private func settle(from_us: Int) -> Bool {
        var agreedSince_us: Int?
        while isSound {
            world.run(until_us: world.now_us + Self.step_us)
            let time_s = (world.now_us - from_us) / 1_000_000
            guard let problem = disagreement() else {
                let since_us = agreedSince_us ?? world.now_us
                agreedSince_us = since_us
                // Not only for a moment.
                guard world.now_us >= since_us + 1_000_000 else { continue }
                settled_ms = (since_us - from_us) / 1000
                world.trace("all agree, \(settled_ms ?? 0) ms after the last fault")
                return true
            }
            agreedSince_us = nil
            let bound_s = problem.isStandby ? Self.standbyBound_s : Self.settlingBound_s
            if isSound, time_s >= bound_s {
                world.invariants.violated(
                    "everything agrees \(bound_s) s after the last fault", problem.words)
            }
        }
        return false
    }

    private struct Problem {
        var words: String
        /// Only a reserve is missing.
        var isStandby = false

        init(_ words: String) { self.words = words }
        init(standby words: String) {
            self.words = words
            isStandby = true
        }
    }

    /// A missing standby comes last, so that it hides nothing else.
    private func disagreement() -> Problem? {
        if let words = broken() { return Problem(words) }
        return incomplete().map { Problem(standby: $0) }
    }

    /// An agent without its second link.
    private func incomplete() -> String? {
        let tables = world.database.tables
        for (tunnel, row) in tables.tunnels.sorted(by: { $0.key < $1.key }) where !row.isSuspended {
            guard let agent = world.agents.first(where: { $0.tunnel == tunnel && $0.isServing }),
                let placement = tables.placements[tunnel]
            else { continue }
            guard let standby = placement.standby else { return "\(tunnel) has no standby" }
            let link = world.relay(standby)?.rooms[tunnel]?.link
            if link?.held.session != agent.sessionName || link?.held.generation != placement.generation {
                return
                    "\(agent.name) has \(link.map { "\($0.held)" } ?? "no link") at \(standby), not \(placement)"
            }
        }
        return nil
    }

    /// What is not yet as it should be; nil when all is well.
    private func broken() -> String? {
        let tables = world.database.tables
        let leaders = world.controls.filter {
            $0.currentLease.map { tables.holds($0, now_us: world.now_us) } ?? false
        }
        guard leaders.count == 1 else { return "\(leaders.count) leaders" }
        for relay in world.relays {
            guard let region = relay.routes.region else { return "\(relay.name) knows nothing" }
            if region.rev != tables.rev || region.digest != tables.region.digest {
                return "\(relay.name) is at revision \(region.rev), the database at \(tables.rev)"
            }
            if region.epoch != tables.epoch {
                return "\(relay.name) is at epoch \(region.epoch) of \(tables.epoch)"
            }
            if let other = relay.mesh?.unconnected { return "\(relay.name) has no connection to \(other)" }
            if relay.hasUntoldUsage { return "\(relay.name) has usage that is not told" }
        }
        for (tunnel, row) in tables.tunnels.sorted(by: { $0.key < $1.key }) where !row.isSuspended {
            let agents = world.agents.filter { $0.tunnel == tunnel && $0.isServing }
            guard agents.count == 1, let agent = agents.first else {
                return "\(agents.count) agents for \(tunnel)"
            }
            if let problem = wrongLinks(agent, tables) { return problem }
        }
        return nil
    }

    private func wrongLinks(_ agent: Agent, _ tables: Tables) -> String? {
        guard let placement = tables.placements[agent.tunnel], let owner = placement.owner else {
            return "\(agent.name) has no placement"
        }
        guard placement.session == agent.sessionName else {
            return "\(agent.name) has not got \(agent.tunnel) yet"
        }
        for relay in world.relays {
            let link = relay.rooms[agent.tunnel]?.link
            if relay.name == placement.standby { continue }
            let wants = relay.name == owner
            if wants, link?.held.session != agent.sessionName || link?.held.generation != placement.generation
            {
                return
                    "\(agent.name) has \(link.map { "\($0.held)" } ?? "no link") at \(relay.name), not \(placement)"
            }
            if !wants, link != nil { return "\(relay.name) keeps a link of \(agent.tunnel)" }
        }
        return nil
    }

    /// Players join everywhere, keys are revoked, and everything that was counted is told.
    private func finale() {
        var answers: [String: OfflineAnswer] = [:]
        var asked = 0
        for (tunnel, row) in world.database.tables.tunnels.sorted(by: { $0.key < $1.key }) {
            for relay in world.relays {
                asked += 1
                world.join(tunnel, row.hostname, at: relay, stay_us: 7_000_000) {
                    answers["\(tunnel) at \(relay.name)"] = .some($0)
                }
            }
        }
        world.run(until_us: world.now_us + 6_000_000)
        guard isSound else { return }
        let failed = answers.sorted { $0.key < $1.key }.filter { $0.value != nil }
        if answers.count < asked || !failed.isEmpty {
            let words = failed.map { "\($0.key): \($0.value.map { "\($0)" } ?? "")" }.joined(separator: ", ")
            world.invariants.violated(
                "joins work everywhere", "\(asked - answers.count) without an answer; \(words)")
        }
        world.customers.revokeOne()
        // Players from before may stay a while longer, and what they did is told an interval later.
        let tells_us = world.now_us + 40_000_000
        world.run(until_us: world.now_us + Invariants.revocationBound.count * 1000 + 100_000)
        while isSound, world.now_us < tells_us, world.relays.contains(where: { $0.hasUntoldUsage }) {
            world.run(until_us: world.now_us + Self.step_us)
        }
        if isSound { world.invariants.checkLedgers() }
    }
}
