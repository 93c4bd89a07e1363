import Core
import RelayCore
import Wire

/// A tunnel at a relay: carries out what its desk decides, as the product's room does with real connections.
final class Room {
    private unowned let relay: Relay
    let tunnel: String
    private var desk: TunnelDesk
    private(set) var link: RelayLink?
    private var players: [PlayerID: Player] = [:]
    private var datas: [DataID: RelayData] = [:]
    private var splices: [PlayerID: Splice] = [:]
    private var alarm = 0
    private var alarmAt: Instant?
    private var migratedFor: Int?
    private var departure = 0
    private var isDeparting = false
    private static let leaving = Milliseconds.seconds(30)
    /// The highest generation seen here.
    private(set) var generation = 0

    private struct Splice {
        let player: Player
        let data: RelayData
        let rate: Int
        var countedUntil: Instant
    }

    private var world: World { relay.world }
    private var now: Instant { relay.now }

    init(_ relay: Relay, tunnel: String, limits: Limits) {
        self.relay = relay
        self.tunnel = tunnel
        desk = TunnelDesk(
            loop: 0, rendezvous: Rendezvous(relay: relay.id, endpoint: relay.info.endpoint), limits: limits)
        guard let assignment = relay.routes.assignment(of: tunnel) else { return }
        followPlace(under: assignment)
        _ = desk.revoked(assignment.revokedKeys)
    }

    var playerCount: Int { splices.count }

    // MARK: the link

    func linkArrived(_ cable: Cable, _ ticket: Ticket) {
        let arriving = RelayLink(relay, self, cable, HeldLink(ticket))
        let newest = max(generation, relay.routes.generation(of: tunnel) ?? 0)
        var reason = relay.policy.refusal(
            of: ticket, under: relay.routes.assignment(of: tunnel), newest: newest,
            isDraining: relay.isDraining)
        if world.bug == .oldGeneration, reason == .staleGeneration { reason = nil }
        if let reason {
            arriving.sendAway(reason)
            return leaveIfIdle()
        }
        world.invariants.accepted(ticket, at: relay, newest: newest)
        if let old = link {
            link = nil
            old.sendAway(relay.policy.farewell(to: old.held, replacedBy: ticket))
        }
        link = arriving
        migratedFor = nil
        stay(for: nil)
        arriving.begin()
        took(ticket)
        perform(
            desk.linkUp(
                agentKey: ticket.agentKey, limits: limits(with: ticket), now: now, using: &relay.random))
    }

    /// The open link's agent shows another ticket: the placement changed and kept this relay.
    func linkBrings(_ text: String, _ bearer: RelayLink) {
        guard link === bearer else { return }
        guard let ticket = relay.ticket(text), ticket.tunnel == tunnel else {
            return sendLinkAway(.ticketRefused)
        }
        let assignment = relay.routes.assignment(of: tunnel)
        if let reason = relay.policy.refusal(ofRenewal: ticket, on: bearer.held, under: assignment) {
            return sendLinkAway(reason)
        }
        world.invariants.renewed(ticket, from: bearer.held, at: relay)
        bearer.held = HeldLink(ticket)
        took(ticket)
        perform(
            desk.linkRenewed(
                agentKey: ticket.agentKey, limits: limits(with: ticket), now: now, using: &relay.random))
        if let assignment { follow(assignment) }
    }

    private func took(_ ticket: Ticket) {
        generation = max(generation, ticket.generation)
        relay.linkIsUp(ticket)
        followPlace(under: relay.routes.assignment(of: tunnel))
    }

    private func limits(with ticket: Ticket) -> Limits {
        relay.routes.limits(of: tunnel, generation: ticket.generation) ?? ticket.limits
    }

    private func followPlace(under assignment: Assignment?) {
        desk.placeChanged(relay.policy.place(with: link?.held, under: assignment), now: now)
    }

    func linkEnded(_ ended: RelayLink) {
        if link === ended { dropLink() }
    }

    private func dropLink() {
        guard let gone = link else { return }
        link = nil
        world.trace("\(relay.name) has no link of \(tunnel) any more")
        stay(for: nil)
        relay.linkIsDown(tunnel, gone.held.generation)
        let dropsPlayers = world.bug == .dropPlayers
        perform(desk.linkLost(now: now))
        if dropsPlayers {
            for player in splices.keys.sorted(by: { $0.number < $1.number }) { cut(player, .linkLost) }
        }
    }

    /// REFUSE came on the link.
    func agentRefused(_ nonce: Nonce, _ rendezvous: Rendezvous, _ reason: RefusalReason) {
        guard rendezvous.relay != relay.id else { return agentRefused(nonce, reason) }
        relay.mesh?.send(.refused(nonce, reason), to: rendezvous.relay)
    }

    func agentRefused(_ nonce: Nonce, _ reason: RefusalReason) {
        perform(desk.refused(nonce, reason, now: now))
    }

    // MARK: other relays

