import Core
import Testing
import Wire

@testable import RelayCore

/// A desk whose tunnel has its link at other relays, and one that is asked by them.
@Suite struct OthersTests {
    /// A player waits where no link is.
    private func asking(_ others: String..., isLogin: Bool = true) -> (world: DeskWorld, player: PlayerID) {
        var world = DeskWorld()
        world.desk.placeChanged(TunnelDesk.Place(isOwner: false, others: others), now: world.now)
        let player = world.player(isLogin: isLogin)
        return (world, player)
    }

    private let nonces = (0..<8).map { Nonce([UInt8](repeating: UInt8($0), count: 16))! }

    // MARK: asking

    @Test func aPlayerWithoutALinkHereIsAskedForAtTheOwner() throws {
        var (world, player) = asking("owner", "standby")
        #expect(world.asks.map(\.relay) == ["owner"])
        let nonce = try #require(world.asks.first?.nonce)
        world.reply(.opened(agentKey: "key-1"), by: "owner")
        let data = world.dial(nonce)
        world.answer(data, .ready)
        #expect(world.ends[player] == "spliced")
        world.leave(player)
        #expect(world.desk.isIdle)
    }

    @Test func theConnectionMayOvertakeTheAnswer() throws {
        var (world, player) = asking("owner")
        world.answer(world.dial(try #require(world.asks.first?.nonce)), .ready)
        #expect(world.ends[player] == "spliced")
        // It is known too late whose key brought it, and not too late to be cut.
        world.reply(.opened(agentKey: "key-1"), by: "owner")
        world.revoke("key-1")
        #expect(world.cut == [player])
    }

    @Test func whoHasNoLinkIsPassedOver() throws {
        var (world, player) = asking("owner", "standby", "previous")
        world.reply(.noLink, by: "owner")
        world.reply(.noLink, by: "standby")
        let nonces = Set(world.asks.map(\.nonce))
        #expect(world.asks.map(\.relay) == ["previous"] && nonces.count == 1)
        world.reply(.opened(agentKey: nil), by: "previous")
        world.answer(world.dial(try #require(nonces.first)), .ready)
        #expect(world.ends[player] == "spliced")
    }

    @Test func aLoginIsAskedForAgainAndAgainForFiveSeconds() {
        var (world, player) = asking("owner")
        for _ in 0..<10 {
            world.reply(.noLink, by: "owner")
            world.pass(250)
        }
        #expect(world.asks.map(\.relay) == ["owner"], "asked again after each pause")
        world.pass(2499)
        #expect(world.words[player] == nil)
        world.pass(1)
        #expect(world.words[player] == .agentAway)
        #expect(world.expected.isEmpty && world.desk.isIdle)
    }

    @Test func aLookAtTheServerListIsNotWorthThatMuch() {
        var (world, player) = asking("owner", isLogin: false)
        world.pass(1499)
        #expect(world.words[player] == nil)
        world.pass(1)
        #expect(world.words[player] == .agentAway)
    }

    @Test(arguments: [
        (MeshAnswer.full, OfflineReason.full), (.asleep, .asleep), (.suspended, .suspended),
    ])
    func whatTheOwnerSaysIsToldToThePlayer(answer: MeshAnswer, words: OfflineReason) {
        var (world, player) = asking("owner", "standby")
        world.reply(answer, by: "owner")
        #expect(world.words[player] == words)
        #expect(world.expected.isEmpty && world.asks.isEmpty)
    }

    @Test func aConnectionThatDoesNotComeIsAskedForOnceMore() throws {
        var (world, player) = asking("owner")
        let first = try #require(world.asks.first?.nonce)
        world.reply(.opened(agentKey: "key-1"), by: "owner")
        world.pass(2000)
        #expect(!world.expected.contains(first))
        let second = try #require(world.asks.first?.nonce)
        world.reply(.opened(agentKey: "key-1"), by: "owner")
        #expect(second != first)
        world.pass(7999)
        #expect(world.asks.isEmpty && world.words[player] == nil)
        world.pass(1)
        #expect(world.words[player] == .slow)
    }

    @Test func aLinkThatComesHereServesWhoWaits() throws {
        var (world, player) = asking("owner")
        world.linkUp()
        #expect(world.opened.count == 1)
        world.answer(world.dial(try #require(world.opened.first)), .ready)
        #expect(world.ends[player] == "spliced")
        // What others say by now changes nothing.
        world.reply(.full, by: "owner")
        #expect(world.words[player] == nil)
    }

    @Test func aLinkThatIsLostHereLeavesTheOthersToAsk() throws {
        var world = DeskWorld()
        world.place(isOwner: true, others: "standby")
        world.linkUp()
        let early = world.player()
        world.linkLost()
        let late = world.player()
        #expect(world.asks.map(\.player) == [late])
        world.pass(2000)
        #expect(Set(world.asks.map(\.player)) == [early, late])
    }

    @Test func whoIsBroughtByARevokedKeyGoes() throws {
        var (world, first) = asking("owner")
        world.reply(.opened(agentKey: "key-1"), by: "owner")
        let second = world.player()
        world.revoke("key-1")
        #expect(world.words[first] == .agentAway)
        #expect(world.words[second] == nil, "no key is known of yet")
        // The relay that answers has not heard of it.
        world.reply(.opened(agentKey: "key-1"), by: "owner")
        #expect(world.words[second] == .agentAway)
        #expect(world.expected.isEmpty)
    }

    @Test(arguments: [false, true])
    func aRelayThatHungAndAnswersLateTakesNobodyWithIt(isPlaying: Bool) throws {
        var (world, player) = asking("owner", "standby")
        let nonce = try #require(world.asks.first?.nonce)
        world.pass(250)
        world.reply(.opened(agentKey: "key-2"), by: "standby")
        world.revoke("key-1")
        if !isPlaying { world.reply(.opened(agentKey: "key-1"), by: "owner") }
        #expect(world.words[player] == nil)
        world.answer(world.dial(nonce), .ready)
        if isPlaying { world.reply(.opened(agentKey: "key-1"), by: "owner") }
        #expect(world.ends[player] == "spliced" && world.cut.isEmpty)
        world.revoke("key-2")
        #expect(world.cut == [player])
    }

    // MARK: a standby with a link

    @Test func aStandbyServesByItselfUnlessPlayersAreCounted() {
        var world = DeskWorld()
        world.place(others: "owner")
        world.linkUp()
        world.player()
        #expect(world.asks.isEmpty && world.opened.count == 1)
    }

    @Test func aStandbyAsksTheOwnerWhenPlayersAreCounted() throws {
        let limits = Limits(players: 5)
        var world = DeskWorld(limits: limits)
        world.place(others: "owner", "previous")
        world.linkUp(limits)
        let player = world.player()
        let look = world.player(isLogin: false)
        #expect(world.asks.map(\.player) == [player])
        #expect(world.opened.count == 1, "a look at the server list is free")
        world.reply(.full, by: "owner")
        #expect(world.words[player] == .full)
        world.leave(look)
        // A silent owner is not waited for, and nobody else decides.
        let second = world.player()
        world.pass(250)
        #expect(world.asks.map(\.relay) == ["owner"])
        #expect(world.opened.count == 2)
        world.answer(world.dial(try #require(world.opened.last)), .ready)
        #expect(world.ends[second] == "spliced")
        // Neither is one without a link.
        let third = world.player()
        world.reply(.noLink, by: "owner")
        #expect(world.asks.count == 1)
        world.reply(.noLink, by: "owner")
        #expect(world.opened.count == 3)
        #expect(world.words[third] == nil)
    }

    @Test func onlyTheOwnerPutsATunnelToSleep() {
        let limits = Limits(idle_timeout_s: 60)
        var world = DeskWorld(limits: limits)
        world.place(others: "owner")
        world.linkUp(limits)
        world.pass(120_000)
        #expect(world.sleptAt.isEmpty)
        world.place(isOwner: true)
        world.pass(60_000)
        #expect(world.sleptAt.count == 1)
    }

    // MARK: being asked

    @Test func whoHasTheLinkOpensForOthersAndSaysWhoseItIs() {
        var world = DeskWorld()
        world.linkUp(key: "key-7")
        let answer = world.question(nonces[0])
        #expect(answer == .opened(agentKey: "key-7"))
        #expect(
            world.frames.last == .open(nonces[0], Rendezvous(relay: "r2", endpoint: "r2:1")))
        #expect(!world.expected.contains(nonces[0]), "it comes to the other relay")
    }

    /// Promise: a question never travels on.
    @Test func whoHasNoLinkSaysSoAndAsksNobody() {
        var world = DeskWorld()
        world.place(others: "r2", "r3")
        let answer = world.question(nonces[0])
        #expect(answer == .noLink)
        world.pass(10_000)
        #expect(world.asks.isEmpty && world.frames.isEmpty)
    }

    @Test func playersOfOthersCountAndAreCountedOnce() {
        let limits = Limits(players: 2)
        var world = DeskWorld(limits: limits)
        world.linkUp(limits)
        let first = [
            world.question(nonces[0]), world.question(nonces[0]), world.question(nonces[1]),
        ]
        #expect(first.allSatisfy { $0 == .opened(agentKey: "key-1") }, "one player, asked for three times")
        let second = world.question(nonces[2], player: 2)
        let third = world.question(nonces[3], player: 1, at: "r3")
        #expect(second == .opened(agentKey: "key-1") && third == .full)
        let look = world.question(nonces[4], player: 9, isLogin: false)
        #expect(look == .opened(agentKey: "key-1"))
    }
}
