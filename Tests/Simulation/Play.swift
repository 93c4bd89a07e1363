import Core
import RelayCore
import Wire

typealias OfflineAnswer = OfflineReason?

/// The acts of one run: everything starts, faults come and go, everything settles within a bound, and then works as
/// if nothing had been.
final class Play {
    private let world: World
    private(set) var settled_ms: Int?

    /// When faults stop, everything agrees again within this. An agent may be waiting for half a minute just then,
    /// and its relay may be cut off from a control plane's answer for as long as a held question lasts.
    static let settlingBound_s = 60
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
        var problem: String?
        var agreedSince_us: Int?
        while isSound, world.now_us < from_us + Self.settlingBound_s * 1_000_000 {
            world.run(until_us: world.now_us + Self.step_us)
            problem = disagreement()
            guard problem == nil else {
                agreedSince_us = nil
                continue
            }
            if agreedSince_us == nil { agreedSince_us = world.now_us }
            // Not only for a moment.
            if let since = agreedSince_us, world.now_us >= since + 1_000_000 {
                settled_ms = (since - from_us) / 1000
                world.trace("all agree, \(settled_ms ?? 0) ms after the last fault")
                return true
            }
        }
        if isSound {
            world.invariants.violated(
                "everything agrees \(Self.settlingBound_s) s after the last fault",
                problem ?? "it did not last")
        }
        return false
    }

    /// What is not yet as it should be; nil when all is well.
    private func disagreement() -> String? {
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
        if placement.standby == nil { return "\(agent.tunnel) has no standby" }
        guard placement.session == agent.sessionName else {
            return "\(agent.name) has not got \(agent.tunnel) yet"
        }
        for relay in world.relays {
            let link = relay.rooms[agent.tunnel]?.link
            let wants = relay.name == owner || relay.name == placement.standby
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
        let tells_us = world.now_us + 11_000_000
        world.run(until_us: world.now_us + Invariants.revocationBound.count * 1000 + 100_000)
        while isSound, world.now_us < tells_us, world.relays.contains(where: { $0.hasUntoldUsage }) {
            world.run(until_us: world.now_us + Self.step_us)
        }
        if isSound { world.invariants.checkLedgers() }
    }
}
