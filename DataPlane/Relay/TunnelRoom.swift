import Core
import IO
import RelayCore
import Wire

/// A tunnel on its loop: carries out what its desk decides, with the real link, players and data connections.
final class TunnelRoom {
    let relayLoop: RelayLoop
    let tunnel: String
    private var desk: TunnelDesk
    private var link: AgentLink?
    private var players: [PlayerID: PlayerConnection] = [:]
    private var datas: [DataID: DataConnection] = [:]
    private var splices: [PlayerID: RunningSplice] = [:]
    /// What all players share while the tunnel's bytes are limited. Without a limit there is none to ask.
    private(set) var meter: SpliceMeter?
    private var meteredRate: Int?
    /// How much of the tunnel's bytes this relay may pass.
    private var bytes: ByteLimit
    /// Relays that were told of players here.
    private var told: Set<String> = []
    private var alarm: (timer: TimerID, due: Instant)?
    /// The highest generation seen here, in tickets or assignments: nobody older gets in again.
    private(set) var generation = 0
    /// The newest generation that the link was told to fetch.
    private var migratedFor: Int?
    /// Ends a link that the placement does not name any more.
    private var departure: TimerID?

    private var loop: EventLoop { relayLoop.loop }
    private var metrics: RelayMetrics { relayLoop.context.metrics }

    init(_ relayLoop: RelayLoop, tunnel: String, limits: Limits) {
        self.relayLoop = relayLoop
        self.tunnel = tunnel
        desk = TunnelDesk(
            loop: relayLoop.number, rendezvous: relayLoop.context.relay.rendezvous, limits: limits,
            timing: relayLoop.context.patience.desk, parked: relayLoop.context.patience.parked)
        bytes = ByteLimit(limit: limits.bytes_per_s)
        followLimits()
        guard let assignment = relayLoop.context.routes.assignment(of: tunnel) else { return }
        followPlace(under: assignment)
        // Nobody is here yet whom they could end.
        _ = desk.revoked(assignment.revokedKeys)
    }

    // MARK: the link

    var hasLink: Bool { link != nil }

    /// A link with a good ticket. The newest session wins; one of an older generation is sent away.
    func linkArrived(_ moved: MovedStream, ticket: Ticket) {
        let arriving = AgentLink(self, moved: moved, ticket: ticket)
        if let reason = refusal(of: ticket) {
            metrics.linkRefused.add()
            arriving.sendAway(reason)
            return leaveIfIdle()
        }
        if let old = link {
            link = nil
            old.sendAway(relayLoop.context.policy.farewell(to: old.held, replacedBy: ticket))
        } else {
            metrics.links.add(1)
        }
        link = arriving
        migratedFor = nil
        stay(until: nil)
        took(ticket)
        perform(
            desk.linkUp(
                agentKey: ticket.agentKey, limits: limits(with: ticket), now: loop.now,
                using: &relayLoop.random))
    }

    /// The open link's agent shows another ticket: the placement changed and kept this relay.
    func linkBrings(_ text: String, _ bearer: AgentLink) {
        guard link === bearer else { return }
        let context = relayLoop.context
        let ticket: Ticket
        do throws(TicketError) {
            ticket = try context.ticket(text, now: WallTime.now())
        } catch {
            Log("relay").info("renewal refused", ["reason": error.description])
            return refuseRenewal(.ticketRefused)
        }
        guard ticket.tunnel == tunnel else { return refuseRenewal(.ticketRefused) }
        let assignment = context.routes.assignment(of: tunnel)
        if let reason = context.policy.refusal(ofRenewal: ticket, on: bearer.held, under: assignment) {
            return refuseRenewal(reason)
        }
        // What the agent was told while this ticket was on its way counted for the one before.
        if ticket.generation > bearer.held.generation { migratedFor = nil }
        bearer.held = HeldLink(ticket)
        took(ticket)
        perform(
            desk.linkRenewed(
                agentKey: ticket.agentKey, limits: limits(with: ticket), now: loop.now,
                using: &relayLoop.random))
        if let assignment { follow(assignment) }
    }

