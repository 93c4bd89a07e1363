import Core
import Testing
import Wire

@testable import AgentCore

struct WatchdogTests {
    @Test func aQuietLinkIsAsked() {
        var driver = SessionDriver.online()
        let link = driver.activeLink ?? LinkID(0)
        #expect(driver.session.deadline == driver.now + .seconds(2))
        driver.pass(.seconds(2))
        #expect(driver.actions == [.send(link, .ping(1))])
        driver.feed(.received(link, .pong(1)))
        driver.pass(Milliseconds(1999))
        #expect(driver.actions.isEmpty)
        driver.pass(Milliseconds(1))
        #expect(driver.actions == [.send(link, .ping(2))])
    }

    @Test func aSilentLinkIsGivenUpAfterSixSeconds() {
        var driver = SessionDriver.online()
        let link = driver.activeLink ?? LinkID(0)
        let start = driver.now
        while driver.activeLink != nil { driver.pass(Milliseconds(100)) }
        #expect(driver.now.since(start) == .seconds(6))
        #expect(driver.actions.contains(.closeLink(link)))
        #expect(driver.actions.contains(.closeParked(link)))
        #expect(driver.reason?.contains("no sign of life") == true)
        // Its kernel may still accept what nobody will answer.
        driver.passToDeadline()
        #expect(driver.question == .place(tunnel: "tun_1", session: "ses_1", exclude: ["rly_a"]))
    }

    @Test func theRelaysPingIsAnswered() {
        var driver = SessionDriver.online()
        let link = driver.activeLink ?? LinkID(0)
        driver.feed(.received(link, .ping(99)))
        #expect(driver.actions == [.send(link, .pong(99))])
    }

    @Test func aTimerThatComesEarlyDoesNothing() {
        var driver = SessionDriver.online()
        driver.pass(Milliseconds(1))
        #expect(driver.actions.isEmpty)
    }
}
