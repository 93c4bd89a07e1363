import Core
import Testing
import Wire

@testable import AgentCore

struct LinkTests {
    @Test func theTicketGoesOutFirstAndWelcomeMakesTheAddressReady() {
        var driver = SessionDriver()
        driver.feed(.start)
        driver.answer(.success(.tunnels([SessionDriver.tunnel], next: nil)))
        driver.answer(.success(.placed(SessionDriver.relayA)))
        #expect(driver.notices == [.connecting(relay: "rly_a")])
        guard let (link, placement) = driver.dialled else {
            Issue.record("nothing was dialled")
            return
        }
        #expect(driver.actions.contains(.dial(link, placement)))
        driver.feed(.linkOpened(link))
        #expect(driver.actions == [.send(link, .hello(ticket: "ticket-a"))])
        driver.feed(.received(link, .welcome(.none)))
        #expect(
            driver.notices == [
                .ready(address: "sleepy-creeper.eu.dvv.one", relay: "rly_a", region: "eu")
            ])
        #expect(driver.activeLink == link)
    }

    @Test func aBrokenLinkComesBackWithAFreshTicket() {
        var driver = SessionDriver.online()
        driver.now = driver.now + .minutes(1)
        driver.feed(.linkClosed(driver.activeLink ?? LinkID(0), reason: "reset"))
        #expect(driver.wait.map { $0 <= Milliseconds(500) } == true)
        #expect(driver.reason == "the link to relay rly_a broke: reset")
        driver.passToDeadline()
        #expect(driver.question == .place(tunnel: "tun_1", session: "ses_1", exclude: []))
        driver.answer(.success(.placed(SessionDriver.relayB)))
        driver.welcome()
        #expect(driver.notices.count == 1)
        #expect(driver.session.active?.placement == SessionDriver.relayB)
    }

    @Test func withTheControlPlaneAwayTheSameRelayIsTriedWithTheSameTicket() {
        for failure in [
            ControlFailure.unreachable("refused"), .unreadable("502"),
            .refused(Refusal(status: 503, code: "unavailable", detail: "d", retryAfter: .seconds(60))),
        ] {
            var driver = SessionDriver.online()
            driver.feed(.linkClosed(driver.activeLink ?? LinkID(0), reason: "reset"))
            driver.passToDeadline()
            driver.answer(.failure(failure))
            #expect(driver.dialled?.1 == SessionDriver.relayA)
            driver.welcome()
            #expect(driver.session.active?.placement == SessionDriver.relayA)
        }
    }

    @Test func relaysThatCannotBeReachedAreNamedToTheControlPlane() {
        var driver = SessionDriver.online()
        driver.feed(.linkClosed(driver.activeLink ?? LinkID(0), reason: "reset"))
        driver.passToDeadline()
        driver.answer(.success(.placed(SessionDriver.relayA)))
        driver.feed(.linkClosed(driver.dialled?.0 ?? LinkID(0), reason: "refused"))
        #expect(driver.reason == "relay rly_a cannot be reached: refused")
        driver.passToDeadline()
        #expect(driver.question == .place(tunnel: "tun_1", session: "ses_1", exclude: ["rly_a"]))
        driver.answer(.success(.placed(SessionDriver.relayB)))
        driver.welcome()
        driver.feed(.linkClosed(driver.activeLink ?? LinkID(0), reason: "reset"))
        driver.passToDeadline()
        #expect(driver.question == .place(tunnel: "tun_1", session: "ses_1", exclude: []))
    }

    @Test func whenNothingElseIsLeftAnExcludedRelayWillDo() {
        var driver = SessionDriver.online()
        driver.feed(.linkClosed(driver.activeLink ?? LinkID(0), reason: "reset"))
        driver.passToDeadline()
        driver.answer(.success(.placed(SessionDriver.relayA)))
        driver.feed(.linkClosed(driver.dialled?.0 ?? LinkID(0), reason: "refused"))
        driver.passToDeadline()
        driver.answer(.failure(.refused(Refusal(status: 503, code: "no-relay", detail: "none"))))
        driver.feed(.linkClosed(driver.dialled?.0 ?? LinkID(0), reason: "refused"))
        driver.passToDeadline()
        // The relay that was tried again since then is the only one named.
        #expect(driver.question == .place(tunnel: "tun_1", session: "ses_1", exclude: ["rly_a"]))
        driver.answer(.failure(.refused(Refusal(status: 503, code: "no-relay", detail: "none"))))
        #expect(driver.session.unreachable.isEmpty)
    }

    @Test func theFirstRelayThatCannotBeReachedCostsNoWaitFurtherOnesDo() {
        var driver = SessionDriver.online()
        driver.feed(.linkClosed(driver.activeLink ?? LinkID(0), reason: "reset"))
        var waits: [Int] = []
        for _ in 0..<12 {
            driver.passToDeadline()
            driver.answer(.failure(.refused(Refusal(status: 503, code: "no-relay", detail: "none"))))
            driver.feed(.linkClosed(driver.dialled?.0 ?? LinkID(0), reason: "refused"))
            waits.append(driver.wait?.count ?? -1)
        }
        #expect(waits.first == 0)
        #expect(waits.dropFirst().reduce(0, +) > 10_000)
    }

    @Test func aRelayThatNeverWelcomesIsGivenUpAfterEightSeconds() {
        var driver = SessionDriver()
        driver.feed(.start)
        driver.answer(.success(.tunnels([SessionDriver.tunnel], next: nil)))
        driver.answer(.success(.placed(SessionDriver.relayA)))
        let link = driver.dialled?.0 ?? LinkID(0)
        driver.pass(Milliseconds(7_999))
        #expect(driver.actions.isEmpty)
        driver.pass(Milliseconds(1))
        #expect(driver.actions.first == .closeLink(link))
        #expect(driver.session.unreachable == ["rly_a"])
        driver.feed(.received(link, .welcome(.none)))
        #expect(driver.actions.isEmpty)
    }

    @Test func aRefusedTicketIsNotTriedTwice() {
        var driver = SessionDriver()
        driver.feed(.start)
        driver.answer(.success(.tunnels([SessionDriver.tunnel], next: nil)))
        driver.answer(.success(.placed(SessionDriver.relayA)))
        let link = driver.dialled?.0 ?? LinkID(0)
        driver.feed(.linkOpened(link))
        driver.feed(.received(link, .goAway(reconnectIn: Milliseconds(0), .ticketRefused)))
        #expect(driver.actions.first == .closeLink(link))
        driver.passToDeadline()
        #expect(driver.question == .place(tunnel: "tun_1", session: "ses_1", exclude: []))
        driver.answer(.failure(.unreachable("away")))
        #expect(driver.dialled == nil)
        #expect(driver.wait != nil)
    }

    @Test(arguments: [GoAwayReason.replaced, .revoked])
    func aFinalGoAwayEndsInsteadOfFighting(_ reason: GoAwayReason) {
        var driver = SessionDriver.online()
        driver.feed(.received(driver.activeLink ?? LinkID(0), .goAway(reconnectIn: .seconds(1), reason)))
        #expect(driver.exitCode == 1)
        #expect(driver.failure != nil)
        #expect(driver.session.deadline == nil)
        driver.pass(.minutes(10))
        #expect(driver.actions.isEmpty)
    }

    @Test func goAwaySaysWhenToComeBack() {
        for seed in 0..<50 as Range<UInt64> {
            var driver = SessionDriver.online(seed: seed)
            let link = driver.activeLink ?? LinkID(0)
            driver.feed(.received(link, .goAway(reconnectIn: .seconds(3), .draining)))
            #expect(driver.actions.contains(.closeLink(link)))
            let wait = driver.wait ?? Milliseconds(0)
            #expect(wait >= .seconds(3) && wait <= .seconds(6))
        }
    }

    @Test(arguments: [GoAwayReason.overloaded, .draining, .stopping])
    func aRelayThatCannotKeepUsIsNamedWhenAskingForAnother(_ reason: GoAwayReason) {
        var driver = SessionDriver.online()
        driver.feed(.received(driver.activeLink ?? LinkID(0), .goAway(reconnectIn: Milliseconds(0), reason)))
        driver.passToDeadline()
        #expect(driver.question == .place(tunnel: "tun_1", session: "ses_1", exclude: ["rly_a"]))
    }

    @Test func retryAfterIsHonoured() {
        var driver = SessionDriver()
        driver.feed(.start)
        driver.answer(.success(.tunnels([SessionDriver.tunnel], next: nil)))
        driver.answer(
            .failure(
                .refused(Refusal(status: 429, code: "quota-exceeded", detail: "d", retryAfter: .seconds(20))))
        )
        #expect(driver.wait.map { $0 >= .seconds(20) && $0 <= .seconds(25) } == true)
    }

    @Test func aDeletedTunnelEndsTheAgent() {
        var driver = SessionDriver.online()
        driver.feed(.linkClosed(driver.activeLink ?? LinkID(0), reason: "reset"))
        driver.passToDeadline()
        driver.answer(.failure(.refused(Refusal(status: 404, code: "not-found", detail: "d"))))
        #expect(driver.failure == .tunnelGone(address: "sleepy-creeper.eu.dvv.one"))
    }

    @Test func waitsGrowToThirtySecondsWithFullJitter() {
        var longest: [Int] = []
        for attempt in 0..<10 {
            var most = 0
            var least = Int.max
            for seed in 0..<200 as Range<UInt64> {
                var backoff = Backoff(seed: seed)
                for _ in 0..<attempt { _ = backoff.next() }
                let wait = backoff.next().count
                most = max(most, wait)
                least = min(least, wait)
            }
            let limit = min(30_000, 500 << attempt)
            #expect(most <= limit && most > limit * 9 / 10)
            #expect(least < limit / 10)
            longest.append(most)
        }
        #expect(longest.last.map { $0 <= 30_000 } == true)
    }

    @Test func aLinkThatDoesNotLastKeepsTheWaitGrowing() {
        var driver = SessionDriver.online()
        var waits: [Int] = []
        for _ in 0..<8 {
            driver.feed(.linkClosed(driver.activeLink ?? LinkID(0), reason: "reset"))
            waits.append(driver.wait?.count ?? 0)
            driver.passToDeadline()
            driver.answer(.success(.placed(SessionDriver.relayA)))
            driver.welcome()
        }
        #expect((waits.max() ?? 0) > 2000)
        driver.pass(.seconds(2))
        driver.feed(.received(driver.activeLink ?? LinkID(0), .ping(1)))
        driver.now = driver.now + .seconds(9)
        driver.feed(.linkClosed(driver.activeLink ?? LinkID(0), reason: "reset"))
        #expect(driver.wait.map { $0 <= Milliseconds(500) } == true)
    }
}
