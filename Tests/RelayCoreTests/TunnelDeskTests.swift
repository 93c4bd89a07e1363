import Core
import Testing
import Wire

@testable import RelayCore

struct TunnelDeskTests {
    /// A world with a link and one parked connection.
    private func worldWithParked(_ limits: Limits = .none) throws -> DeskWorld {
        var world = DeskWorld(limits: limits)
        world.linkUp(limits)
        world.dial(try #require(world.parkRequests.last?.first))
        #expect(world.parked == 1)
        return world
    }

    // MARK: from player to home server

    @Test func anAgentIsWelcomedWithItsLimitsAndAskedForOneParkedConnection() {
        var world = DeskWorld()
        world.linkUp(Limits(players: 5))
        #expect(world.frames.first == .welcome(Limits(players: 5)))
        #expect(world.parkRequests.map(\.count) == [1])
        #expect(world.opened.isEmpty)
    }

    @Test func aParkedConnectionIsUsedFirst() throws {
        var world = try worldWithParked()
        let player = world.player()
        #expect(world.opened.isEmpty)
        let data = try #require(world.data(startedFor: player))
        world.answer(data, .ready)
        #expect(world.ends[player] == "spliced")
    }

    @Test func theFreshestParkedConnectionIsUsed() throws {
        var world = try worldWithParked()
        world.player()
        let nonces = try #require(world.parkRequests.last)
        let connections = nonces.map { world.dial($0) }
        #expect(connections.count == 2)
        let player = world.player()
        #expect(world.data(startedFor: player) == connections.last)
    }

    @Test func withoutAParkedConnectionAnOpenGoesOut() throws {
        var world = DeskWorld()
        world.linkUp()
        let player = world.player()
        let data = world.dial(try #require(world.opened.first))
        #expect(world.datas[data] == .started(player))
        world.answer(data, .ready)
        #expect(world.ends[player] == "spliced")
    }

    @Test func aConnectionThatWasToBeParkedServesWhoWaitsAndTheirOwnIsParked() throws {
        var world = DeskWorld()
        world.linkUp()
        let nonce = try #require(world.parkRequests.first?.first)
        let player = world.player()
        let data = world.dial(nonce)
        #expect(world.datas[data] == .started(player))
        world.dial(try #require(world.opened.first))
        #expect(world.parked == 1)
    }

    @Test func whoWaitsLongestIsServedFirst() throws {
        var world = DeskWorld()
        world.linkUp()
        let nonce = try #require(world.parkRequests.first?.first)
        let first = world.player()
        world.pass(10)
        let second = world.player(isLogin: false)
        world.dial(nonce)
        #expect(world.data(startedFor: first) != nil)
        #expect(world.data(startedFor: second) == nil)
    }

    // MARK: trying again

    @Test func aParkedConnectionThatDoesNotAnswerIsReplacedByOneFreshOpen() throws {
        var world = try worldWithParked()
        let player = world.player()
        let first = try #require(world.data(startedFor: player))
        world.pass(1999)
        #expect(world.opened.isEmpty)
        world.pass(1)
        #expect(world.datas[first] == nil)
        #expect(world.opened.count == 1)
        world.dial(try #require(world.opened.first))
        world.answer(try #require(world.data(startedFor: player)), .ready)
        #expect(world.ends[player] == "spliced")
    }

    @Test func anOpenThatBringsNothingIsRepeatedOnceAndItsNonceIsBurnt() throws {
        var world = DeskWorld()
        world.linkUp()
        let player = world.player()
        let first = try #require(world.opened.first)
        world.pass(2000)
        #expect(world.opened.count == 2)
        #expect(!world.expected.contains(first))
        world.pass(7999)
        #expect(world.opened.count == 2)
        #expect(world.ends[player] == nil)
        world.pass(1)
        #expect(world.words[player] == .slow)
    }

    @Test func aConnectionThatDiesBeforeItsAnswerIsReplacedOnce() throws {
        var world = try worldWithParked()
        let player = world.player()
        world.dataDies(try #require(world.data(startedFor: player)))
        #expect(world.opened.count == 1)
        world.dial(try #require(world.opened.first))
        world.dataDies(try #require(world.data(startedFor: player)))
        #expect(world.opened.count == 1)
        #expect(world.words[player] == .slow)
    }

    @Test func aPingIsNotWaitedForAsLongAsALogin() {
        var world = DeskWorld()
        world.linkUp()
        let ping = world.player(isLogin: false)
        let login = world.player()
        world.pass(5000)
        #expect(world.words[ping] == .slow)
        #expect(world.ends[login] == nil)
        world.pass(5000)
        #expect(world.words[login] == .slow)
    }

    // MARK: refusals

    @Test(arguments: [
        (RefusalReason.localServerUnreachable, OfflineReason.localServerAway),
        (.busy, .full), (.stopping, .agentAway), (.rendezvousUnreachable, .agentAway),
        (.unspecified, .agentAway),
    ])
    func aRefusalReachesThePlayerInWords(_ refusal: RefusalReason, _ reason: OfflineReason) throws {
        var world = try worldWithParked()
        let first = world.player()
        world.answer(try #require(world.data(startedFor: first)), .refused(refusal))
        #expect(world.words[first] == reason)
        let second = world.player()
        world.refuse(try #require(world.opened.last), refusal)
        #expect(world.words[second] == reason)
    }

    @Test func anUnknownNonceCannotBeRefused() {
        var world = DeskWorld()
        world.linkUp()
        let player = world.player()
        world.refuse(Nonce(loop: 3, using: &world.random), .busy)
        #expect(world.ends[player] == nil)
    }

    @Test func theLastPlayerMoreThanAllowedIsToldThatItIsFull() throws {
        var world = try worldWithParked(Limits(players: 2))
        let first = world.player()
        world.answer(try #require(world.data(startedFor: first)), .ready)
        world.player()
        // Those who wait count as well.
        let third = world.player()
        #expect(world.words[third] == .full)
        world.leave(first)
        let next = world.player()
        #expect(world.ends[next] == nil)
    }

    @Test func pingsAreNoPlayers() throws {
        var world = try worldWithParked(Limits(players: 1))
        let ping = world.player(isLogin: false)
        world.answer(try #require(world.data(startedFor: ping)), .ready)
        let login = world.player()
        #expect(world.ends[login] == nil)
        let refused = world.player()
        #expect(world.words[refused] == .full)
        let another = world.player(isLogin: false)
        #expect(world.ends[another] == nil)
    }

    @Test func newLimitsCountAtOnceAndAreTold() {
        var world = DeskWorld()
        world.linkUp()
        world.change(Limits(players: 1))
        world.change(Limits(players: 1))
        #expect(world.frames.filter { $0 == .limits(Limits(players: 1)) }.count == 1)
        world.player()
        let second = world.player()
        #expect(world.words[second] == .full)
    }

    @Test func playersDoNotPileUpWithoutEnd() {
        var world = DeskWorld()
        world.linkUp()
        for _ in 0..<256 { world.player() }
        let late = world.player()
        #expect(world.words[late] == .full)
        #expect(world.waiting.count == 256)
    }

    // MARK: the link comes and goes

    @Test func withoutALinkPlayersAreToldAtOnce() {
        var world = DeskWorld()
        let player = world.player()
        #expect(world.words[player] == .agentAway)
        #expect(world.desk.isIdle)
    }

    @Test func aLinkThatWasThereAMomentAgoIsWaitedFor() throws {
        var world = DeskWorld()
        world.linkUp()
        world.linkLost()
        world.pass(3000)
        let player = world.player()
        #expect(world.ends[player] == nil)
        world.pass(1000)
        world.linkUp()
        world.dial(try #require(world.opened.first))
        world.answer(try #require(world.data(startedFor: player)), .ready)
        #expect(world.ends[player] == "spliced")
    }

    @Test func aLinkThatStaysAwayIsNotWaitedForLong() {
        var world = DeskWorld()
        world.linkUp()
        world.linkLost()
        let player = world.player()
        world.pass(4999)
        #expect(world.ends[player] == nil)
        world.pass(1)
        #expect(world.words[player] == .agentAway)
        let late = world.player()
        #expect(world.words[late] == .agentAway)
    }

    @Test func aPlayerWhoseConnectionDiedWithTheLinkWaitsForTheNextLink() throws {
        var world = try worldWithParked()
        let player = world.player()
        let data = try #require(world.data(startedFor: player))
        world.linkLost()
        world.dataDies(data)
        #expect(world.ends[player] == nil)
        world.linkUp()
        #expect(world.opened.count == 1)
    }

    @Test func anOpenThatWasSentOverALostLinkIsRepeatedOverTheNext() throws {
        var world = DeskWorld()
        world.linkUp()
        let player = world.player()
        let first = try #require(world.opened.first)
        world.linkLost()
        #expect(world.expected.contains(first), "the agent may be dialling")
        world.linkUp()
        #expect(!world.expected.contains(first))
        #expect(world.opened.count == 2)
        world.dial(try #require(world.opened.last))
        world.answer(try #require(world.data(startedFor: player)), .ready)
        #expect(world.ends[player] == "spliced")
    }

    @Test func aFlappingLinkDoesNotProlongAWait() {
        var world = DeskWorld()
        world.linkUp()
        let player = world.player()
        for _ in 0..<9 {
            world.linkLost()
            world.pass(500)
            world.linkUp()
            world.pass(500)
        }
        #expect(world.ends[player] == nil)
        world.pass(1000)
        #expect(world.words[player] == .slow)
    }

    @Test func connectionsParkedForALostLinkAreClosed() throws {
        var world = try worldWithParked()
        world.linkLost()
        #expect(world.parked == 0)
        #expect(world.datas.isEmpty)
        #expect(world.desk.isIdle)
    }

    @Test func aNewLinkStartsWithNothingOfTheOld() throws {
        var world = try worldWithParked()
        let old = world.expected
        world.linkUp()
        #expect(world.datas.isEmpty)
        #expect(world.expected.isDisjoint(with: old))
        #expect(world.parkRequests.count == 2)
    }

    @Test func aDrainClosesWhatIsParkedAndTellsWhoWaitsButKeepsPlayers() throws {
        var world = try worldWithParked()
        let playing = world.player()
        world.answer(try #require(world.data(startedFor: playing)), .ready)
        world.dial(try #require(world.parkRequests.last?.first))
        let started = world.player()
        let waiting = world.player()
        world.close(.elsewhere)
        #expect(world.words[started] == .elsewhere)
        #expect(world.words[waiting] == .elsewhere)
        #expect(world.playing.keys.contains(playing))
        #expect(world.datas.count == 1)
        #expect(world.expected.isEmpty)
        #expect(!world.desk.isIdle)
        world.leave(playing)
        #expect(world.desk.isIdle)
    }

    // MARK: revocation

    /// Somebody plays, somebody logs in, somebody waits for a connection, one is parked.
    private func busyWorld() throws -> (world: DeskWorld, playing: PlayerID, others: [PlayerID]) {
        var world = try worldWithParked()
        let playing = world.player()
        world.answer(try #require(world.data(startedFor: playing)), .ready)
        world.dial(try #require(world.parkRequests.last?.first))
        let started = world.player()
        let waiting = world.player()
        world.dial(try #require(world.parkRequests.last?.last))
        return (world, playing, [started, waiting])
    }

    @Test func aRevokedKeyTakesLinkParkedConnectionsAndPlayersWithIt() throws {
        var (world, playing, others) = try busyWorld()
        world.revoke("key-1")
        #expect(world.cut == [playing])
        for player in others { #expect(world.words[player] == .agentAway) }
        #expect(world.parked == 0)
        #expect(world.datas.isEmpty && world.expected.isEmpty)
        #expect(world.desk.isIdle)
    }

    @Test func anotherKeysRevocationTouchesNobody() throws {
        var (world, playing, others) = try busyWorld()
        let datas = world.datas
        world.revoke("key-0", "key-2")
        #expect(world.cut.isEmpty && world.words.isEmpty)
        #expect(world.players == [playing] + others)
        #expect(world.datas == datas)
    }

    @Test func aPlayerOfAReplacedSessionPlaysOnUntilItsOwnKeyIsRevoked() throws {
        var world = try worldWithParked()
        let old = world.player()
        world.answer(try #require(world.data(startedFor: old)), .ready)
        world.linkUp(key: "key-2")
        let new = world.player()
        world.dial(try #require(world.opened.last))
        world.answer(try #require(world.data(startedFor: new)), .ready)
        #expect(world.cut.isEmpty)
        world.revoke("key-1")
        #expect(world.cut == [old])
        #expect(world.desk.hasLink)
        world.revoke("key-1", "key-2")
        #expect(world.cut == [old, new])
    }

    @Test func aLinkThatWasLostBeforeItsKeyWasRevokedIsNotWaitedFor() throws {
        var world = try worldWithParked()
        let playing = world.player()
        world.answer(try #require(world.data(startedFor: playing)), .ready)
        world.linkLost()
        let waiting = world.player()
        world.revoke("key-1")
        #expect(world.words[waiting] == .agentAway)
        #expect(world.cut == [playing])
        let late = world.player()
        #expect(world.words[late] == .agentAway)
    }

    @Test func aRevocationThatIsToldAgainDoesNothing() throws {
        var (world, playing, _) = try busyWorld()
        world.revoke("key-1")
        world.linkUp(key: "key-2")
        world.revoke("key-1")
        #expect(world.cut == [playing])
        #expect(world.desk.hasLink)
    }

    @Test(arguments: [OfflineReason.unknownName, .suspended])
    func aTunnelThatIsNoMoreEndsItsPlayers(_ reason: OfflineReason) throws {
        var (world, playing, others) = try busyWorld()
        world.end(reason)
        #expect(world.cut == [playing])
        for player in others { #expect(world.words[player] == reason) }
        #expect(world.desk.isIdle)
    }

    // MARK: the parked connections

    @Test func theParkedConnectionsFollowDemandUpToEight() throws {
        var world = DeskWorld()
        world.linkUp()
        for _ in 0..<40 {
            for nonce in world.parkRequests.last ?? [] where world.expected.contains(nonce) {
                world.dial(nonce)
            }
            world.pass(20)
            let player = world.player()
            if let data = world.data(startedFor: player) { world.answer(data, .ready) }
        }
        for nonce in world.parkRequests.joined() where world.expected.contains(nonce) { world.dial(nonce) }
        #expect(world.parked == 8)
        #expect(world.playing.count >= 38)
        world.pass(10_000)
        #expect(world.parked == 1, "a quiet tunnel keeps one")
        #expect(world.datas.values.count { $0 == .fresh } == 1)
    }

    @Test func aNonceForParkingIsGoodForTenSeconds() throws {
        var world = DeskWorld()
        world.linkUp()
        let nonce = try #require(world.parkRequests.first?.first)
        world.pass(9999)
        #expect(world.expected.contains(nonce))
        world.pass(1)
        #expect(!world.expected.contains(nonce))
    }

    @Test func aConnectionUnderWayForAPlayerWhoLeftIsParked() throws {
        var world = DeskWorld()
        world.linkUp()
        let player = world.player()
        world.leave(player)
        world.dial(try #require(world.opened.first))
        #expect(world.parked == 1)
    }

    @Test func playersWhoComeAndLeaveAtOnceLeaveNoHeapOfNonces() {
        var world = DeskWorld()
        world.linkUp()
        for _ in 0..<1000 { world.leave(world.player()) }
        #expect(world.expected.count <= 8)
    }

    @Test func aParkedConnectionThatEndsAfterALongLifeIsReplacedAtOnce() throws {
        var world = try worldWithParked()
        world.pass(60_000)
        #expect(world.parkRequests.count == 1)
        world.dataDies(try #require(world.connections { $0 == .fresh }.first))
        #expect(world.parkRequests.count == 2)
    }

    @Test func parkedConnectionsThatCloseAtOnceAreAskedForEverMoreRarely() {
        var world = DeskWorld()
        world.linkUp()
        var asked: [Int] = []
        let start = world.now
        for _ in 0..<6000 {  // ten minutes
            for nonce in world.parkRequests.last ?? [] where world.expected.contains(nonce) {
                asked.append(world.now.since(start).count)
                world.dataDies(world.dial(nonce))
            }
            world.pass(100)
        }
        #expect(asked.first == 0)
        #expect((8...18).contains(asked.count))
        #expect(zip(asked, asked.dropFirst()).allSatisfy { $1 - $0 >= 1000 && $1 - $0 <= 60_100 })
    }

    @Test func parkingThatTheAgentRefusesIsAskedForEverMoreRarely() {
        var world = DeskWorld()
        world.linkUp()
        for _ in 0..<6000 {
            for nonce in world.expected { world.refuse(nonce, .rendezvousUnreachable) }
            world.pass(100)
        }
        #expect((8...18).contains(world.parkRequests.count))
    }

    @Test func playersStillGetAnOpenWhileParkingFails() throws {
        var world = DeskWorld()
        world.linkUp()
        world.refuse(try #require(world.parkRequests.first?.first), .rendezvousUnreachable)
        let player = world.player()
        world.dial(try #require(world.opened.first))
        world.answer(try #require(world.data(startedFor: player)), .ready)
        #expect(world.ends[player] == "spliced")
    }

    // MARK: anything at all

    @Test(arguments: 0..<60)
    func whateverHappensNobodyIsLostAndNothingIsLeftOver(seed: Int) {
        var world = DeskWorld(
            limits: Limits(players: seed % 3 == 0 ? 4 : nil), seed: UInt64(seed))
        var random = Seeded(UInt64(seed) &+ 1000)
        func some<C: Collection>(_ choices: C) -> C.Element? { choices.randomElement(using: &random) }
        let refusals: [RefusalReason] = [.unspecified, .localServerUnreachable, .busy, .stopping]
        let answers: [MeshAnswer] = [
            .noLink, .noLink, .opened(agentKey: "key-1"), .opened(agentKey: "key-2"), .full, .asleep,
        ]
        for _ in 0..<400 {
            switch Int.random(in: 0..<24, using: &random) {
            case 20: world.place(isOwner: Bool.random(using: &random))
            case 21: world.place(isOwner: Bool.random(using: &random), others: "r2", "r3")
            case 22, 23:
                if let ask = some(world.asks) { world.reply(some(answers) ?? .noLink, by: ask.relay) }
            case 0:
                world.linkUp(
                    Limits(players: seed % 3 == 0 ? 4 : nil),
                    key: "key-\(Int.random(in: 1...2, using: &random))")
            case 1 where Int.random(in: 0..<3, using: &random) == 0: world.linkLost()
            case 2...5: world.player(isLogin: Bool.random(using: &random))
            case 6, 7: if let player = some(world.players) { world.leave(player) }
            case 8...11:
                let nonces = world.expected.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
                if let nonce = some(nonces) { world.dial(nonce) }
            case 12:
                if let data = some(world.connections { if case .spliced = $0 { false } else { true } }) {
                    world.dataDies(data)
                }
            case 13...15:
                if let data = some(world.connections { if case .started = $0 { true } else { false } }) {
                    let isReady = Int.random(in: 0..<4, using: &random) > 0
                    world.answer(data, isReady ? .ready : .refused(some(refusals) ?? .busy))
                }
            case 16:
                let nonces = world.expected.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
                world.refuse(
                    some(nonces) ?? Nonce(loop: 3, using: &random), some(refusals) ?? .unspecified)
            case 17 where Int.random(in: 0..<20, using: &random) == 0: world.close(.elsewhere)
            case 18 where Int.random(in: 0..<20, using: &random) == 0:
                world.revoke("key-\(Int.random(in: 1...2, using: &random))")
            default: world.pass(Int.random(in: 0...3000, using: &random))
            }
            for (player, arrived) in world.waiting {
                #expect(world.now.since(arrived) <= .seconds(10), "seed \(seed): \(player) waits too long")
            }
            if let cap = world.desk.limits.players { #expect(world.words.isEmpty || cap == 4) }
        }
        world.close(.elsewhere)
        for player in world.players { world.leave(player) }
        #expect(world.desk.isIdle)
        #expect(world.expected.isEmpty && world.datas.isEmpty && world.waiting.isEmpty, "seed \(seed)")
        #expect(world.desk.nextDue == nil)
    }
}