    /// Another relay has a player for this tunnel.
    func asked(_ question: MeshQuestion) -> MeshAnswer {
        let (answer, actions) = desk.asked(question, now: now)
        perform(actions)
        return answer
    }

    func answered(_ question: PlayerQuestion, _ answer: MeshAnswer) {
        perform(
            desk.answered(
                question.player, question.nonce, by: question.relay, answer, now: now, using: &relay.random))
    }

    // MARK: orders from outside

    func assignmentChanged(_ assignment: Assignment?, newest: Int) {
        generation = max(generation, newest)
        guard let assignment, assignment.state != .suspended else {
            sendLinkAway(.revoked)
            return perform(desk.end(assignment == nil ? .unknownName : .suspended))
        }
        followPlace(under: assignment)
        follow(assignment)
        perform(desk.revoked(assignment.revokedKeys))
        perform(desk.limitsChanged(assignment.limits, now: now))
    }

    /// What the assignment means for the link that is here.
    private func follow(_ assignment: Assignment) {
        guard let link else { return }
        switch relay.policy.fate(of: link.held, under: assignment) {
        case .stays: stay(for: nil)
        case .goes(let reason): sendLinkAway(reason)
        case .migrates(let leave):
            if migratedFor.map({ $0 < assignment.generation }) ?? true {
                migratedFor = assignment.generation
                link.send(.migrate(within: relay.migrationSpread, leave: leave))
            }
            stay(for: leave ? Self.leaving : nil)
        }
    }

    /// How long a link may stay that the placement does not name any more; nil for as long as it lives. What was
    /// said first counts.
    private func stay(for time: Milliseconds?) {
        guard let time else {
            departure += 1
            isDeparting = false
            return
        }
        guard !isDeparting else { return }
        isDeparting = true
        let mine = departure
        relay.after(time) { [weak self] in
            guard let self, mine == self.departure else { return }
            self.isDeparting = false
            self.sendLinkAway(.staleGeneration)
        }
    }

    /// Asks the agent to get a placement at other relays.
    func leave(within: Milliseconds) { link?.send(.migrate(within: within, leave: true)) }

    private func sendLinkAway(_ reason: GoAwayReason) {
        guard let leaving = link else { return }
        dropLink()
        leaving.sendAway(reason)
    }

    // MARK: players and data connections

    func admit(_ player: Player) {
        let id = PlayerID(relay.freshNumber())
        players[id] = player
        player.seated(self, id)
        perform(desk.playerArrived(id, isLogin: true, now: now, using: &relay.random))
    }

    func admit(_ cable: Cable, _ nonce: Nonce) {
        let id = DataID(relay.freshNumber())
        datas[id] = RelayData(self, id, cable)
        perform(desk.dataArrived(id, nonce: nonce, now: now))
    }

    /// The player's client closed its connection.
    func playerLeft(_ id: PlayerID) {
        if let splice = splices.removeValue(forKey: id) {
            count(splice)
            splice.data.close()
        }
        players[id] = nil
        perform(desk.playerLeft(id, now: now))
    }

    func dataClosed(_ data: RelayData) {
        if let player = data.player {
            guard let splice = splices.removeValue(forKey: player) else { return }
            count(splice)
            splice.player.dropped(data.agentIsAlive ? .connectionClosed : .agentDied)
            return perform(desk.playerLeft(player, now: now))
        }
        datas[data.id] = nil
        perform(desk.dataClosed(data.id, now: now, using: &relay.random))
    }

    func dataAnswered(_ data: RelayData, _ answer: StartAnswer) {
        perform(desk.dataAnswered(data.id, answer, now: now))
    }

    // MARK: doing

    private func perform(_ actions: [DeskAction]) {
        for action in actions { perform(action) }
        setAlarm()
        leaveIfIdle()
    }

    private func leaveIfIdle() {
        if desk.isIdle, splices.isEmpty, players.isEmpty, datas.isEmpty { relay.leave(self) }
    }

    private func perform(_ action: DeskAction) {
        switch action {
        case .send(let frame): link?.send(frame)
        case .ask(let other, let player, let nonce, let isLogin):
            relay.mesh?.ask(
                PlayerQuestion(relay: other, tunnel: tunnel, player: player, nonce: nonce, isLogin: isLogin))
        case .expect(let nonce): relay.expect(nonce, for: tunnel)
        case .forget(let nonce): relay.forget(nonce)
        case .start(let player, let data):
            if players[player] != nil { datas[data]?.begin() }
        case .splice(let player, let data): splice(player, data)
        case .turnAway(let player, let reason): players.removeValue(forKey: player)?.turnedAway(reason)
        case .closeData(let data): datas.removeValue(forKey: data)?.close()
        case .cut(let player): cut(player, .ended)
        case .sleep:
            guard let link else { return }
            relay.fellAsleep(tunnel, link.held.generation)
            sendLinkAway(.idle)
        }
    }

