import Core
import Testing
import Wire

@testable import AgentCore

/// MIGRATE and new placements: make before break.
struct MigrationTests {
    private let leave = LinkFrame.migrate(within: .seconds(30), leave: true)
    private let fetch = LinkFrame.migrate(within: .seconds(30), leave: false)
    private let bye = LinkFrame.goAway(reconnectIn: Milliseconds(0), .stopping)

    @Test func theQuestionComesSomewhereWithinTheTimeThatTheRelayGives() {
        var waits: [Int] = []
        for seed in 0..<200 as Range<UInt64> {
            var driver = SessionDriver.online(seed: seed)
            driver.receive("a", .migrate(within: .seconds(5), leave: true))
            #expect(driver.actions.isEmpty)
            waits.append(driver.passToQuestion().count)
            #expect(driver.question == SessionDriver.ask("a"))
        }
        #expect((waits.max() ?? 0) > 4_500 && (waits.max() ?? 0) <= 5_000)
        #expect((waits.min() ?? 0) < 500)
    }

    @Test func theNewLinkIsUpBeforeTheOldOneGoes() {
        var driver = SessionDriver.online()
        let old = driver.link("a")
        driver.receive("a", leave)
        driver.passToQuestion()
        driver.place(SessionDriver.onB)
        #expect(driver.notices.isEmpty)
        #expect(driver.up == ["rly_a"])
        driver.receive("a", .open(nonce(1)!, Rendezvous(relay: "rly_a", endpoint: "192.0.2.1:7000")))
        #expect(driver.actions.count == 1)
        driver.welcome("b")
        #expect(
            driver.actions == [
                .send(old, bye), .closeLink(old), .closeParked(old),
                .tell(.migrated(address: SessionDriver.address, relay: "rly_b")),
            ])
        #expect(driver.up == ["rly_b"])
    }

    @Test func aDrainingOwnerIsLeftForItsStandby() {
        var driver = SessionDriver.paired()
        let (old, standby) = (driver.link("a"), driver.link("b"))
        driver.receive("a", leave)
        driver.passToQuestion()
        #expect(driver.question == SessionDriver.ask("a"))
        driver.place(SessionDriver.placement(2, "b", "c"))
        #expect(driver.actions.contains(.send(standby, .hello(ticket: "ticket-b-2"))))
        #expect(driver.up == ["rly_a", "rly_b"])
        driver.welcome("b")
        #expect(driver.actions.contains(.send(old, bye)))
        #expect(driver.actions.contains(.closeParked(old)))
        #expect(driver.up == ["rly_b"])
        driver.welcome("c")
        #expect(driver.up == ["rly_b", "rly_c"])
    }

    @Test func aDrainingStandbyIsLeftForAnother() {
        var driver = SessionDriver.paired()
        let old = driver.link("b")
        driver.receive("b", leave)
        driver.passToQuestion()
        #expect(driver.question == SessionDriver.ask("b"))
        driver.place(SessionDriver.placement(2, "a", "c"))
        #expect(driver.up == ["rly_a", "rly_b"])
        driver.welcome("a")
        #expect(driver.actions.contains(.closeLink(old)))
        driver.welcome("c")
        #expect(driver.notices == [.standbyUp(relay: "rly_c")])
        #expect(driver.up == ["rly_a", "rly_c"])
    }

    @Test func aChangedPlacementIsFetchedAndItsTicketsGoOutOnTheLinksThatStay() {
        var driver = SessionDriver.paired()
        let (one, two) = (driver.link("a"), driver.link("b"))
        driver.receive("b", fetch)
        driver.passToQuestion()
        #expect(driver.question == SessionDriver.ask())
        // Owner and standby change places.
        driver.place(SessionDriver.placement(2, "b", "a"))
        #expect(driver.actions.contains(.send(one, .hello(ticket: "ticket-a-2"))))
        #expect(driver.actions.contains(.send(two, .hello(ticket: "ticket-b-2"))))
        #expect(driver.notices == [.migrated(address: SessionDriver.address, relay: "rly_b")])
        driver.welcome("b")
        driver.welcome("a")
        #expect(driver.notices.isEmpty)
        #expect(driver.link("a") == one)
        #expect(driver.link("b") == two)
        #expect(driver.session.questionDue == driver.session.refreshAt)
    }

    @Test func bothLinksWishingAskOnce() {
        var driver = SessionDriver.paired()
        driver.receive("a", fetch)
        driver.receive("b", fetch)
        driver.passToQuestion()
        #expect(driver.question == SessionDriver.ask())
        driver.place(SessionDriver.placement(2, "a", "b"))
        driver.welcome("a")
        driver.welcome("b")
        driver.live(.minutes(5))
        #expect(driver.question == nil)
    }

    /// It was sent before the relay saw the new ticket; if it holds for that too, it comes again.
    @Test func aWishThatCrossesTheNewTicketIsOldNews() {
        var driver = SessionDriver.paired()
        driver.breakLink("a")
        driver.passToQuestion()
        driver.receive("b", fetch)
        driver.place(SessionDriver.placement(2, "b"))
        driver.receive("b", fetch)
        driver.welcome("b")
        driver.live(.minutes(5))
        #expect(driver.question == nil)
        driver.receive("b", fetch)
        driver.passToQuestion()
        #expect(driver.question == SessionDriver.ask())
    }

    /// The answer was on its way before the placement changed.
    @Test func aWishThatComesBeforeAnOldAnswerIsAskedAgain() {
        var driver = SessionDriver.paired()
        driver.breakLink("b")
        driver.passToQuestion()
        driver.receive("a", fetch)
        driver.place(SessionDriver.placement(1, "a", "c"))
        driver.welcome("a")
        driver.welcome("c")
        driver.passToQuestion()
        #expect(driver.question == SessionDriver.ask())
        // Still no news: nothing is gained by asking on.
        driver.place(SessionDriver.placement(1, "a", "c"))
        driver.welcome("a")
        driver.welcome("c")
        driver.live(.minutes(5))
        #expect(driver.question == nil)
    }

    @Test func aWishToLeaveThatComesWhileAnAnswerIsAwaitedIsNotLost() {
        var driver = SessionDriver.paired()
        driver.breakLink("a")
        driver.passToQuestion()
        driver.receive("b", leave)
        driver.place(SessionDriver.placement(2, "b", "c"))
        driver.welcome("b")
        driver.welcome("c")
        driver.passToQuestion()
        #expect(driver.question == SessionDriver.ask("b"))
    }

    @Test func aLostOwnerAndItsStandbysWishAreOneQuestion() {
        var driver = SessionDriver.paired()
        driver.breakLink("a")
        driver.receive("b", .migrate(within: Milliseconds(0), leave: false))
        #expect(driver.passToQuestion() == Milliseconds(0))
        #expect(driver.question == SessionDriver.ask("a"))
        driver.place(SessionDriver.placement(2, "b", "c"))
        driver.welcome("b")
        driver.welcome("c")
        driver.live(.minutes(5))
        #expect(driver.question == nil)
    }

    @Test func anAttemptAtARelayThatIsNoLongerNamedIsGivenUp() {
        let leave = LinkFrame.migrate(within: Milliseconds(0), leave: true)
        var driver = SessionDriver.paired()
        driver.receive("a", leave)
        driver.passToQuestion()
        driver.place(SessionDriver.placement(2, "c", "b"))
        let attempt = driver.link("c")
        driver.receive("b", leave)
        driver.passToQuestion()
        driver.place(SessionDriver.placement(3, "d"))
        #expect(driver.actions.contains(.closeLink(attempt)))
        #expect(driver.up == ["rly_a", "rly_b"])
        driver.welcome("d")
        #expect(driver.up == ["rly_d"])
    }

    @Test func aMoveThatFailsIsTriedAgainWhileTheOldLinkServes() {
        var driver = SessionDriver.online()
        driver.receive("a", leave)
        driver.passToQuestion()
        driver.place(SessionDriver.onB)
        driver.breakLink("b", "refused")
        #expect(driver.notices.isEmpty)
        #expect(driver.up == ["rly_a"])
        driver.passToQuestion()
        #expect(driver.question == SessionDriver.ask("b", "a"))
    }

    @Test func withNowhereToGoTheOldLinkStaysAndAsksAgain() {
        var driver = SessionDriver.online()
        driver.receive("a", leave)
        driver.passToQuestion()
        driver.place(SessionDriver.placement(2, "a"))
        #expect(driver.dialled == nil)
        driver.welcome("a")
        #expect(driver.up == ["rly_a"])
        #expect(driver.passToQuestion() <= .seconds(20))
        #expect(driver.question == SessionDriver.ask("a"))
        driver.place(SessionDriver.placement(3, "b"))
        driver.welcome("b")
        #expect(driver.up == ["rly_b"])
    }

    @Test func anOldLinkThatEndsMeanwhileDoesNotDisturbTheMove() {
        var driver = SessionDriver.online()
        let old = driver.link("a")
        driver.receive("a", leave)
        driver.passToQuestion()
        driver.place(SessionDriver.onB)
        driver.goAway("a", .draining, reconnectIn: .seconds(1))
        #expect(driver.actions == [.closeLink(old), .closeParked(old)])
        driver.welcome("b")
        #expect(driver.up == ["rly_b"])
        #expect(driver.session.nextAsk == nil)
    }

    @Test func movingWithTheControlPlaneAwayWaitsQuietly() {
        var driver = SessionDriver.online()
        driver.receive("a", leave)
        driver.passToQuestion()
        driver.answer(.failure(.away))
        #expect(driver.dialled == nil)
        #expect(driver.notices.isEmpty)
        driver.passToQuestion()
        #expect(driver.question == SessionDriver.ask("a"))
    }

    @Test func aRelayCannotPutTheQuestionOffForHours() {
        var driver = SessionDriver.online()
        driver.receive("a", .migrate(within: .minutes(10_000), leave: true))
        #expect(driver.passToQuestion() <= .minutes(5))
    }
}
