import Core
import Domain
import RelayCore
import Wire

/// What must be true at every moment, whatever fails. It watches from outside and knows what nobody in the world
/// knows as a whole.
final class Invariants {
    private unowned let world: World
    private(set) var violations: [String] = []

    /// Bytes of one run of a relay.
    struct Ledger {
        var delivered = 0
        var metered = 0
        /// In reports that were acknowledged.
        var acknowledged = 0
        var isOver = false
        /// What had been delivered at the end of each second.
        var history: [Int] = []
        /// When it was killed: what one report interval before must have been told.
        var due = 0
    }

    private var owners: [String: String] = [:]
    private var generations: [String: Int] = [:]
    private var lastSession: [String: String] = [:]
    private var replaced: [String: Set<String>] = [:]
    private(set) var ledgers: [String: Ledger] = [:]
    private var playing: [Int: (tunnel: String, key: String?)] = [:]
    /// Tunnels that were ever deleted or suspended.
    private var ended: Set<String> = []
    /// Keys that were ever revoked.
    private var revokedKeys: Set<String> = []
    /// When a tunnel was last seen not suspended.
    private var servedAgain_us: [String: Int] = [:]
    private(set) var joins = 0

    /// A revocation is felt this long after it, while a control plane or Redis reaches the relay.
    static let revocationBound = Milliseconds.seconds(5)

    init(_ world: World) { self.world = world }

    func violated(_ rule: String, _ detail: String) {
        violations.append("\(rule): \(detail), at \(world.clock)")
        world.trace("VIOLATED \(rule): \(detail)")
    }

    // MARK: links

    /// `newest`: of all generations that the relay knows.
    func accepted(_ ticket: Ticket, at relay: Relay, newest: Int) {
        world.trace(
            "\(relay.name) accepts \(ticket.role) of \(ticket.tunnel) generation \(ticket.generation), \(ticket.session)"
        )
        if ticket.generation < newest {
            violated(
                "no link of an older generation",
                "\(relay.name) knows generation \(newest) of \(ticket.tunnel) and accepted \(ticket.generation)"
            )
        }
        note(ticket, at: relay)
    }

    /// An open link has taken on another ticket.
    func renewed(_ ticket: Ticket, from held: HeldLink, at relay: Relay) {
        world.trace(
            "\(relay.name) renews \(ticket.role) of \(ticket.tunnel) generation \(ticket.generation), \(ticket.session)"
        )
        if ticket.generation < held.generation || ticket.session != held.session {
            violated("no link of an older generation", "\(relay.name) let a link of \(ticket.tunnel) go back")
        }
        note(ticket, at: relay)
    }

    private func note(_ ticket: Ticket, at relay: Relay) {
        guard ticket.role == .owner else { return }
        let place = "\(ticket.tunnel) \(ticket.generation) \(world.database.restores)"
        if let owner = owners[place], owner != relay.name {
            violated(
                "one owner per tunnel and generation",
                "\(owner) and \(relay.name) for \(ticket.tunnel) generation \(ticket.generation)")
        }
        owners[place] = relay.name
    }

    // MARK: assignments

    func applied(
        _ relay: Relay, _ message: AssignmentMessage, _ before: RegionBeacon?, _ outcome: RegionState.Outcome,
        fromControlPlane: Bool
    ) {
        guard case .applied = outcome, let region = relay.routes.region else { return }
        let epoch = message.epoch
        world.trace("\(relay.name) is at \(region.epoch).\(region.rev)")
        if let before {
            if epoch < before.epoch {
                violated(
                    "no stale epoch is applied",
                    "\(relay.name) at epoch \(before.epoch) applied epoch \(epoch)")
            }
            let isBack = region.rev < before.rev || region.epoch < before.epoch
            if isBack, !(fromControlPlane && world.database.restores > 0) {
                violated(
                    "no relay goes back",
                    "\(relay.name) from \(before.epoch).\(before.rev) to \(region.epoch).\(region.rev)")
            }
        }
        // After a restore a relay may hold a mixture until the next beacon shows it.
        if world.database.restores == 0, !world.database.knows(region.digest, at: region.rev) {
            violated(
                "what a relay holds is what the database had",
                "\(relay.name) at revision \(region.rev) differs")
        }
    }