    private func splice(_ id: PlayerID, _ data: DataID) {
        guard let player = players.removeValue(forKey: id), let connection = datas.removeValue(forKey: data)
        else {
            return perform(desk.playerLeft(id, now: now))
        }
        connection.player = id
        splices[id] = Splice(
            player: player, data: connection, rate: 500 + relay.random.below(50_000), countedUntil: now)
        player.spliced(agentKey: connection.agentKey)
    }

    private func cut(_ id: PlayerID, _ reason: Player.Loss) {
        guard let splice = splices.removeValue(forKey: id) else { return }
        count(splice)
        splice.data.close()
        splice.player.dropped(reason)
        perform(desk.playerLeft(id, now: now))
    }

    func countBytes() {
        for id in splices.keys.sorted(by: { $0.number < $1.number }) {
            guard let splice = splices[id] else { continue }
            splices[id]?.countedUntil = now
            count(splice)
        }
    }

    private func count(_ splice: Splice) {
        let bytes = splice.rate * now.since(splice.countedUntil).count / 1000
        if bytes > 0 { relay.count(bytes, of: tunnel) }
    }

    private func setAlarm() {
        guard let due = desk.nextDue else {
            alarmAt = nil
            alarm += 1
            return
        }
        if let alarmAt, alarmAt <= due { return }
        alarm += 1
        alarmAt = due
        let mine = alarm
        relay.after(Milliseconds(due.since(now).count + 1)) { [weak self] in
            guard let self, mine == self.alarm else { return }
            self.alarmAt = nil
            self.perform(self.desk.tick(now: self.now, using: &self.relay.random))
        }
    }

    /// The relay's process is gone.
    func vanish() {
        for splice in splices.values.sorted(by: { $0.player.number < $1.player.number }) {
            splice.player.dropped(.relayDied)
        }
        for player in players.values.sorted(by: { $0.number < $1.number }) { player.dropped(.relayDied) }
        splices = [:]
        players = [:]
        datas = [:]
        link = nil
        alarm += 1
    }
}

/// The relay's end of a link.
final class RelayLink: CableEnd {
    private unowned let relay: Relay
    private weak var room: Room?
    private let cable: Cable
    /// What the newest ticket said.
    var held: HeldLink
    private var lastHeard: Instant
    private var isOver = false

    private static let pulse = Milliseconds.seconds(2)
    private static let silence = Milliseconds.seconds(6)

    init(_ relay: Relay, _ room: Room, _ cable: Cable, _ held: HeldLink) {
        self.relay = relay
        self.room = room
        self.cable = cable
        self.held = held
        lastHeard = relay.now
        cable.attach(self, .acceptor)
    }

    func begin() { beat() }

    func send(_ frame: LinkFrame) { cable.send(.frame(frame), from: .acceptor) }

    func sendAway(_ reason: GoAwayReason) {
        relay.world.trace("\(relay.name) sends \(held.session) away: \(reason)")
        send(.goAway(reconnectIn: Milliseconds(relay.random.below(1001)), reason))
        leave()
    }

    private func leave() {
        guard !isOver else { return }
        isOver = true
        cable.close(from: .acceptor)
        room?.linkEnded(self)
    }

    func received(_ parcel: Parcel, on cable: Cable) {
        lastHeard = relay.now
        guard case .frame(let frame) = parcel else { return leave() }
        switch frame {
        case .ping(let token): send(.pong(token))
        case .refuse(let nonce, let rendezvous, let reason): room?.agentRefused(nonce, rendezvous, reason)
        case .goAway: leave()
        case .hello(let ticket): room?.linkBrings(ticket, self)
        case .welcome, .park, .open, .pong, .migrate, .limits: break
        }
    }

    func closed(_ cable: Cable) {
        guard !isOver else { return }
        isOver = true
        room?.linkEnded(self)
    }

    private func beat() {
        relay.after(Self.pulse) { [weak self] in
            guard let self, !self.isOver else { return }
            let silence = self.relay.now.since(self.lastHeard)
            if silence >= Self.silence { return self.leave() }
            if silence >= Self.pulse { self.send(.ping(1)) }
            self.beat()
        }
    }
}

/// The relay's end of a data connection.
final class RelayData: CableEnd {
    private unowned let room: Room
    let id: DataID
    private let cable: Cable
    /// With which the agent at the other end works; nobody tells the relay.
    let agentKey: String?
    /// Once spliced.
    var player: PlayerID?

    init(_ room: Room, _ id: DataID, _ cable: Cable) {
        self.room = room
        self.id = id
        self.cable = cable
        agentKey = (cable.node(.dialler) as? Agent)?.agentKey
        cable.attach(self, .acceptor)
    }

    var agentIsAlive: Bool { cable.isAlive(.dialler) }

    func begin() { cable.send(.begin, from: .acceptor) }
    func close() { cable.close(from: .acceptor) }

    func received(_ parcel: Parcel, on cable: Cable) {
        guard case .answer(let answer) = parcel, player == nil else { return }
        room.dataAnswered(self, answer)
    }

    func closed(_ cable: Cable) { room.dataClosed(self) }
}
