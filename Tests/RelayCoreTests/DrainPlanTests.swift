import Core
import RelayCore
import Testing

@Suite struct DrainPlanTests {
    private var plan = DrainPlan()

    private func at(_ milliseconds: Int) -> Instant {
        Instant(nanoseconds: 1 << 40) + Milliseconds(milliseconds)
    }

    private func guests(links: Int = 0, players: Int = 0, waiting: Int = 0, others: Int = 0)
        -> DrainPlan.Guests
    {
        DrainPlan.Guests(
            links: links, players: players, waiting: waiting,
            connections: links + 2 * players + waiting + others)
    }

    private func begin(_ plan: inout DrainPlan, _ guests: DrainPlan.Guests) -> [DrainPlan.Action] {
        plan.told(guests, now: at(0))
    }

    @Test func nothingHappensBeforeItIsTold() {
        var plan = plan
        #expect(!plan.hasBegun)
        let actions = plan.look(guests(), now: at(1_000_000))
        #expect(actions == [])
    }

    @Test(arguments: [(0, 0), (1, 5), (200, 1000), (1000, 5000), (10_000, 5000)])
    func moreAgentsMoveInMoreTime(_ links: Int, _ within: Int) {
        var plan = plan
        let actions = begin(&plan, guests(links: links))
        #expect(actions == [.turnReadinessOff, .migrate(within: Milliseconds(within))])
        #expect(plan.hasBegun)
        let again = plan.told(guests(links: links), now: at(10))
        #expect(again == [])
    }

    @Test func anEmptyRelayStaysForItsNoticeAndThenLeaves() {
        var plan = plan
        _ = begin(&plan, guests())
        let early = plan.look(guests(), now: at(4999))
        let doors = plan.look(guests(), now: at(5000))
        let usage = plan.look(guests(), now: at(5100))
        let waiting = plan.look(guests(), now: at(5200))
        let exit = plan.usageTold()
        let over = plan.look(guests(), now: at(5300))
        #expect(
            [early, doors, usage, waiting, exit, over] == [
                [], [.stopListening], [.tellUsage], [], [.exit], [],
            ])
    }

    @Test(arguments: [
        DrainPlan.Guests(links: 1, players: 0, waiting: 0, connections: 1),
        DrainPlan.Guests(links: 0, players: 1, waiting: 0, connections: 2),
        DrainPlan.Guests(links: 0, players: 0, waiting: 1, connections: 1),
    ])
    func whoeverIsThereIsWaitedFor(_ someone: DrainPlan.Guests) {
        var plan = plan
        _ = begin(&plan, someone)
        for time in stride(from: 100, to: 14_000, by: 100) {
            let actions = plan.look(someone, now: at(time))
            #expect(actions == [])
        }
        let gone = plan.look(guests(), now: at(14_000))
        #expect(gone == [.stopListening])
    }

    @Test func linksThatDoNotMoveAreSentAwayOnce() {
        var plan = plan
        _ = begin(&plan, guests(links: 2))
        let early = plan.look(guests(links: 1), now: at(14_999))
        let late = plan.look(guests(links: 1), now: at(15_000))
        let again = plan.look(guests(links: 1), now: at(15_100))
        #expect([early, late, again] == [[], [.sendLinksAway], []])
    }

    @Test func strangersDoNotHoldARelay() {
        var plan = plan
        _ = begin(&plan, guests(others: 3))
        let doors = plan.look(guests(others: 3), now: at(5000))
        let early = plan.look(guests(others: 3), now: at(9999))
        let late = plan.look(guests(others: 3), now: at(10_000))
        #expect([doors, early, late] == [[.stopListening], [], [.tellUsage]])
    }

    @Test func whoCameInAsTheDoorsClosedPlaysOn() {
        var plan = plan
        _ = begin(&plan, guests())
        _ = plan.look(guests(), now: at(5000))
        let playing = plan.look(guests(players: 1), now: at(60_000))
        let gone = plan.look(guests(), now: at(61_000))
        #expect([playing, gone] == [[], [.tellUsage]])
    }

    @Test func theLimitEndsItWhoeverIsThere() {
        var plan = plan
        _ = begin(&plan, guests(links: 1, players: 9))
        _ = plan.look(guests(links: 1, players: 9), now: at(15_000))
        let early = plan.look(guests(players: 9), now: at(299_999))
        let late = plan.look(guests(players: 9), now: at(300_000))
        let exit = plan.usageTold()
        #expect([early, late, exit] == [[], [.stopListening, .tellUsage], [.exit]])

        var slow = DrainPlan()
        _ = begin(&slow, guests())
        _ = slow.look(guests(), now: at(5000))
        let closed = slow.look(guests(players: 1), now: at(300_000))
        #expect(closed == [.tellUsage])
    }

    @Test func withoutAnyTimeItTellsItsUsageAndEnds() {
        var timing = DrainPlan.Timing()
        timing.limit = Milliseconds(0)
        var plan = DrainPlan(timing: timing)
        let actions = plan.signalled(guests(players: 1), now: at(0))
        #expect(
            actions == [.turnReadinessOff, .migrate(within: Milliseconds(0)), .stopListening, .tellUsage])
    }

    @Test func aSecondSignalEndsItAtOnceAndAnOrderIsNoSignal() {
        var plan = plan
        _ = plan.told(guests(players: 1), now: at(0))
        let first = plan.signalled(guests(players: 1), now: at(10))
        let second = plan.signalled(guests(players: 1), now: at(20))
        let third = plan.signalled(guests(players: 1), now: at(30))
        #expect([first, second, third] == [[], [.exit], []])
    }
}
