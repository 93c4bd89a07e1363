import Core
import Testing
import Wire

@testable import RelayCore

/// What a relay loop does with a desk's orders, without sockets: it knows which players and data connections there
/// are and refuses orders that make no sense.
struct DeskWorld {
    enum Data: Equatable {
        case fresh
        case started(PlayerID)
        case spliced(PlayerID)
    }

    static let relay = Rendezvous(relay: "r1", endpoint: "relay.example:25565")

    var desk: TunnelDesk
    var now = Instant(nanoseconds: 5_000_000_000)
    var random: Seeded
    private(set) var expected: Set<Nonce> = []
    private(set) var waiting: [PlayerID: Instant] = [:]
    private(set) var playing: [PlayerID: DataID] = [:]
    /// How each player's wait ended.
    private(set) var ends: [PlayerID: String] = [:]
    private(set) var words: [PlayerID: OfflineReason] = [:]
    private(set) var datas: [DataID: Data] = [:]
    private(set) var opened: [Nonce] = []
    private(set) var parkRequests: [[Nonce]] = []
    private(set) var frames: [LinkFrame] = []
    /// Running players that had to go.
    private(set) var cut: [PlayerID] = []
    private(set) var sleptAt: [Instant] = []
    /// Questions to other relays that have no answer yet, oldest first.
    private(set) var asks: [Ask] = []

    struct Ask: Equatable {
        let relay: String
        let player: PlayerID
        let nonce: Nonce
        let isLogin: Bool
        let at: Instant
    }
    private var hasLink = false
    private var linkKey: String?
    private var lastNumber = 0

    init(limits: Limits = .none, seed: UInt64 = 1) {
        desk = TunnelDesk(loop: 3, rendezvous: Self.relay, limits: limits)
        random = Seeded(seed)
    }

    // MARK: events

    mutating func linkUp(_ limits: Limits = .none, key: String = "key-1") {
        hasLink = true
        linkKey = key
        perform(desk.linkUp(agentKey: key, limits: limits, now: now, using: &random))
    }

    mutating func revoke(_ keys: String...) {
        if linkKey.map({ keys.contains($0) }) ?? false { hasLink = false }
        perform(desk.revoked(keys))
    }

    /// Deleted or suspended.
    mutating func end(_ reason: OfflineReason) {
        hasLink = false
        perform(desk.end(reason))
    }

    mutating func linkLost() {
        hasLink = false
        perform(desk.linkLost(now: now))
    }

    @discardableResult
    mutating func player(isLogin: Bool = true) -> PlayerID {
        lastNumber += 1
        let player = PlayerID(lastNumber)
        waiting[player] = now
        perform(desk.playerArrived(player, isLogin: isLogin, now: now, using: &random))
        return player
    }

    mutating func leave(_ player: PlayerID) {
        if waiting.removeValue(forKey: player) != nil { end(player, "left") }
        if let data = playing.removeValue(forKey: player) { datas[data] = nil }
        perform(desk.playerLeft(player, now: now))
    }

    @discardableResult
    mutating func dial(_ nonce: Nonce) -> DataID {
        #expect(expected.remove(nonce) != nil, "a nonce is good once")
        lastNumber += 1
        let data = DataID(lastNumber)
        datas[data] = .fresh
        perform(desk.dataArrived(data, nonce: nonce, now: now))
        return data
    }

    mutating func dataDies(_ data: DataID) {
        datas[data] = nil
        perform(desk.dataClosed(data, now: now, using: &random))
    }

    mutating func answer(_ data: DataID, _ answer: StartAnswer) {
        perform(desk.dataAnswered(data, answer, now: now))
    }

    mutating func refuse(_ nonce: Nonce, _ reason: RefusalReason) {
        perform(desk.refused(nonce, reason, now: now))
    }

    mutating func close(_ reason: OfflineReason) {
        hasLink = false
        perform(desk.close(reason))
    }

    mutating func change(_ limits: Limits) { perform(desk.limitsChanged(limits, now: now)) }

    /// A player at another relay asks to be let in.
    mutating func ask(at relay: String, isLogin: Bool = true) -> (nonce: Nonce, isLetIn: Bool) {
        let nonce = Nonce(loop: 0, using: &random)
        return (nonce, desk.letIn(nonce, isLogin: isLogin, at: relay, now: now))
    }

    mutating func report(_ players: Int, at relay: String, settled: [Nonce] = []) {
        desk.playersReported(players, at: relay, settled: settled, now: now)
    }

    mutating func relayGone(_ relay: String) { desk.relayGone(relay, now: now) }

    mutating func place(isOwner: Bool = false, others: String...) {
        desk.placeChanged(TunnelDesk.Place(isOwner: isOwner, others: others), now: now)
    }