    func leaderActs(holds: Bool, _ lease: Tables.Lease, by control: ControlPlane) {
        if !holds {
            violated("no stale epoch's write is accepted", "\(control.name) wrote under epoch \(lease.epoch)")
        }
    }

    func committed(_ tables: Tables) {
        guard let row = tables.outbox.last else { return }
        for assignment in row.upserts {
            revokedKeys.formUnion(assignment.revokedKeys)
            if let owner = assignment.owner, owner == assignment.standby {
                violated("owner and standby differ", "\(owner) is both for \(assignment.tunnel)")
            }
            if assignment.generation < generations[assignment.tunnel] ?? 0 {
                violated("no generation falls", "\(assignment.tunnel) to \(assignment.generation)")
            }
            generations[assignment.tunnel] = assignment.generation
            if assignment.state == .suspended {
                ended.insert(assignment.tunnel)
            } else {
                servedAgain_us[assignment.tunnel] = world.now_us
            }
        }
        for tunnel in row.deletes { ended.insert(tunnel) }
        if !row.deletes.isEmpty
            || row.upserts.contains(where: { $0.state == .suspended || !$0.revokedKeys.isEmpty })
        {
            for tunnel in row.deletes { checkEnd(of: tunnel, keys: nil) }
            for assignment in row.upserts {
                if assignment.state == .suspended {
                    checkEnd(of: assignment.tunnel, keys: nil)
                } else if !assignment.revokedKeys.isEmpty {
                    checkEnd(of: assignment.tunnel, keys: assignment.revokedKeys)
                }
            }
        }
    }

    /// `keys` nil: the whole tunnel.
    private func checkEnd(of tunnel: String, keys: [String]?) {
        let from_us = world.now_us
        let rev = world.database.tables.rev
        world.after(us: Self.revocationBound.count * 1000) { [self] in
            guard world.wasCalm(since_us: from_us) else { return }
            if keys == nil, let lifted = servedAgain_us[tunnel], lifted > from_us { return }
            for relay in world.relays where relay.isUp && relay.startedBefore(us: from_us) {
                guard let link = relay.rooms[tunnel]?.link else { continue }
                if keys == nil || keys?.contains(link.held.agentKey ?? "") == true {
                    violated(
                        "nothing revoked is served beyond \(Self.revocationBound.count / 1000) s",
                        "\(relay.name) still has a link of \(tunnel), revoked at revision \(rev)")
                }
            }
            for (number, player) in playing.sorted(by: { $0.key < $1.key }) where player.tunnel == tunnel {
                if keys == nil || keys?.contains(player.key ?? "") == true {
                    violated(
                        "nothing revoked is served beyond \(Self.revocationBound.count / 1000) s",
                        "player \(number) is still in \(tunnel), revoked at revision \(rev)")
                }
            }
        }
    }

    /// Nobody remembers who took over from whom.
    func restored(_ tables: Tables) {
        // What was made since the backup is gone, and what was revoked since is forgotten.
        for tunnel in generations.keys where tables.tunnels[tunnel] == nil { ended.insert(tunnel) }
        for (tunnel, row) in tables.placements { generations[tunnel] = row.generation }
        lastSession = [:]
        replaced = [:]
    }

    // MARK: placements

    func placed(_ request: PlacementRequest, _ placed: Placed) {
        world.trace(
            "\(request.tunnel) for \(request.session): generation \(placed.assignment.generation) at \(placed.owner.id)"
                + (placed.standby.map { " and \($0.id)" } ?? ""))
        if replaced[request.tunnel]?.contains(request.session) == true {
            violated(
                "a replaced session does not come back", "\(request.session) has \(request.tunnel) again")
        }
        if let before = lastSession[request.tunnel], before != request.session {
            replaced[request.tunnel, default: []].insert(before)
        }
        lastSession[request.tunnel] = request.session
    }

    /// What one control plane takes relays' load for, beside what it has to be.
    func weighed(_ control: ControlPlane, _ expected: RelayLoads) {
        for relay in world.relays {
            let score = control.loads.score(relay.name, now: control.now)
            if score != expected.score(relay.name, now: control.now) {
                violated(
                    "a placement counts as load once", "\(control.name) takes \(relay.name) for \(score)")
            }
        }
    }

