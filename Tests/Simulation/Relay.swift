import Core
import RelayCore
import Wire

/// One relay process: keeps its copy of the region, holds links, brings players together with data connections,
/// counts and reports. It decides with the product's own values.
final class Relay: Node, RedisClient {
    let info: RelayInfo
    let policy: LinkPolicy
    private(set) var routes = RouteTable()
    private var follower = RegionFollower()
    private(set) var rooms: [String: Room] = [:]
    private(set) var book: UsageBook
    var random = Chance(0)
    private(set) var isRegistered = false
    private var isRegistering = false
    private var registrationFailures = 0
    private var registrationTimer = 0
    private var redisReady = false
    private(set) var mesh: Mesh?
    private var nonces: [Nonce: String] = [:]
    private var lastNumber = 0
    private(set) var isDraining = false
    private var present: [String: Int] = [:]
    private var untold: [String: (generation: Int, isUp: Bool)] = [:]
    private var isReportingLinks = false
    private var isReportingLoad = false
    private var beats = 0

    static let usageInterval = Milliseconds.seconds(5)

    private var startedAt_us = 0

    var id: String { name }
    var hasUntoldUsage: Bool { !book.isEmpty }

    func startedBefore(us: Int) -> Bool { startedAt_us <= us }

    init(_ world: World, name: String, endpoint: String) {
        info = RelayInfo(
            id: name, region: Tables.region, endpoint: endpoint, meshAddress: endpoint,
            fingerprint: "f-\(name)")
        policy = LinkPolicy(relay: name)
        book = UsageBook(relay: name, run: "0", now: WallTime(seconds: 0))
        super.init(world, name: name)
    }

    override func started() {
        startedAt_us = world.now_us
        routes = RouteTable()
        follower = RegionFollower()
        rooms = [:]
        book = UsageBook(relay: id, run: String(run), now: wall)
        random = world.random.split()
        isRegistered = false
        isRegistering = false
        registrationFailures = 0
        redisReady = false
        nonces = [:]
        isDraining = false
        present = [:]
        untold = [:]
        isReportingLinks = false
        isReportingLoad = false
        world.invariants.relayStarted(self)
        world.redis.connect(self)
        let mesh = Mesh(self)
        self.mesh = mesh
        register()
        tick()
        mesh.tick()
        beat()
        after(Milliseconds(random.below(Self.usageInterval.count))) { [self] in usageBeat() }
    }

    override func died() {
        for room in inOrder { room.vanish() }
        world.invariants.relayEnded(self)
        rooms = [:]
        nonces = [:]
        mesh?.vanish()
        mesh = nil
    }

    private var inOrder: [Room] { rooms.sorted { $0.key < $1.key }.map(\.value) }

    func freshNumber() -> Int {
        lastNumber += 1
        return lastNumber
    }

    // MARK: registration

    private func register() {
        guard !isRegistering else { return }
        isRegistering = true
        registrationTimer += 1
        guard let control = world.front(self) else { return registered(false) }
        let info = info
        Call<Bool>.ask(from: self, to: control, timeout: .seconds(5)) {
            control.register(info, $0)
        } _: {
            [self] result in
            if case .success(true) = result { registered(true) } else { registered(false) }
        }
    }

    private func registered(_ isDone: Bool) {
        isRegistering = false
        guard isDone else {
            let ceiling = min(10_000, 250 << min(registrationFailures, 10))
            registrationFailures += 1
            return register(after: Milliseconds(ceiling / 2 + random.below(ceiling / 2)))
        }
        registrationFailures = 0
        if !isRegistered {
            isRegistered = true
            perform(follower.start(now: now))
        }
        for (tunnel, generation) in present { untold[tunnel] = (generation, true) }
        register(after: .minutes(1))
    }

    private func register(after wait: Milliseconds) {
        let timer = registrationTimer
        after(wait) { [self] in if timer == registrationTimer { register() } }
    }

    // MARK: the region

    private func tick() {
        perform(follower.tick(now: now))
        after(Milliseconds(500)) { [self] in tick() }
    }

    func redisIs(ready: Bool) {
        redisReady = ready
        if ready { perform(follower.subscribed()) }
    }

    func heardRedis(_ message: AssignmentMessage) {
        let outcome = apply(message, fromControlPlane: false)
        perform(follower.heard(message, outcome, now: now))
    }

    private func loadSnapshot() {
        world.redis.command(from: self) {
            $0.snapshot?.message
        } _: { [self] answer in
            guard let snapshot = answer.flatMap({ $0 }) else {
                if world.bug == .absenceIsEmpty, answer != nil, let position = routes.position {
                    replaceAll(
                        RegionSnapshot(
                            epoch: position.epoch, region: Tables.region, rev: position.rev, assignments: [],
                            relays: []))
                }
                return perform(follower.snapshotMissing())
            }
            if world.bug == .olderSnapshot {
                replaceAll(snapshot)
            } else if apply(.snapshot(snapshot), fromControlPlane: false) == .gap {
                perform(follower.snapshotMissing())
            }
        }
    }

