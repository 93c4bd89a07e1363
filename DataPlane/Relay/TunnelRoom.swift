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
    private var splices: [PlayerID: Splice] = [:]
    private var alarm: (timer: TimerID, due: Instant)?
    /// The highest generation seen here, in tickets or assignments: nobody older gets in again.
    private(set) var generation = 0

    private var loop: EventLoop { relayLoop.loop }
    private var metrics: RelayMetrics { relayLoop.context.metrics }

    init(_ relayLoop: RelayLoop, tunnel: String, limits: Limits) {
        self.relayLoop = relayLoop
        self.tunnel = tunnel
        desk = TunnelDesk(
            loop: relayLoop.number, rendezvous: relayLoop.context.relay.rendezvous, limits: limits)
    }

    // MARK: the link

    /// A link with a good ticket. The newest session wins; one of an older generation is sent away.
    func linkArrived(_ moved: MovedStream, ticket: Ticket) {
        let arriving = AgentLink(self, moved: moved, ticket: ticket)
        let newest = max(generation, relayLoop.context.routes.generation(of: tunnel) ?? 0)
        guard ticket.generation >= newest else { return arriving.sendAway(.staleGeneration) }
        generation = ticket.generation
        if let old = link {
            old.sendAway(old.session == ticket.session ? .unspecified : .replaced)
            link = nil
        } else {
            metrics.links.add(1)
        }
        link = arriving
        relayLoop.context.routes.linkUp(ticket)
        relayLoop.context.links.up(tunnel: tunnel, generation: ticket.generation)
        // The assignment is newer than the ticket when it knows this generation.
        let limits =
            relayLoop.context.routes.limits(of: tunnel, generation: ticket.generation) ?? ticket.limits
        perform(desk.linkUp(limits: limits, now: loop.now, using: &relayLoop.random))
    }

    func linkClosed(_ closed: AgentLink) {
        guard link === closed else { return }
        dropLink()
    }

    private func dropLink() {
        guard link != nil else { return }
        link = nil
        metrics.links.add(-1)
        relayLoop.context.routes.linkDown(tunnel: tunnel)
        relayLoop.context.links.down(tunnel: tunnel, generation: generation)
        perform(desk.linkLost(now: loop.now))
    }

    func agentRefused(_ nonce: Nonce, _ reason: RefusalReason) { perform(desk.refused(nonce, reason)) }

    // MARK: orders from outside

    /// The assignment changed: new limits, or the link is no longer wanted here.
    func assignmentChanged(limits: Limits, generation newest: Int, isOwner: Bool, isServed: Bool) {
        generation = max(generation, newest)
        if !isServed {
            sendLinkAway(.revoked)
            for splice in Array(splices.values) { splice.close() }
            perform(desk.close(.suspended))
            return
        }
        if let link, link.generation < newest || !isOwner && link.generation == newest {
            sendLinkAway(link.generation < newest && isOwner ? .replaced : .staleGeneration)
        }
        perform(desk.limitsChanged(limits))
    }

    /// Links and parked connections go; running players stay.
    func drain() {
        sendLinkAway(.draining)
        perform(desk.close(.elsewhere))
    }

    private func sendLinkAway(_ reason: GoAwayReason) {
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
        perform(desk.playerLeft(id))
    }

    func dataClosed(_ id: DataID) {
        datas[id] = nil
        perform(desk.dataClosed(id, now: loop.now, using: &relayLoop.random))
    }

    func dataAnswered(_ id: DataID, _ answer: StartAnswer) { perform(desk.dataAnswered(id, answer)) }

    // MARK: doing

    private func perform(_ actions: [DeskAction]) {
        for action in actions { perform(action) }
        metrics.parked.add(desk.parkedCount - countedParked)
        countedParked = desk.parkedCount
        setAlarm()
        if desk.isIdle, splices.isEmpty, players.isEmpty, datas.isEmpty { relayLoop.leave(self) }
    }
    private var countedParked = 0

    private func perform(_ action: DeskAction) {
        switch action {
        case .send(let frame): link?.send(frame)
        case .expect(let nonce): relayLoop.expect(nonce, for: tunnel)
        case .forget(let nonce): relayLoop.forget(nonce)
        case .start(let player, let data):
            if let opening = players[player]?.opening { datas[data]?.start(opening) }
        case .splice(let player, let data): splice(player, data)
        case .turnAway(let player, let reason): turnAway(player, reason)
        case .closeData(let data):
            let connection = datas.removeValue(forKey: data)
            connection?.close()
        }
    }

    private func splice(_ player: PlayerID, _ data: DataID) {
        guard let connection = players.removeValue(forKey: player),
            let server = datas.removeValue(forKey: data)?.leave(),
            let moved = connection.leave(sentBytes: server.playerBytesSent)
        else { return }
        metrics.joins.add()
        metrics.players.add(1)
        metrics.connections.add(2)
        let splice = Splice(loop: loop, pool: relayLoop.pool, left: moved, right: server.moved) {
            [self] report in
            splices[player] = nil
            metrics.players.add(-1)
            metrics.connections.add(-2)
            metrics.bytesToServers.add(report.bytesToRight)
            metrics.bytesToPlayers.add(report.bytesToLeft)
            perform(desk.playerLeft(player))
        }
        splices[player] = splice
        splice.start()
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

    /// Players spliced now.
    var playerCount: Int { splices.count }
}