    /// A relay asked another one for a player.
    func asked(_ question: MeshQuestion, by asker: String, at relay: Relay) {
        world.trace("\(asker) asks \(relay.name) for \(question.tunnel)")
        if question.rendezvous.relay != asker {
            violated(
                "a question is asked once",
                "\(asker) passed on to \(relay.name) what \(question.rendezvous.relay) asked")
        }
    }

    // MARK: usage

    func relayStarted(_ relay: Relay) { ledgers["\(relay.name) \(relay.run)"] = Ledger() }

    /// It was killed, and what it had not told yet went with it: at most one interval, where it could tell.
    func relayEnded(_ relay: Relay) {
        let key = "\(relay.name) \(relay.run)"
        guard var ledger = ledgers[key], !ledger.isOver else { return }
        ledger.isOver = true
        // Its last report may have been on the way for a while.
        let seconds = Relay.usageInterval.count / 1000 + 2
        if world.wasCalm(since_us: world.now_us - seconds * 1_000_000), ledger.history.count > seconds {
            ledger.due = ledger.history[ledger.history.count - 1 - seconds]
        }
        ledgers[key] = ledger
    }

    func delivered(_ bytes: Int, _ relay: Relay) {
        ledgers["\(relay.name) \(relay.run)", default: Ledger()].delivered += bytes
    }

    func acknowledged(_ relay: Relay, _ report: UsageReport) {
        ledgers["\(relay.name) \(relay.run)"]?.acknowledged += bytes(in: report)
    }

    func secondPassed(_ relay: Relay) {
        let key = "\(relay.name) \(relay.run)"
        let delivered = ledgers[key]?.delivered ?? 0
        ledgers[key]?.history.append(delivered)
    }

    private func bytes(in report: UsageReport) -> Int {
        report.rows.reduce(0) { $0 + $1.bytes_up + $1.bytes_down }
    }

    /// The database added a report.
    func metered(_ report: UsageReport) {
        let run = report.id.prefix { $0 != "." }
        let key = "\(report.relay) \(run)"
        ledgers[key, default: Ledger()].metered += bytes(in: report)
        // A database that was restored has forgotten what it added since.
        if let ledger = ledgers[key], world.database.restores == 0, ledger.metered > ledger.delivered {
            violated(
                "no byte is metered twice",
                "run \(key): \(ledger.metered) metered, \(ledger.delivered) delivered")
        }
    }

    /// When all relays that live have told everything.
    func checkLedgers() {
        for (key, ledger) in ledgers.sorted(by: { $0.key < $1.key }) where world.database.restores == 0 {
            if !ledger.isOver, ledger.metered != ledger.delivered {
                violated(
                    "metered is delivered",
                    "run \(key): \(ledger.metered) metered, \(ledger.delivered) delivered")
            }
            if ledger.metered < ledger.due {
                violated(
                    "at most one report interval is lost with a relay",
                    "run \(key): \(ledger.metered) metered, \(ledger.due) delivered before the last interval")
            }
            if ledger.metered < ledger.acknowledged {
                violated(
                    "what was acknowledged is metered",
                    "run \(key): \(ledger.metered) metered, \(ledger.acknowledged) acknowledged")
            }
        }
    }

    // MARK: players

    func joined(_ player: Player, _ tunnel: String, agentKey: String?) {
        joins += 1
        playing[player.number] = (tunnel, agentKey)
    }

    func left(_ player: Player) { playing[player.number] = nil }

    func dropped(_ player: Player, _ reason: Player.Loss) {
        let was = playing.removeValue(forKey: player.number)
        switch reason {
        case .relayDied, .agentDied: return
        case .ended:
            if ended.contains(player.tunnel) { return }
            if let key = was?.key, revokedKeys.contains(key) { return }
        case .connectionClosed, .linkLost: break
        }
        violated(
            "a player is dropped only by death or revocation",
            "player \(player.number) in \(player.tunnel): \(reason)")
    }

    var playersIn: Int { playing.count }
}

extension AssignmentMessage {
    var epoch: Int {
        switch self {
        case .delta(let delta): delta.epoch
        case .snapshot(let snapshot): snapshot.epoch
        case .beacon(let beacon): beacon.epoch
        }
    }
}