    /// What no sound relay does.
    private func replaceAll(_ snapshot: RegionSnapshot) {
        let before = routes.position
        routes = RouteTable()
        let outcome = routes.apply(.snapshot(snapshot), fromControlPlane: true, now: now)
        world.invariants.applied(self, .snapshot(snapshot), before, outcome, fromControlPlane: false)
    }

    private func pull(after position: RegionBeacon?, wait_s: Int) {
        guard isRegistered, let control = world.front(self) else { return pullFailed() }
        let since = position?.rev ?? 0
        let epoch = position?.epoch ?? 0
        Call<AssignmentMessage?>.ask(from: self, to: control, timeout: .seconds(5 + wait_s)) {
            control.assignments(since: since, epoch: epoch, wait_s: wait_s, $0)
        } _: { [self] result in
            guard case .success(let message?) = result else { return pullFailed() }
            let outcome = apply(message, fromControlPlane: true)
            perform(follower.pulled(outcome, now: now, jitter: random.fraction()))
        }
    }

    private func pullFailed() { follower.pullFailed(now: now, jitter: random.fraction()) }

    private func perform(_ actions: [RegionFollower.Action]) {
        for action in actions {
            switch action {
            case .loadSnapshot: loadSnapshot()
            case .pull(let wait_s): pull(after: routes.position, wait_s: wait_s)
            case .pullWhole: pull(after: nil, wait_s: 0)
            }
        }
    }

    private func apply(_ message: AssignmentMessage, fromControlPlane: Bool) -> RegionState.Outcome {
        let before = routes.position
        let outcome = routes.apply(bent(message, before), fromControlPlane: fromControlPlane, now: now)
        world.invariants.applied(self, message, before, outcome, fromControlPlane: fromControlPlane)
        guard case .applied(let tunnels) = outcome else { return outcome }
        for tunnel in tunnels.sorted() {
            rooms[tunnel]?.assignmentChanged(
                routes.assignment(of: tunnel), newest: routes.generation(of: tunnel) ?? 0)
        }
        return outcome
    }

    /// The message, with a planted fault.
    private func bent(_ message: AssignmentMessage, _ position: RegionBeacon?) -> AssignmentMessage {
        guard world.bug == .ignoreGap, let position, case .delta(var delta) = message else { return message }
        delta.prevRev = min(delta.prevRev, position.rev)
        return .delta(delta)
    }

    // MARK: load and links

    private func beat() {
        if isRegistered {
            reportLoad()
            reportLinks()
        }
        for room in inOrder { room.countBytes() }
        world.invariants.secondPassed(self)
        after(.seconds(1)) { [self] in beat() }
    }

    private func reportLoad() {
        let position = routes.position
        let report = LoadReport(
            relay: id, region: Tables.region, players: rooms.values.reduce(0) { $0 + $1.playerCount },
            links: rooms.values.reduce(0) { $0 + ($1.link == nil ? 0 : 1) }, bytes_per_s: 0, cpu_permille: 0,
            freeDescriptors: 1000, epoch: position?.epoch ?? 0, rev: position?.rev ?? 0, digest: "",
            draining: isDraining)
        if follower.hearsRedis(now: now), redisReady {
            return world.redis.command(from: self) {
                $0.publish(report)
            } _: { _ in
            }
        }
        guard !isReportingLoad, let control = world.front(self) else { return }
        isReportingLoad = true
        Call<Bool>.ask(from: self, to: control, timeout: .seconds(5)) { call in
            control.heard(report)
            call.answer(true)
        } _: { [self] _ in
            isReportingLoad = false
        }
    }

    private func reportLinks() {
        guard !isReportingLinks, !untold.isEmpty, let control = world.front(self) else { return }
        isReportingLinks = true
        let changes = untold.sorted { $0.key < $1.key }
        untold = [:]
        let up = changes.filter { $0.value.isUp }.map { ($0.key, $0.value.generation) }
        let down = changes.filter { !$0.value.isUp }.map { ($0.key, $0.value.generation) }
        let id = id
        Call<Bool>.ask(from: self, to: control, timeout: .seconds(5)) {
            control.links(id, up: up, down: down, $0)
        } _: { [self] result in
            isReportingLinks = false
            if case .success(true) = result { return }
            for (tunnel, change) in changes where untold[tunnel] == nil { untold[tunnel] = change }
        }
    }

    func linkIsUp(_ ticket: Ticket) {
        routes.linkUp(ticket, now: now)
        present[ticket.tunnel] = ticket.generation
        untold[ticket.tunnel] = (ticket.generation, true)
    }

    func linkIsDown(_ tunnel: String, _ generation: Int) {
        routes.linkDown(tunnel: tunnel)
        present[tunnel] = nil
        untold[tunnel] = (generation, false)
    }

    func fellAsleep(_ tunnel: String, _ generation: Int) { routes.fellAsleep(tunnel, generation: generation) }

