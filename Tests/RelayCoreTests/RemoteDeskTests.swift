import Core
import Testing
import Wire

@testable import RelayCore

/// Limits of a tunnel whose players are at several relays, as its owner's desk sees them.
struct RemoteDeskTests {
    private func world(_ limits: Limits) -> DeskWorld {
        var world = DeskWorld(limits: limits)
        world.linkUp(limits)
        return world
    }

    @Test func playersElsewhereCountForWhoComesHere() {
        var world = world(Limits(players: 2))
        world.report(1, at: "r2")
        let first = world.player()
        #expect(world.words[first] == nil)
        let second = world.player()
        #expect(world.words[second] == .full)
        world.report(0, at: "r2")
        let third = world.player()
        #expect(world.words[third] == nil)
    }

    @Test func playersHereAndElsewhereCountForWhoAsksFromAnotherRelay() {
        var world = world(Limits(players: 3))
        let here = world.player()
        let first = world.ask(at: "r2")
        let second = world.ask(at: "r3")
        let third = world.ask(at: "r2")
        #expect([first, second, third].map(\.isLetIn) == [true, true, false])
        // Looking at the server list is free.
        let mayLook = world.ask(at: "r2", isLogin: false).isLetIn
        #expect(mayLook)
        // A report that was made too early changes nothing ...
        world.report(0, at: "r2")
        let mayAFourth = world.ask(at: "r2").isLetIn
        #expect(!mayAFourth)
        // ... and a player whom it covers counts once.
        world.report(1, at: "r2", settled: [first.nonce])
        let mayAFifth = world.ask(at: "r3").isLetIn
        #expect(!mayAFifth)
        world.leave(here)
        let fourth = world.ask(at: "r3")
        #expect(fourth.isLetIn)
        // Asked again, since the answer was slow.
        let mayTheSame = world.desk.letIn(fourth.nonce, isLogin: true, at: "r3", now: world.now)
        #expect(mayTheSame)
    }

    @Test func aRelayThatIsGoneOrSilentMakesRoom() {
        var world = world(Limits(players: 1))
        world.report(1, at: "r2")
        let mayTwoPlay = world.ask(at: "r3").isLetIn
        #expect(!mayTwoPlay)
        world.relayGone("r2")
        let mayOnePlay = world.ask(at: "r3").isLetIn
        #expect(mayOnePlay)
        let mayAnotherPlay = world.ask(at: "r2").isLetIn
        #expect(!mayAnotherPlay)
        // Nobody took it.
        world.pass(RemotePlayers.admission.count)
        let mayAnotherPlayLater = world.ask(at: "r2").isLetIn
        #expect(mayAnotherPlayLater)
    }

    @Test func withoutALimitEverybodyIsLetIn() {
        var world = world(.none)
        world.report(.max, at: "r2")
        for _ in 0..<3000 {
            let isLetIn = world.ask(at: "r3").isLetIn
            #expect(isLetIn)
        }
    }

    @Test func playersElsewhereKeepItAwakeAndOnesWhoLeftDoNot() {
        var world = world(Limits(idle_timeout_s: 60))
        for _ in 0..<200 {
            world.pass(1000)
            world.report(2, at: "r2")
        }
        #expect(world.sleptAt.isEmpty)
        world.report(0, at: "r2")
        world.pass(59_999)
        #expect(world.sleptAt.isEmpty)
        world.pass(1)
        #expect(world.sleptAt.count == 1)
    }

    @Test func anIdleTimeoutThatIsNewWaitsForReportsFromElsewhere() {
        var world = world(.none)
        let isLetIn = world.ask(at: "r2").isLetIn
        #expect(isLetIn)
        // Without the limit nobody reports them.
        world.pass(3_600_000)
        world.change(Limits(idle_timeout_s: 60))
        world.pass(3_000)
        #expect(world.sleptAt.isEmpty)
        for _ in 0..<100 {
            world.report(1, at: "r2")
            world.pass(1000)
        }
        #expect(world.sleptAt.isEmpty)
        world.report(0, at: "r2")
        world.pass(60_000)
        #expect(world.sleptAt.count == 1)
    }

    @Test func aRelayThatFellSilentKeepsNothingAwake() {
        var world = world(Limits(idle_timeout_s: 60))
        world.report(2, at: "r2")
        world.pass(RemotePlayers.silence.count + 59_999)
        #expect(world.sleptAt.isEmpty)
        world.pass(1)
        #expect(world.sleptAt.count == 1)
    }

    @Test func whoIsLetInElsewhereKeepsItAwake() {
        var world = world(Limits(idle_timeout_s: 2))
        world.pass(1500)
        let isLetIn = world.ask(at: "r2").isLetIn
        #expect(isLetIn)
        world.pass(1500)
        #expect(world.sleptAt.isEmpty)
        world.report(1, at: "r2")
        world.pass(5000)
        #expect(world.sleptAt.isEmpty)
    }

    @Test func othersAreToldOfWhoWasLetInHere() throws {
        var world = world(.none)
        let looking = world.player(isLogin: false)
        #expect(world.desk.loginsLetIn == 0)
        let player = world.player()
        #expect(world.desk.loginsLetIn == 1)
        for nonce in world.opened { world.answer(world.dial(nonce), .ready) }
        #expect(world.desk.loginsLetIn == 1)
        world.leave(looking)
        world.leave(player)
        #expect(world.desk.loginsLetIn == 0)
    }
}
