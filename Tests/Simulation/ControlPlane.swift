import Core
import Domain
import Wire

/// One control plane process: tries to lead, publishes while it leads, answers relays and agents.
final class ControlPlane: Node, RedisClient {
    private var database: Database { world.database }
    private var redis: RedisServer { world.redis }

    // What it leads with.
    private var lease: Tables.Lease?
    private var renewed = Instant(nanoseconds: 0)
    private var leading: Instant?
    private var publication: RegionPublication?
    private var publicationEpoch = 0
    private var outboxRead = Instant(nanoseconds: 0)
    private var changesRead = -1
    private var redisReady = false
    private var redisChanged = Instant(nanoseconds: 0)
    private var isTurning = false

    /// Changes that it was told of, so that a change during a turn brings another one.
    private var changes = 0
    private var turnTimer = 0
    private var waiters: [Int: () -> Void] = [:]
    private var lastWaiter = 0

    private(set) var loads = RelayLoads()
    /// The same, but nothing is ever planted in it.
    private var expected = RelayLoads()
    private var retries = 0
    private(set) var random = Chance(0)

    static let leaseLength_us = 6_000_000
    static let leaseLength = Milliseconds.seconds(6)
    static let renewEvery = Milliseconds.seconds(2)
    private static let turnEvery = Milliseconds(250)
    private static let outboxInterval = Milliseconds.seconds(1)

    override func started() {
        lease = nil
        leading = nil
        publication = nil
        redisReady = false
        redisChanged = now
        isTurning = false
        changes = 0
        changesRead = -1
        waiters = [:]
        loads = RelayLoads()
        expected = RelayLoads()
        random = world.random.split()
        outboxRead = Instant(nanoseconds: 0)
        renewed = Instant(nanoseconds: 0)
        redis.connect(self)
        renew()
        turn()
        noted = now
        lookAfterRelays()
        keep()
        rebalance()
    }

    override func died() {
        waiters = [:]
        publication = nil
    }

    // MARK: the lease

    /// While it lasts by our own clock, counted from before we asked for it.
    var currentLease: Tables.Lease? {
        now.since(renewed) < Self.leaseLength ? lease : nil
    }

    var ledFor: Milliseconds? { currentLease == nil ? nil : leading.map { now.since($0) } }

    private func renew() {
        let asked = now
        let holder = "\(name).\(run)"
        database.transact(from: self) { [database] tables throws(StoreFailure) in
            tables.holdLease(holder: holder, now_us: database.now_us, length_us: Self.leaseLength_us)
        } _: { [self] result in
            if case .success(let held) = result {
                let before = currentLease
                if held != nil, lease?.epoch != held?.epoch || before == nil { leading = asked }
                if before == nil, let held { world.trace("\(name) leads, epoch \(held.epoch)") }
                lease = held
                renewed = asked
            }
            after(Self.renewEvery) { [self] in renew() }
        }
    }

    /// A transaction of the leader: it counts only while the lease is held by the database's clock.
    private func lead<Answer>(
        as lease: Tables.Lease, _ work: @escaping (inout Tables) throws(StoreFailure) -> Answer,
        _ done: @escaping (Result<Answer, StoreFailure>) -> Void
    ) {
        let skipsFence = world.bug == .skipFence
        database.transact(from: self) { [database, world] tables throws(StoreFailure) in
            let holds = tables.holds(lease, now_us: database.now_us)
            guard holds || skipsFence else { throw .leaseLost }
            world.invariants.leaderActs(holds: holds, lease, by: self)
            return try work(&tables)
        } _: {
            done($0)
        }
    }

    // MARK: publishing