    private func refuseRenewal(_ reason: GoAwayReason) {
        metrics.linkRefused.add()
        sendLinkAway(reason)
    }

    private func took(_ ticket: Ticket) {
        generation = max(generation, ticket.generation)
        let context = relayLoop.context
        context.routes.linkUp(ticket)
        context.links.up(tunnel: tunnel, generation: ticket.generation)
        followPlace(under: context.routes.assignment(of: tunnel))
    }

    /// The assignment is newer than the ticket when it knows the ticket's generation.
    private func limits(with ticket: Ticket) -> Limits {
        relayLoop.context.routes.limits(of: tunnel, generation: ticket.generation) ?? ticket.limits
    }

    private func followPlace(under assignment: Assignment?) {
        desk.placeChanged(
            relayLoop.context.policy.place(with: link?.held, under: assignment), now: loop.now)
    }

    /// Why a link may not stay although its ticket is good.
    private func refusal(of ticket: Ticket) -> GoAwayReason? {
        let context = relayLoop.context
        return context.policy.refusal(
            of: ticket, under: context.routes.assignment(of: tunnel),
            newest: max(generation, context.routes.generation(of: tunnel) ?? 0),
            isDraining: context.isDraining)
    }

    /// The link takes no more orders: it closed or is about to.
    func linkEnded(_ ended: AgentLink) {
        guard link === ended else { return }
        dropLink()
    }

    private func dropLink() {
        guard let gone = link else { return }
        link = nil
        stay(until: nil)
        metrics.links.add(-1)
        relayLoop.context.routes.linkDown(tunnel: tunnel)
        relayLoop.context.links.down(tunnel: tunnel, generation: gone.held.generation)
        perform(desk.linkLost(now: loop.now))
    }

    /// REFUSE came on the link.
    func agentRefused(_ nonce: Nonce, _ rendezvous: Rendezvous, _ reason: RefusalReason) {
        guard rendezvous.relay != relayLoop.context.relay.id else { return agentRefused(nonce, reason) }
        relayLoop.context.mesh?.post { $0.send(.refused(nonce, reason), to: rendezvous.relay) }
    }

    func agentRefused(_ nonce: Nonce, _ reason: RefusalReason) {
        perform(desk.refused(nonce, reason, now: loop.now))
    }

    // MARK: other relays

    /// Another relay has a player for this tunnel.
    func asked(_ question: MeshQuestion) -> MeshAnswer {
        let (answer, actions) = desk.asked(question, now: loop.now)
        perform(actions)
        if question.isLogin, case .opened = answer {
            shareAnew(bytes.admitted(at: question.rendezvous.relay, now: loop.now))
        }
        return answer
    }

    func answered(_ question: PlayerQuestion, _ answer: MeshAnswer) {
        perform(
            desk.answered(
                question.player, question.nonce, by: question.relay, answer, now: loop.now,
                using: &relayLoop.random))
    }

    private func ask(_ relay: String, _ player: PlayerID, _ nonce: Nonce, isLogin: Bool) {
        let question = PlayerQuestion(
            relay: relay, tunnel: tunnel, loop: relayLoop.number, player: player, nonce: nonce,
            isLogin: isLogin)
        if let mesh = relayLoop.context.mesh { return mesh.post { $0.ask(question) } }
        relayLoop.loop.atEndOfTurn { [weak self] in self?.answered(question, .noLink) }
    }

    // MARK: orders from outside

    /// The assignment changed: new limits, or the link is no longer wanted here. nil: the tunnel was deleted.
    /// `newest` is the generation below which no link is wanted.
    func assignmentChanged(_ assignment: Assignment?, newest: Int) {
        generation = max(generation, newest)
        guard let assignment, assignment.state != .suspended else {
            sendLinkAway(.revoked)
            return perform(desk.end(assignment == nil ? .unknownName : .suspended))
        }
        followPlace(under: assignment)
        follow(assignment)
        perform(desk.revoked(assignment.revokedKeys))
        perform(desk.limitsChanged(assignment.limits, now: loop.now))
    }

