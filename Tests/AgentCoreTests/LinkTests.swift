import Core
import Testing
import Wire

@testable import AgentCore

/// One link: to the only relay of a region.
struct LinkTests {
    @Test func theTicketGoesOutFirstAndWelcomeMakesTheAddressReady() {
        var driver = SessionDriver.asking()
        driver.place(SessionDriver.onA)
        #expect(driver.notices == [.connecting(relay: "rly_a")])
        let link = driver.link("a")
        #expect(driver.actions.contains(.dial(link, SessionDriver.relayA)))
        driver.feed(.linkOpened(link))
        #expect(driver.actions == [.send(link, .hello(ticket: "ticket-a"))])
        driver.feed(.received(link, .welcome(.none)))
        #expect(
            driver.notices == [.ready(address: SessionDriver.address, relay: "rly_a", region: "eu")])
        #expect(driver.activeLink == link)
    }

    @Test func aBrokenLinkComesBackElsewhereWithinASecond() {
        var driver = SessionDriver.online()
        driver.live(.minutes(1))
        driver.breakLink("a")
        #expect(driver.wait.map { $0 <= .seconds(1) } == true)
        #expect(driver.reason == "the link to relay rly_a broke: reset")
        driver.passToDeadline()
        #expect(driver.question == SessionDriver.ask("a"))
        driver.place(SessionDriver.onB)
        driver.welcome()
        #expect(
            driver.notices == [
                .ready(address: SessionDriver.address, relay: "rly_b", region: "eu", again: true)
            ])
        #expect(driver.up == ["rly_b"])
    }

    @Test func withTheControlPlaneAwayTheSameRelayIsTriedWithTheSameTicket() {
        for failure in [
            .away, ControlFailure.unreadable("502"), .busy(3),
            .refused(Refusal(status: 503, code: "unavailable", detail: "d", retryAfter: .seconds(60))),
        ] {
            var driver = SessionDriver.online()
            driver.breakLink("a")
            driver.passToDeadline()
            driver.answer(.failure(failure))
            #expect(driver.wait != nil)
            #expect(driver.dialled?.relay == "rly_a")
            driver.feed(.linkOpened(driver.link("a")))
            #expect(driver.actions == [.send(driver.link("a"), .hello(ticket: "ticket-a"))])
            driver.welcome("a")
            #expect(driver.up == ["rly_a"])
            #expect(driver.session.nextAsk == nil)
        }
    }

    @Test func relaysThatCannotBeReachedAreNamedToTheControlPlane() {
        var driver = SessionDriver.asking()
        driver.place(SessionDriver.onA)
        driver.breakLink("a", "refused")
        #expect(driver.reason == "relay rly_a cannot be reached: refused")
        driver.passToDeadline()
        #expect(driver.question == SessionDriver.ask("a"))
        driver.place(SessionDriver.onB)
        driver.breakLink("b", "refused")
        driver.passToDeadline()
        #expect(driver.question == SessionDriver.ask("a", "b"))
        driver.place(SessionDriver.onB)
        driver.welcome()
        driver.breakLink("b")
        driver.passToDeadline()
        // What came before the last one that worked is forgotten.
        #expect(driver.question == SessionDriver.ask("b"))
    }

    @Test func aRelayThatIsNamedAllTheSameIsTriedAgain() {
        var driver = SessionDriver.asking()
        driver.place(SessionDriver.onA)
        driver.breakLink("a", "refused")
        driver.passToDeadline()
        #expect(driver.question == SessionDriver.ask("a"))
        driver.place(SessionDriver.onA)
        #expect(driver.dialled?.relay == "rly_a")
        #expect(driver.session.unreachable.isEmpty)
    }

    @Test func aRelayThatFailsWhileItIsAskedForIsNotDialledForAnOldAnswer() {
        var driver = SessionDriver.paired()
        driver.goAway("b", .ticketRefused)
        driver.passToQuestion()
        #expect(driver.question == SessionDriver.ask())
        driver.breakLink("a")
        driver.place(SessionDriver.placement(2, "a", "b"))
        #expect(driver.dialled == nil)
        driver.passToDeadline()
        #expect(driver.question == SessionDriver.ask("a"))
    }

    @Test func theFirstRelayThatCannotBeReachedCostsNoWaitFurtherOnesDo() {
        var driver = SessionDriver.asking()
        var waits: [Int] = []
        for _ in 0..<12 {
            driver.place(SessionDriver.onA)
            driver.breakLink("a", "refused")
            waits.append(driver.wait?.count ?? -1)
            driver.passToDeadline()
        }
        #expect(waits.first == 0)
        #expect(waits.dropFirst().reduce(0, +) > 10_000)
    }

    @Test func aRelayThatNeverWelcomesIsGivenUpAfterEightSeconds() {
        var driver = SessionDriver.asking()
        driver.place(SessionDriver.onA)
        let link = driver.link("a")
        driver.pass(Milliseconds(7_999))
        #expect(driver.actions.isEmpty)
        driver.pass(Milliseconds(1))
        #expect(driver.actions.first == .closeLink(link))
        #expect(driver.question == SessionDriver.ask("a"))
        driver.feed(.received(link, .welcome(.none)))
        #expect(driver.actions.isEmpty)
    }

    @Test func aRefusedTicketIsNotTriedTwice() {
        var driver = SessionDriver.asking()
        driver.place(SessionDriver.onA)
        let link = driver.link("a")
        driver.feed(.linkOpened(link))
        driver.goAway("a", .ticketRefused)
        #expect(driver.actions.first == .closeLink(link))
        driver.passToDeadline()
        #expect(driver.question == SessionDriver.ask())
        driver.answer(.failure(.away))
        #expect(driver.dialled == nil)
        #expect(driver.wait != nil)
    }

    @Test(arguments: [GoAwayReason.replaced, .revoked])
    func aFinalGoAwayEndsInsteadOfFighting(_ reason: GoAwayReason) {
        var driver = SessionDriver.online()
        driver.goAway("a", reason, reconnectIn: .seconds(1))
        #expect(driver.exitCode == 1)
        #expect(driver.failure != nil)
        #expect(driver.session.deadline == nil)
        driver.pass(.minutes(10))
        #expect(driver.actions.isEmpty)
    }

    @Test func goAwaySaysWhenToComeBack() {
        for seed in 0..<50 as Range<UInt64> {
            var driver = SessionDriver.online(seed: seed)
            let link = driver.link("a")
            driver.goAway("a", .draining, reconnectIn: .seconds(3))
            #expect(driver.actions.contains(.closeLink(link)))
            let wait = driver.wait ?? Milliseconds(0)
            #expect(wait >= .seconds(3) && wait <= Milliseconds(4_500))
        }
    }

    @Test(arguments: [GoAwayReason.overloaded, .draining, .stopping])
    func aRelayThatCannotKeepUsIsNamedWhenAskingForAnother(_ reason: GoAwayReason) {
        var driver = SessionDriver.online()
        driver.goAway("a", reason)
        driver.passToDeadline()
        #expect(driver.question == SessionDriver.ask("a"))
    }

    @Test func aDeletedTunnelEndsTheAgent() {
        var driver = SessionDriver.online()
        driver.breakLink("a")
        driver.passToDeadline()
        driver.answer(.failure(.refused(Refusal(status: 404, code: "not-found", detail: "d"))))
        #expect(driver.failure == .tunnelGone(address: "sleepy-creeper.eu.dvv.one"))
    }

    @Test func aLinkThatDoesNotLastKeepsTheWaitGrowing() {
        var driver = SessionDriver.online()
        var waits: [Int] = []
        for _ in 0..<8 {
            driver.breakLink("a")
            waits.append(driver.wait?.count ?? 0)
            driver.passToDeadline()
            driver.place(SessionDriver.onA)
            driver.welcome()
        }
        #expect((waits.max() ?? 0) > 3000)
        driver.live(.seconds(11))
        driver.breakLink("a")
        #expect(driver.wait.map { $0 <= .seconds(1) } == true)
    }

    @Test func ticketsAreFetchedAgainLongBeforeTheyAreUseless() {
        for seed in 0..<10 as Range<UInt64> {
            var driver = SessionDriver.online(seed: seed)
            driver.live(.minutes(6 * 60 - 1))
            #expect(driver.question == nil)
            driver.live(.minutes(6 * 60 + 2))
            #expect(driver.question == SessionDriver.ask())
            driver.place(SessionDriver.placement(1, "a"))
            driver.welcome("a")
            #expect(driver.notices.isEmpty)
            #expect(driver.session.nextAsk == nil)
        }
    }
}