    private func turn() {
        guard !isTurning else { return }
        isTurning = true
        guard let lease = currentLease else {
            publication = nil
            return endTurn()
        }
        if lease.epoch != publicationEpoch {
            publication = nil
            publicationEpoch = lease.epoch
        }
        let seen = changes
        let reads = seen != changesRead || now.since(outboxRead) >= Self.outboxInterval
        guard let rev = publication?.rev else {
            return lead(as: lease) { tables throws(StoreFailure) in
                tables.snapshot(epoch: lease.epoch)
            } _: { [self] result in
                switch result {
                case .success(let snapshot):
                    publication = RegionPublication(snapshot)
                    tell(seen, readOutbox: false)
                case .failure: beginAgain()
                }
            }
        }
        guard reads else { return tell(seen, readOutbox: false) }
        lead(as: lease) { tables throws(StoreFailure) in
            tables.deltas(after: rev, epoch: lease.epoch, limit: 1000)
        } _: { [self] result in
            switch result {
            case .success(let deltas):
                guard let messages = publication?.advance(deltas) else {
                    publication = nil
                    return endTurn()
                }
                if redisReady { for message in messages { publish(message) } }
                tell(seen, readOutbox: true)
            case .failure: beginAgain()
            }
        }
    }

    private func tell(_ seen: Int, readOutbox: Bool) {
        if redisReady, let owed = publication?.owed(now) {
            for item in owed {
                switch item {
                case .beacon(let beacon): publish(.beacon(beacon))
                case .snapshot(let snapshot):
                    redis.command(from: self) {
                        $0.replaceSnapshot(snapshot)
                    } _: { _ in
                    }
                }
                publication?.told(item, now)
            }
        }
        if readOutbox {
            changesRead = seen
            outboxRead = now
        }
        endTurn()
    }

    private func publish(_ message: AssignmentMessage) {
        redis.command(from: self) {
            $0.publish(message)
        } _: { _ in
        }
    }

    /// The lease is lost, or the database is away.
    private func beginAgain() {
        publication = nil
        endTurn()
    }

    private func endTurn() {
        isTurning = false
        turnTimer += 1
        let timer = turnTimer
        let wait =
            changes != changesRead && currentLease != nil && publication != nil ? 5 : Self.turnEvery.count
        after(Milliseconds(wait)) { [self] in if timer == turnTimer { turn() } }
    }

    // MARK: what it is told of

    func heard(rev: Int) { wake() }

    /// Notifications may have been missed.
    func wakeAll() { wake() }

    private func wake() {
        changes += 1
        if world.bug != .pollNotReleased {
            let woken = waiters.sorted { $0.key < $1.key }
            waiters = [:]
            for waiter in woken { waiter.value() }
        }
        turnTimer += 1
        turn()
    }

    /// Calls once, when something changed or after the time.
    private func wait(_ time: Milliseconds, _ done: @escaping () -> Void) {
        lastWaiter += 1
        let number = lastWaiter
        waiters[number] = done
        after(time) { [self] in waiters.removeValue(forKey: number)?() }
    }

    func redisIs(ready: Bool) {
        guard redisReady != ready else { return }
        redisReady = ready
        redisChanged = now
        if ready { publication?.redisReturned() }
    }

    func heard(_ report: LoadReport) {
        loads.report(report, now: now)
        expected.report(report, now: now)
    }

    // MARK: relays' questions

    func register(_ info: RelayInfo, _ call: Call<Bool>) {
        database.transact(from: self) { [database] tables throws(StoreFailure) in
            tables.register(info, now_us: database.now_us)
        } _: { result in
            if case .success = result { call.answer(true) } else { call.answer(false) }
        }
    }

    /// Answers nil for 503.
    func assignments(since: Int, epoch: Int, wait_s: Int, _ call: Call<AssignmentMessage?>) {
        let deadline = now + .seconds(min(wait_s, 25))
        answerChanges(since, epoch, deadline, call)
    }

    private func answerChanges(
        _ since: Int, _ epoch: Int, _ deadline: Instant, _ call: Call<AssignmentMessage?>
    ) {
        let bug = world.bug
        database.transact(from: self) { tables throws(StoreFailure) in
            tables.changes(since: since, epoch: epoch, bug: bug)
        } _: { [self] result in
            guard case .success(let changes) = result else { return call.answer(nil) }
            let left = deadline.since(now)
            guard case .beacon(let beacon) = changes, beacon.epoch == epoch, left.count > 0, !call.isOver
            else { return call.answer(changes) }
            let nap = bug == .pollNotReleased ? left : min(left, .seconds(2))
            wait(nap) { [self] in answerChanges(since, epoch, deadline, call) }
        }
    }