    /// What the assignment means for the link that is here.
    private func follow(_ assignment: Assignment) {
        guard let link else { return }
        switch relayLoop.context.policy.fate(of: link.held, under: assignment) {
        case .stays: stay(until: nil)
        case .goes(let reason): sendLinkAway(reason)
        case .migrates(let leave):
            if migratedFor.map({ $0 < assignment.generation }) ?? true {
                migratedFor = assignment.generation
                link.send(.migrate(within: relayLoop.context.migrationSpread, leave: leave))
            }
            stay(until: leave ? loop.now + relayLoop.context.patience.leaving : nil)
        }
    }

    /// Until when a link may stay that the placement does not name any more; nil for as long as it lives. What was
    /// said first counts.
    private func stay(until end: Instant?) {
        guard let end else {
            if let departure { loop.cancel(departure) }
            departure = nil
            return
        }
        guard departure == nil else { return }
        departure = loop.schedule(after: Milliseconds(end.since(loop.now).count)) { [weak self] in
            self?.departure = nil
            self?.sendLinkAway(.staleGeneration)
        }
    }

    /// Asks the agent to get a placement at other relays, at a time within the next `within`. May be repeated.
    func leave(within: Milliseconds) { link?.send(.migrate(within: within, leave: true)) }

    /// The link goes, and with it what is parked; players stay.
    func sendLinkAway(_ reason: GoAwayReason) {
        guard let leaving = link else { return }
        dropLink()
        leaving.sendAway(reason)
    }

    // MARK: players and data connections

    func admit(_ moved: MovedStream, _ arrival: Arrival) {
        let id = PlayerID(relayLoop.freshNumber())
        players[id] = PlayerConnection(self, id: id, moved: moved, arrival: arrival)
        perform(
            desk.playerArrived(id, isLogin: arrival.greeting.isLogin, now: loop.now, using: &relayLoop.random)
        )
    }

    func admit(_ moved: MovedStream, _ nonce: Nonce) {
        let id = DataID(relayLoop.freshNumber())
        datas[id] = DataConnection(self, id: id, moved: moved)
        perform(desk.dataArrived(id, nonce: nonce, now: loop.now))
    }

    func playerLeft(_ id: PlayerID) {
        players[id] = nil
        perform(desk.playerLeft(id, now: loop.now))
    }

    func dataClosed(_ id: DataID) {
        datas[id] = nil
        perform(desk.dataClosed(id, now: loop.now, using: &relayLoop.random))
    }

    func dataAnswered(_ id: DataID, _ answer: StartAnswer) {
        perform(desk.dataAnswered(id, answer, now: loop.now))
    }

    // MARK: doing

    private func perform(_ actions: [DeskAction]) {
        followLimits()
        // Counted before anyone outside can see what was decided.
        metrics.parked.add(desk.parkedCount - countedParked)
        countedParked = desk.parkedCount
        for action in actions { perform(action) }
        setAlarm()
        leaveIfIdle()
    }
    private var countedParked = 0

    private func leaveIfIdle() {
        if desk.isIdle, splices.isEmpty, players.isEmpty, datas.isEmpty { relayLoop.leave(self) }
    }

    private func perform(_ action: DeskAction) {
        switch action {
        case .send(let frame): link?.send(frame)
        case .ask(let relay, let player, let nonce, let isLogin):
            ask(relay, player, nonce, isLogin: isLogin)
        case .expect(let nonce): relayLoop.expect(nonce, for: tunnel)
        case .forget(let nonce): relayLoop.forget(nonce)
        case .start(let player, let data):
            if let opening = players[player]?.opening { datas[data]?.start(opening) }
        case .splice(let player, let data): splice(player, data)
        case .turnAway(let player, let reason): turnAway(player, reason)
        case .closeData(let data):
            let connection = datas.removeValue(forKey: data)
            connection?.close()
        case .cut(let player): splices[player]?.splice.close()
        case .sleep: sleep()
        }
    }

