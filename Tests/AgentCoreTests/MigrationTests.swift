import Core
import Testing
import Wire

@testable import AgentCore

struct MigrationTests {
    @Test func theNewLinkIsUpBeforeTheOldOneGoes() {
        var driver = SessionDriver.online()
        let old = driver.activeLink ?? LinkID(0)
        driver.feed(.received(old, .migrate(within: .seconds(30), leave: true)))
        #expect(driver.question == .place(tunnel: "tun_1", session: "ses_1", exclude: ["rly_a"]))
        driver.answer(.success(.placed(SessionDriver.relayB)))
        #expect(driver.activeLink == old)
        driver.feed(.received(old, .open(nonce(1)!, Rendezvous(relay: "rly_a", endpoint: "192.0.2.1:7000"))))
        #expect(driver.actions.count == 1)
        driver.welcome()
        #expect(
            driver.actions == [
                .send(old, .goAway(reconnectIn: Milliseconds(0), .stopping)), .closeLink(old),
                .closeParked(old),
                .tell(.migrated(address: "sleepy-creeper.eu.dvv.one", relay: "rly_b")),
            ])
        #expect(driver.session.active?.placement == SessionDriver.relayB)
    }

    @Test func aMoveThatFailsIsTriedAgainWhileTheOldLinkServes() {
        var driver = SessionDriver.online()
        let old = driver.activeLink ?? LinkID(0)
        driver.feed(.received(old, .migrate(within: .seconds(30), leave: true)))
        driver.answer(.success(.placed(SessionDriver.relayB)))
        driver.feed(.linkClosed(driver.dialled?.0 ?? LinkID(0), reason: "refused"))
        #expect(driver.activeLink == old)
        driver.passToDeadline()
        #expect(
            driver.question == .place(tunnel: "tun_1", session: "ses_1", exclude: ["rly_b", "rly_a"]))
    }

    @Test func withNowhereToGoTheOldLinkStays() {
        var driver = SessionDriver.online()
        let old = driver.activeLink ?? LinkID(0)
        driver.feed(.received(old, .migrate(within: .seconds(30), leave: true)))
        driver.answer(.success(.placed(SessionDriver.relayA)))
        #expect(driver.dialled == nil)
        #expect(driver.activeLink == old)
        #expect(driver.wait != nil)
    }

    @Test func anOldLinkThatEndsMeanwhileDoesNotDisturbTheMove() {
        var driver = SessionDriver.online()
        let old = driver.activeLink ?? LinkID(0)
        driver.feed(.received(old, .migrate(within: .seconds(30), leave: true)))
        driver.answer(.success(.placed(SessionDriver.relayB)))
        driver.feed(.received(old, .goAway(reconnectIn: .seconds(1), .draining)))
        #expect(driver.actions == [.closeLink(old), .closeParked(old)])
        driver.welcome()
        #expect(driver.session.active?.placement == SessionDriver.relayB)
    }

    @Test func aSecondMigrateDoesNotStartASecondMove() {
        var driver = SessionDriver.online()
        let old = driver.activeLink ?? LinkID(0)
        driver.feed(.received(old, .migrate(within: .seconds(30), leave: true)))
        driver.feed(.received(old, .migrate(within: .seconds(20), leave: true)))
        #expect(driver.actions.isEmpty)
    }

    @Test func movingWithTheControlPlaneAwayWaitsInsteadOfDiallingTheOldRelay() {
        var driver = SessionDriver.online()
        driver.feed(.received(driver.activeLink ?? LinkID(0), .migrate(within: .seconds(30), leave: true)))
        driver.answer(.failure(.unreachable("away")))
        #expect(driver.dialled == nil)
        #expect(driver.wait != nil)
    }
}