    // MARK: usage

    func count(_ bytes: Int, of tunnel: String) {
        book.add(
            UsageCount(bytes_up: bytes / 3, bytes_down: bytes - bytes / 3, player_ms: 0), to: tunnel,
            now: wall)
        world.invariants.delivered(bytes, self)
    }

    private func usageBeat() {
        reportUsage()
        after(Self.usageInterval) { [self] in usageBeat() }
    }

    private func reportUsage() {
        guard let report = book.next(now: wall) else { return }
        guard let control = world.front(self) else { return usageAnswered(report, false) }
        Call<Bool>.ask(from: self, to: control, timeout: .seconds(5)) {
            control.usage(report, $0)
        } _: {
            [self] result in
            if case .success(true) = result {
                usageAnswered(report, true)
            } else {
                usageAnswered(report, false)
            }
        }
    }

    private func usageAnswered(_ report: UsageReport, _ isTaken: Bool) {
        guard isTaken || world.bug == .forgetReport else { return book.failed(report.id) }
        book.acknowledged(report.id)
        world.invariants.acknowledged(self, report)
        if book.isBehind { reportUsage() }
    }

    // MARK: who comes in

    func room(_ tunnel: String, _ limits: Limits) -> Room {
        if let room = rooms[tunnel] { return room }
        let room = Room(self, tunnel: tunnel, limits: limits)
        rooms[tunnel] = room
        return room
    }

    func leave(_ room: Room) {
        if rooms[room.tunnel] === room { rooms[room.tunnel] = nil }
    }

    func expect(_ nonce: Nonce, for tunnel: String) { nonces[nonce] = tunnel }
    func forget(_ nonce: Nonce) { nonces[nonce] = nil }

    /// A connection from an agent; what it is shows with the first parcel.
    func accept(_ cable: Cable) { cable.attach(Guest(self), .acceptor) }

    func helloArrived(_ text: String, on cable: Cable) {
        guard let ticket = ticket(text) else {
            cable.send(
                .frame(.goAway(reconnectIn: Milliseconds(random.below(1001)), .ticketRefused)),
                from: .acceptor)
            return cable.close(from: .acceptor)
        }
        room(ticket.tunnel, ticket.limits).linkArrived(cable, ticket)
    }

    func ticket(_ text: String) -> Ticket? {
        guard let ticket = world.ticketOffice.read(text, at: id),
            policy.isInTime(ticket, under: routes.assignment(of: ticket.tunnel), now: wall)
        else { return nil }
        return ticket
    }

    var migrationSpread: Milliseconds {
        Milliseconds(min(5000, rooms.values.reduce(0) { $0 + ($1.link == nil ? 0 : 1) } * 5))
    }

    func dataArrived(_ nonce: Nonce, on cable: Cable) {
        guard let tunnel = nonces.removeValue(forKey: nonce), let room = rooms[tunnel] else {
            return cable.close(from: .acceptor)
        }
        room.admit(cable, nonce)
    }

    func relayArrived(_ other: String, on cable: Cable) {
        guard let mesh, other != id, routes.region?.relays[other] != nil else {
            return cable.close(from: .acceptor)
        }
        mesh.accept(cable, from: other)
    }

    /// What another relay is answered.
    func answer(_ question: MeshQuestion) -> MeshAnswer {
        guard let room = rooms[question.tunnel], room.link != nil else {
            return routes.answer(question.tunnel, relay: id)
        }
        return room.asked(question)
    }

    func refused(_ nonce: Nonce, _ reason: RefusalReason) {
        nonces[nonce].flatMap { rooms[$0] }?.agentRefused(nonce, reason)
    }

    /// A player has said which name they want.
    func playerArrived(_ player: Player) {
        guard !isDraining else { return player.turnedAway(.elsewhere) }
        switch routes.find(player.hostname, relay: id, now: now) {
        case .unknown: player.turnedAway(.unknownName)
        case .suspended: player.turnedAway(.suspended)
        case .asleep: player.turnedAway(.asleep)
        case .unplaced: player.turnedAway(.agentAway)
        case .soon: after(Milliseconds(50)) { [self] in if player.isWaiting { playerArrived(player) } }
        case .here(let tunnel, let limits), .elsewhere(let tunnel, let limits):
            room(tunnel, limits).admit(player)
        }
    }
}

/// A connection that has not said what it is.
private final class Guest: CableEnd {
    private unowned let relay: Relay

    init(_ relay: Relay) { self.relay = relay }

    func received(_ parcel: Parcel, on cable: Cable) {
        switch parcel {
        case .frame(.hello(let ticket)): relay.helloArrived(ticket, on: cable)
        case .preamble(let nonce): relay.dataArrived(nonce, on: cable)
        case .mesh(.hello(let other, _)): relay.relayArrived(other, on: cable)
        default: cable.close(from: .acceptor)
        }
    }

    func closed(_ cable: Cable) {}
}