    private func splice(_ player: PlayerID, _ data: DataID) {
        guard let connection = players.removeValue(forKey: player),
            let server = datas.removeValue(forKey: data)?.leave(),
            let moved = connection.leave(sentBytes: server.playerBytesSent)
        else { return perform(desk.playerLeft(player, now: loop.now)) }
        metrics.joins.add()
        metrics.players.add(1)
        metrics.connections.add(2)
        let splice = Splice(loop: loop, pool: relayLoop.pool, left: moved, right: server.moved) {
            [self] report in
            var ended = splices.removeValue(forKey: player)
            if let last = ended?.passed(report.bytesToRight, report.bytesToLeft, now: loop.now) {
                note(last, now: .now())
            }
            metrics.players.add(-1)
            metrics.connections.add(-2)
            perform(desk.playerLeft(player, now: loop.now))
        }
        // The player's first bytes went with START; what START itself left unsent is counted by the splice.
        let sentBefore = server.playerBytesSent - server.moved.output.count
        splice.meter = meter
        splices[player] = RunningSplice(
            splice: splice, isPlayer: connection.arrival.greeting.isLogin, countedToServer: -sentBefore,
            countedUntil: loop.now)
        splice.start()
    }

    // MARK: limits across relays

    var playersElsewhere: Int { desk.loginsElsewhere }

    /// `settled`: of those whom this relay let in, these are in the report or have left again.
    func playersReported(_ row: PresenceReport.Row, settled: [Nonce], at relay: String) {
        desk.playersReported(row.players, at: relay, settled: settled, now: loop.now)
        let isNew = bytes.reported(
            players: row.players, demand: row.bytes_per_s, at: relay, now: loop.now)
        shareAnew(isNew)
        perform([])
    }

    func playersSettled(_ nonces: [Nonce], at relay: String) {
        desk.playersSettled(nonces, at: relay, now: loop.now)
        perform([])
    }

    /// No connection to the relay is left.
    func relayGone(_ relay: String) {
        told.remove(relay)
        desk.relayGone(relay, now: loop.now)
        bytes.gone(relay)
        perform([])
    }

    /// What the players here may use, if it is the owner who says so.
    func granted(_ bytes_per_s: Int, by relay: String) {
        guard relayLoop.context.routes.assignment(of: tunnel)?.owner == relay else { return }
        bytes.granted(bytes_per_s, now: loop.now)
        followLimits()
    }

    /// A relay that is new has its share at once, and with it everybody another one.
    private func shareAnew(_ isNew: Bool) {
        guard isNew else { return }
        followLimits()
        var news = LimitNews()
        addShares(to: &news)
        guard !news.isEmpty else { return }
        let told = news
        relayLoop.context.mesh?.post { $0.limits.send(told) }
    }

    /// Once a second.
    func addLimitNews(to news: inout LimitNews) {
        if let meter, !splices.isEmpty {
            bytes.measured(bytes: meter.bytes, isHeldBack: meter.wasHeldBack(), now: loop.now)
        } else {
            bytes.unused(now: loop.now)
        }
        followLimits()
        let players = desk.loginsLetIn
        let listeners = players > 0 ? Set(desk.place.listeners(limits: desk.limits)) : []
        for relay in listeners.union(told) {
            let row = PresenceReport.Row(
                tunnel: tunnel, players: listeners.contains(relay) ? players : 0,
                bytes_per_s: bytes.wanted_bytes_per_s)
            news.presence.append((relay, row))
        }
        told = listeners
        addShares(to: &news)
    }

