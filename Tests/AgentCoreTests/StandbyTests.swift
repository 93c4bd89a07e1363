import Core
import Testing
import Wire

@testable import AgentCore

/// Two links: the owner's and the standby's.
struct StandbyTests {
    private let rendezvous = Rendezvous(relay: "rly_x", endpoint: "192.0.2.9:7000")
    private let address = SessionDriver.address

    @Test func theStandbyIsDialledBehindTheOwnersWelcome() {
        var driver = SessionDriver.asking()
        driver.place(SessionDriver.onAWithB)
        #expect(driver.session.links.map { $0.relay } == ["rly_a"])
        driver.welcome("a")
        #expect(driver.notices == [.ready(address: address, relay: "rly_a", region: "eu")])
        #expect(driver.actions.contains(.dial(driver.link("b"), SessionDriver.relayB)))
        driver.feed(.linkOpened(driver.link("b")))
        #expect(driver.actions == [.send(driver.link("b"), .hello(ticket: "ticket-b"))])
        driver.welcome("b")
        #expect(driver.notices == [.standbyUp(relay: "rly_b")])
        #expect(driver.up == ["rly_a", "rly_b"])
    }

    @Test func bothLinksAreServed() {
        var driver = SessionDriver.paired()
        for name in ["a", "b"] {
            let link = driver.link(name)
            driver.receive(name, .park([nonce(1)!], rendezvous))
            #expect(
                driver.actions == [
                    .bring(DataRequest(link: link, nonce: nonce(1)!, rendezvous: rendezvous, isParked: true))
                ])
            driver.receive(name, .open(nonce(2)!, rendezvous))
            let request = DataRequest(link: link, nonce: nonce(2)!, rendezvous: rendezvous, isParked: false)
            #expect(driver.actions == [.bring(request)])
            driver.feed(.dataConnectionFailed(request, .rendezvousUnreachable))
            #expect(
                driver.actions == [.send(link, .refuse(nonce(2)!, rendezvous, .rendezvousUnreachable))])
            driver.receive(name, .ping(5))
            #expect(driver.actions == [.send(link, .pong(5))])
        }
    }

    @Test func eachLinkIsWatchedByItself() {
        var driver = SessionDriver.paired()
        let (owner, standby) = (driver.link("a"), driver.link("b"))
        for _ in 0..<6 {
            driver.now = driver.now + .seconds(1)
            driver.receive("a", .pong(1))
            driver.feed(.timePassed)
        }
        #expect(driver.up == ["rly_a"])
        #expect(driver.actions.contains(.closeLink(standby)))
        #expect(driver.actions.contains(.closeParked(standby)))
        #expect(!driver.actions.contains(.closeParked(owner)))
    }

    @Test func whenTheOwnerGoesTheStandbyServesAndTheQuestionIsNotInAHurry() {
        var waits: [Int] = []
        for seed in 0..<200 as Range<UInt64> {
            var driver = SessionDriver.paired(seed: seed)
            let owner = driver.link("a")
            driver.breakLink("a")
            #expect(
                driver.actions == [
                    .closeParked(owner), .tell(.migrated(address: address, relay: "rly_b", lost: "rly_a")),
                ])
            waits.append(driver.passToQuestion().count)
            #expect(driver.question == SessionDriver.ask("a"))
        }
        #expect((waits.max() ?? 0) > 9_000 && (waits.max() ?? 0) <= 10_000)
        #expect((waits.min() ?? 0) < 1_000)
    }

    @Test func thePromotedStandbyKeepsItsLinkAndANewStandbyIsDialled() {
        var driver = SessionDriver.paired()
        let link = driver.link("b")
        driver.breakLink("a")
        driver.passToQuestion()
        driver.place(SessionDriver.placement(2, "b", "c"))
        // The next one waits for the owner's WELCOME.
        #expect(driver.actions == [.send(link, .hello(ticket: "ticket-b-2"))])
        driver.welcome("b")
        #expect(driver.notices.isEmpty)
        #expect(driver.dialled?.relay == "rly_c")
        driver.welcome("c")
        #expect(driver.up == ["rly_b", "rly_c"])
        #expect(driver.link("b") == link)
        #expect(driver.session.nextAsk == nil)
        #expect(driver.session.unreachable.isEmpty)
    }

    @Test func whenTheStandbyGoesTheOwnerStaysAndNobodyIsAlarmed() {
        var driver = SessionDriver.paired()
        driver.breakLink("b")
        #expect(
            driver.notices == [
                .standbyLost(relay: "rly_b", reason: "the link to relay rly_b broke: reset")
            ])
        #expect(driver.notices.allSatisfy { $0.text.isEmpty })
        let wait = driver.passToQuestion()
        #expect(wait <= .seconds(10))
        #expect(driver.question == SessionDriver.ask("b"))
        driver.place(SessionDriver.placement(2, "a", "c"))
        driver.welcome("a")
        driver.welcome("c")
        #expect(driver.up == ["rly_a", "rly_c"])
        #expect(driver.notices == [.standbyUp(relay: "rly_c")])
    }

    @Test func aStandbyThatCannotBeReachedIsAskedAboutMoreAndMoreRarely() {
        var driver = SessionDriver.asking()
        driver.place(SessionDriver.onAWithB)
        driver.welcome("a")
        var total = Milliseconds(0)
        for generation in 1...20 {
            driver.breakLink("b", "refused")
            #expect(driver.notices.isEmpty)
            total = Milliseconds(total.count + driver.passToQuestion().count)
            #expect(driver.excluded == ["rly_b"])
            driver.place(SessionDriver.placement(generation, "a", "b"))
            driver.welcome("a")
        }
        #expect(total > .minutes(20))
    }

    @Test func withoutAnotherRelayTheOwnerAloneIsEnough() {
        var driver = SessionDriver.paired()
        driver.breakLink("b")
        driver.passToQuestion()
        driver.place(SessionDriver.placement(2, "a"))
        driver.welcome("a")
        #expect(driver.session.nextAsk == nil)
        driver.live(.minutes(60))
        #expect(driver.question == nil)
    }

    @Test func whenBothGoItIsUrgentAndBothAreAvoided() {
        for seed in 0..<50 as Range<UInt64> {
            var driver = SessionDriver.paired(seed: seed)
            driver.breakLink("a")
            driver.breakLink("b")
            #expect(driver.reason == "the link to relay rly_b broke: reset")
            #expect(driver.passToQuestion() <= .seconds(1))
            #expect(driver.question == SessionDriver.ask("a", "b"))
        }
    }

    @Test func withTheControlPlaneAwayBothTicketsServeForComingBack() {
        var driver = SessionDriver.paired()
        driver.breakLink("a")
        driver.breakLink("b")
        driver.passToQuestion()
        driver.answer(.failure(.away))
        #expect(driver.session.links.map { $0.relay } == ["rly_a", "rly_b"])
        driver.breakLink("a", "refused")
        #expect(driver.notices.isEmpty)
        driver.welcome("b")
        #expect(
            driver.notices == [
                .standbyUp(relay: "rly_b"),
                .ready(address: address, relay: "rly_b", region: "eu", again: true),
            ])
        driver.passToQuestion()
        // It was our own guess that they might be there.
        #expect(driver.question == SessionDriver.ask())
        driver.answer(.failure(.away))
        #expect(driver.dialled?.relay == "rly_a")
        driver.welcome("a")
        #expect(driver.notices == [.migrated(address: address, relay: "rly_a")])
        #expect(driver.session.nextAsk == nil)
    }

    @Test func withTheControlPlaneAwayAStandbyKeepsServingQuietly() {
        var driver = SessionDriver.paired()
        driver.breakLink("a")
        for _ in 0..<10 {
            driver.passToQuestion()
            driver.answer(.failure(.away))
            #expect(driver.notices.isEmpty)
            driver.breakLink("a", "refused")
            #expect(driver.notices.isEmpty)
        }
        #expect(driver.up == ["rly_b"])
    }

    @Test func aTicketThatIsRefusedOnRenewalCostsOnlyThatLink() {
        var driver = SessionDriver.paired()
        driver.receive("a", .migrate(within: Milliseconds(0), leave: false))
        driver.passToQuestion()
        driver.place(SessionDriver.placement(2, "a", "b"))
        driver.welcome("a")
        driver.goAway("b", .ticketRefused)
        #expect(driver.up == ["rly_a"])
        driver.passToQuestion()
        #expect(driver.question == SessionDriver.ask())
    }

    @Test(arguments: [GoAwayReason.replaced, .revoked])
    func aFinalWordOnTheStandbysLinkIsFinal(_ reason: GoAwayReason) {
        var driver = SessionDriver.paired()
        let owner = driver.link("a")
        driver.goAway("b", reason)
        #expect(driver.actions.contains(.closeLink(owner)))
        #expect(driver.exitCode == 1)
    }

    @Test func aStandbyThatDiesWhileItIsDialledIsReplaced() {
        var driver = SessionDriver.asking()
        driver.place(SessionDriver.onAWithB)
        driver.welcome("a")
        driver.breakLink("a")
        // Nothing serves yet, although the standby may be up in a moment.
        #expect(driver.wait.map { $0 <= .seconds(1) } == true)
        driver.welcome("b")
        #expect(
            driver.notices.contains(.ready(address: address, relay: "rly_b", region: "eu", again: true)))
        driver.passToQuestion()
        #expect(driver.question == SessionDriver.ask("a"))
    }

    @Test func stoppingSaysGoodbyeOnBothLinks() {
        var driver = SessionDriver.paired()
        let bye = LinkFrame.goAway(reconnectIn: Milliseconds(0), .stopping)
        let (owner, standby) = (driver.link("a"), driver.link("b"))
        driver.feed(.interrupted)
        #expect(
            driver.actions == [
                .tell(.stopping(players: 0)), .send(owner, bye), .closeLink(owner), .send(standby, bye),
                .closeLink(standby), .exit(0),
            ])
    }
}