    /// The oldest question to this relay gets its answer.
    mutating func reply(_ answer: MeshAnswer, by relay: String) {
        guard let index = asks.firstIndex(where: { $0.relay == relay }) else {
            Issue.record("\(relay) was not asked")
            return
        }
        let ask = asks.remove(at: index)
        perform(
            desk.answered(ask.player, ask.nonce, by: relay, answer, now: now, using: &random))
    }

    /// Another relay's player.
    mutating func question(
        _ nonce: Nonce, player: UInt64 = 1, at relay: String = "r2", isLogin: Bool = true
    ) -> MeshAnswer {
        let (answer, actions) = desk.asked(
            MeshQuestion(
                number: 1, player: player, tunnel: "t1", nonce: nonce,
                rendezvous: Rendezvous(relay: relay, endpoint: "\(relay):1"), isLogin: isLogin),
            now: now)
        perform(actions)
        return answer
    }

    /// Time passes; the alarm rings whenever the desk asked for it.
    mutating func pass(_ milliseconds: Int) {
        let end = now + Milliseconds(milliseconds)
        var rings = 0
        while let due = desk.nextDue, due <= end {
            now = max(now, due)
            perform(desk.tick(now: now, using: &random))
            rings += 1
            #expect(rings < 10_000, "the alarm rings without end")
            guard rings < 10_000 else { break }
        }
        now = end
    }

    // MARK: what there is

    var players: [PlayerID] { (Array(waiting.keys) + playing.keys).sorted { $0.number < $1.number } }
    var parked: Int { desk.parkedCount }
    /// Data connections in this state, oldest first.
    func connections(_ isMeant: (Data) -> Bool) -> [DataID] {
        datas.filter { isMeant($0.value) }.keys.sorted { $0.number < $1.number }
    }
    func data(startedFor player: PlayerID) -> DataID? {
        datas.first { $0.value == .started(player) }?.key
    }

    // MARK: orders

    private mutating func perform(_ actions: [DeskAction]) {
        for action in actions { perform(action) }
        // As a relay does it: what was cut is reported afterwards.
        for player in cut.filter({ playing[$0] != nil }) { leave(player) }
        #expect(desk.hasLink == hasLink)
        #expect(parked + expected.count <= 8 + waiting.count, "more parked connections than allowed")
        let isEmpty = !hasLink && waiting.isEmpty && playing.isEmpty && datas.isEmpty && expected.isEmpty
        #expect(desk.isIdle == isEmpty, "idle means that nothing is left over")
    }

    private mutating func perform(_ action: DeskAction) {
        switch action {
        case .send(let frame):
            #expect(hasLink, "no link to send \(frame)")
            frames.append(frame)
            if case .open(let nonce, Self.relay) = frame {
                #expect(expected.contains(nonce))
                opened.append(nonce)
            }
            if case .park(let nonces, Self.relay) = frame {
                #expect(!nonces.isEmpty && expected.isSuperset(of: nonces))
                parkRequests.append(nonces)
            }
        case .ask(let relay, let player, let nonce, let isLogin):
            #expect(waiting[player] != nil && expected.contains(nonce))
            asks.append(Ask(relay: relay, player: player, nonce: nonce, isLogin: isLogin, at: now))
        case .expect(let nonce):
            #expect(nonce.firstByte == 3, "the first byte names the loop")
            #expect(expected.insert(nonce).inserted)
        case .forget(let nonce): #expect(expected.remove(nonce) != nil, "forgets what was not expected")
        case .start(let player, let data):
            #expect(waiting[player] != nil)
            #expect(datas[data] == .fresh, "START goes out once")
            #expect(self.data(startedFor: player) == nil)
            datas[data] = .started(player)
        case .splice(let player, let data):
            #expect(datas[data] == .started(player))
            #expect(waiting.removeValue(forKey: player) != nil)
            #expect(playing[player] == nil)
            playing[player] = data
            datas[data] = .spliced(player)
            end(player, "spliced")
        case .turnAway(let player, let reason):
            #expect(waiting.removeValue(forKey: player) != nil)
            words[player] = reason
            end(player, "turned away")
        case .closeData(let data):
            #expect(datas[data] != nil, "closes what is not there")
            if case .spliced? = datas[data] { Issue.record("a running player's connection is closed") }
            datas[data] = nil
        case .cut(let player):
            #expect(playing[player] != nil, "cuts who does not play")
            cut.append(player)
        case .sleep:
            #expect(hasLink)
            hasLink = false
            sleptAt.append(now)
        }
    }

    private mutating func end(_ player: PlayerID, _ how: String) {
        #expect(ends[player] == nil, "a wait ends once")
        ends[player] = how
    }
}
