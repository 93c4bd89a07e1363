import Testing
import Wire

@testable import RelayCore

/// A tunnel without players is closed after as long as its limits say.
struct IdleTests {
    private func playing(_ world: inout DeskWorld) throws -> PlayerID {
        let player = world.player()
        let data: DataID
        if let started = world.data(startedFor: player) {
            data = started
        } else {
            data = world.dial(try #require(world.opened.last))
        }
        world.answer(data, .ready)
        return player
    }

    @Test func nobodyEverCame() {
        var world = DeskWorld()
        world.linkUp(Limits(idle_timeout_s: 1800))
        world.pass(1_799_999)
        #expect(world.sleptAt.isEmpty)
        world.pass(1)
        #expect(world.sleptAt.count == 1)
        #expect(world.desk.isIdle)
        #expect(world.desk.nextDue == nil)
    }

    @Test func theTimeBeginsWhenTheLastPlayerHasLeft() throws {
        var world = DeskWorld()
        world.linkUp(Limits(idle_timeout_s: 60))
        world.pass(30_000)
        let first = try playing(&world)
        let second = try playing(&world)
        world.pass(500_000)
        world.leave(first)
        world.pass(500_000)
        #expect(world.sleptAt.isEmpty)
        world.leave(second)
        world.pass(59_999)
        #expect(world.sleptAt.isEmpty)
        world.pass(1)
        #expect(world.sleptAt.count == 1)
    }

    @Test func aPlayerOnTheWayInKeepsItOpenAndOneWhoIsRefusedDoesNotForEver() throws {
        var world = DeskWorld()
        world.linkUp(Limits(idle_timeout_s: 60))
        world.pass(59_000)
        world.player()
        let data = world.dial(try #require(world.opened.last))
        world.pass(1500)
        #expect(world.sleptAt.isEmpty)
        world.answer(data, .refused(.localServerUnreachable))
        world.pass(59_000)
        #expect(world.sleptAt.isEmpty)
        world.pass(1000)
        #expect(world.sleptAt.count == 1)
    }

    @Test func lookingAtTheServerListKeepsNothingOpen() throws {
        var world = DeskWorld()
        world.linkUp(Limits(idle_timeout_s: 60))
        for _ in 0..<5 {
            world.pass(10_000)
            let ping = world.player(isLogin: false)
            let data = try #require(world.data(startedFor: ping) ?? world.opened.last.map { world.dial($0) })
            world.answer(data, .ready)
            world.leave(ping)
        }
        world.pass(9_000)
        let last = world.player(isLogin: false)
        world.pass(1_000)
        #expect(world.sleptAt.count == 1)
        #expect(world.words[last] == .asleep)
    }

    @Test func aChangedLimitCountsAtOnceFromWhenItBecameEmpty() {
        var world = DeskWorld()
        world.linkUp()
        world.pass(600_000)
        #expect(world.sleptAt.isEmpty)
        world.change(Limits(idle_timeout_s: 700))
        world.pass(99_999)
        #expect(world.sleptAt.isEmpty)
        world.change(Limits(idle_timeout_s: 3000))
        world.pass(1_000_000)
        #expect(world.sleptAt.isEmpty)
        world.change(Limits(idle_timeout_s: 10))
        world.pass(0)
        #expect(world.sleptAt.count == 1)
    }

    @Test func withoutALimitItStaysOpen() {
        var world = DeskWorld()
        world.linkUp()
        for _ in 0..<7 * 24 { world.pass(3_600_000) }
        #expect(world.sleptAt.isEmpty)
    }

    @Test func aLinkThatComesAgainStartsTheTimeAnew() {
        var world = DeskWorld()
        world.linkUp(Limits(idle_timeout_s: 60))
        world.pass(50_000)
        world.linkLost()
        world.pass(4_000)
        world.linkUp(Limits(idle_timeout_s: 60))
        world.pass(59_999)
        #expect(world.sleptAt.isEmpty)
        world.pass(1)
        #expect(world.sleptAt.count == 1)
        world.linkUp(Limits(idle_timeout_s: 60))
        world.pass(60_000)
        #expect(world.sleptAt.count == 2)
    }

    @Test func whoPlaysWithoutALinkIsNotCountedAsIdle() throws {
        var world = DeskWorld()
        world.linkUp(Limits(idle_timeout_s: 60))
        let player = try playing(&world)
        world.linkLost()
        world.pass(600_000)
        world.linkUp(Limits(idle_timeout_s: 60))
        world.pass(600_000)
        #expect(world.sleptAt.isEmpty)
        world.leave(player)
        world.pass(60_000)
        #expect(world.sleptAt.count == 1)
    }
}