    private func addShares(to news: inout LimitNews) {
        for (relay, bytes_per_s) in bytes.grants {
            news.shares.append((relay, ShareReport.Row(tunnel: tunnel, bytes_per_s: bytes_per_s)))
        }
    }

    /// For those who were told of players here, when there are none and the room is gone.
    var lastWords: LimitNews {
        let row = PresenceReport.Row(tunnel: tunnel, players: 0, bytes_per_s: 0)
        return LimitNews(presence: told.map { ($0, row) })
    }

    /// Running players feel the desk's limits, and this relay's share of them, at once.
    private func followLimits() {
        bytes.limitChanged(desk.limits.bytes_per_s)
        bytes.roleChanged(isOwner: desk.place.isOwner)
        let rate = bytes.rate(relays: relayLoop.context.routes.relayCount, now: loop.now)
        guard rate != meteredRate else { return }
        meteredRate = rate
        guard let rate else {
            meter = nil
            for running in splices.values { running.splice.meter = nil }
            return
        }
        if let meter { return meter.change(bytes_per_s: rate) }
        let meter = SpliceMeter(loop: loop, bytes_per_s: rate, isFull: splices.isEmpty)
        self.meter = meter
        for running in splices.values { running.splice.meter = meter }
    }

    /// Adds what passed since the last call to the relay's counts and to the tunnel's usage.
    func countBytes() {
        guard !splices.isEmpty else { return }
        var sum = UsageCount.zero
        for player in splices.keys { sum += splices[player]?.passed(now: loop.now) ?? .zero }
        note(sum, now: .now())
    }

    private func note(_ count: UsageCount, now: WallTime) {
        metrics.bytesToServers.add(count.bytes_up)
        metrics.bytesToPlayers.add(count.bytes_down)
        if count != .zero { relayLoop.context.usage.add(count, to: tunnel, now: now) }
    }

    /// Closed until its owner opens it again; whoever comes meanwhile reads so.
    private func sleep() {
        guard let link else { return }
        metrics.sleeps.add()
        relayLoop.context.routes.fellAsleep(tunnel, generation: link.held.generation)
        sendLinkAway(.idle)
    }

    private func turnAway(_ player: PlayerID, _ reason: OfflineReason) {
        guard let connection = players.removeValue(forKey: player), let moved = connection.leave() else {
            return
        }
        let arrival = connection.arrival
        Farewell.say(reason, name: arrival.name.label, greeting: arrival.greeting, to: moved, on: relayLoop)
    }

    private func setAlarm() {
        guard let due = desk.nextDue else {
            if let alarm { loop.cancel(alarm.timer) }
            alarm = nil
            return
        }
        if let alarm {
            if alarm.due <= due { return }
            loop.cancel(alarm.timer)
        }
        let delay = Milliseconds(due.since(loop.now).count + 1)
        let timer = loop.schedule(after: delay) { [weak self] in
            guard let self else { return }
            self.alarm = nil
            self.perform(self.desk.tick(now: self.loop.now, using: &self.relayLoop.random))
        }
        alarm = (timer, due)
    }
}

/// A splice and how much of what passed has been counted.
private struct RunningSplice {
    let splice: Splice
    /// Logged in, rather than looking at the server list.
    let isPlayer: Bool
    var countedToServer: Int
    var countedToPlayer = 0
    var countedUntil: Instant

    mutating func passed(now: Instant) -> UsageCount {
        passed(splice.bytesToRight, splice.bytesToLeft, now: now)
    }

    /// What passed since the last call.
    mutating func passed(_ toServer: Int, _ toPlayer: Int, now: Instant) -> UsageCount {
        let time = now.since(countedUntil)
        let count = UsageCount(
            bytes_up: toServer - countedToServer, bytes_down: toPlayer - countedToPlayer,
            player_ms: isPlayer ? time.count : 0)
        countedToServer = toServer
        countedToPlayer = toPlayer
        countedUntil = countedUntil + time
        return count
    }
}