    func links(_ relay: String, up: [(String, Int)], down: [(String, Int)], _ call: Call<Bool>) {
        database.transact(from: self) { [database] tables throws(StoreFailure) in
            tables.reportLinks(relay, up: up, down: down, now_us: database.now_us)
        } _: { result in
            if case .success = result { call.answer(true) } else { call.answer(false) }
        }
    }

    func usage(_ report: UsageReport, _ call: Call<Bool>) {
        let bug = world.bug
        database.transact(from: self) { [world] tables throws(StoreFailure) in
            let isNew = tables.addUsage(report, bug: bug)
            if isNew { world.invariants.metered(report) }
        } _: { result in
            if case .success = result { call.answer(true) } else { call.answer(false) }
        }
    }

    // MARK: agents' questions

    func place(_ request: PlacementRequest, _ call: Call<PlacementReply>) {
        // In the product whoever has gone does not get through the line of placements.
        guard !call.isAbandoned else { return }
        database.transact(from: self) { [self] tables throws(StoreFailure) in
            let placed = try tables.place(request, bug: world.bug) { decide($0) }
            world.invariants.placed(request, placed)
            return placed
        } _: { [self] result in
            switch result {
            case .success(let placed): call.answer(.placed(world.ticketOffice.issue(placed, request, wall)))
            case .failure(.unavailable), .failure(.leaseLost): call.answer(.refused(503, "unavailable"))
            case .failure(.noRelay): call.answer(.refused(503, "no-relay"))
            case .failure(.suspended): call.answer(.refused(403, "suspended"))
            case .failure(.sessionReplaced): call.answer(.refused(409, "session-replaced"))
            case .failure(.notFound): call.answer(.refused(404, "not-found"))
            }
        }
    }

    /// Decides and counts in one step, as the product's load board.
    private func decide(_ question: PlacementQuestion) -> PlacementDecision {
        let decision = question.decision(by: loads, now: now, using: &random)
        switch decision {
        case .place(let seats):
            let coming = question.linksToCome(for: seats)
            loads.placed(tunnel: question.tunnel, owner: coming.owner, standby: coming.standby, now: now)
            expected.placed(tunnel: question.tunnel, owner: coming.owner, standby: coming.standby, now: now)
        case .keep:
            guard world.bug == .countRetryAsLoad, let owner = question.present?.owner else { break }
            retries += 1
            loads.placed(tunnel: "\(question.tunnel) \(retries)", owner: owner, standby: nil, now: now)
        case .wasReplaced, .noRelay, .full: break
        }
        world.invariants.weighed(self, expected)
        return decision
    }

    // MARK: relays' lives

    private var noted = Instant(nanoseconds: 0)

    /// As the product's reaper; a run is too short for anyone to be lost by silence.
    private func lookAfterRelays() {
        after(.seconds(5)) { [self] in
            let heard = loads.heardSince(noted)
            noted = now
            lookAfterRelays()
            guard !heard.isEmpty else { return }
            database.transact(from: self) { [database] tables throws(StoreFailure) in
                tables.noteSeen(heard, now_us: database.now_us)
            } _: { _ in
            }
        }
    }

    // MARK: placements that do not last

    private func keep() {
        after(.seconds(1)) { [self] in
            keep()
            guard let lease = currentLease else { return }
            let leaving = Set(world.relays.map(\.name).filter { loads.isDraining($0) })
            lead(as: lease) { [self] tables throws(StoreFailure) in
                tables.repair(leaving: leaving, now_us: database.now_us) { decide($0) }
            } _: { _ in
            }
        }
    }

    /// The product waits a minute after each change of the fleet, and until it is worth it; here it is always.
    private func rebalance() {
        after(.seconds(3)) { [self] in
            rebalance()
            guard let lease = currentLease, world.rebalances else { return }
            var scores: [String: Int] = [:]
            for relay in world.relays where loads.isFresh(relay.name, now: now) {
                scores[relay.name] = loads.score(relay.name, now: now)
            }
            var rule = Rebalance()
            rule.floor = 1
            lead(as: lease) { [self] tables throws(StoreFailure) in
                tables.rebalance(rule, isUnderWay: isRebalancing, scores: scores) { decide($0) }
            } _: { [self] result in
                isRebalancing = (try? result.get()).map { $0 > 0 } ?? false
            }
        }
    }
    private var isRebalancing = false
}
