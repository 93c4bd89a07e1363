import Core
import Testing
import Wire

@testable import AgentCore

/// A tunnel that was closed for want of players.
struct SleepTests {
    private func asleep(canWake: Bool) -> SessionDriver {
        var driver = SessionDriver.online(limits: Limits(idle_timeout_s: 1800), canWake: canWake)
        driver.feed(
            .received(driver.activeLink ?? LinkID(0), .goAway(reconnectIn: Milliseconds(500), .idle)))
        return driver
    }

    @Test func inATerminalItWaitsForEnterAndOpensAgain() {
        var driver = asleep(canWake: true)
        #expect(
            driver.notices == [
                .asleep(address: "sleepy-creeper.eu.dvv.one", idle_s: 1800, canWake: true)
            ])
        #expect(driver.actions.contains(.awaitWake))
        #expect(driver.exitCode == nil)
        #expect(driver.session.deadline == nil)
        driver.pass(.minutes(600))
        #expect(driver.actions.isEmpty)
        driver.feed(.woken)
        #expect(driver.question == .place(tunnel: "tun_1", session: "ses_1", exclude: []))
        driver.answer(.success(.placed(SessionDriver.onA)))
        driver.welcome()
        #expect(driver.activeLink != nil)
        driver.feed(.woken)
        #expect(driver.actions.isEmpty)
    }

    @Test func withoutATerminalItEndsWithACodeOfItsOwn() {
        let driver = asleep(canWake: false)
        #expect(driver.notices.count == 1)
        #expect(driver.exitCode == 3)
    }

    @Test func bothLinksGoWithTheOwnersWord() {
        var driver = SessionDriver.paired(limits: Limits(idle_timeout_s: 1800), canWake: true)
        let (owner, standby) = (driver.link("a"), driver.link("b"))
        driver.goAway("a", .idle)
        #expect(
            driver.actions == [
                .closeLink(owner), .closeParked(owner),
                .send(standby, .goAway(reconnectIn: Milliseconds(0), .stopping)), .closeLink(standby),
                .closeParked(standby),
                .tell(.asleep(address: "sleepy-creeper.eu.dvv.one", idle_s: 1800, canWake: true)), .awaitWake,
            ])
        #expect(driver.session.deadline == nil)
        driver.feed(.woken)
        driver.place(SessionDriver.onAWithB)
        driver.welcome("a")
        driver.welcome("b")
        #expect(driver.up == ["rly_a", "rly_b"])
    }

    @Test func theStandbysWordIsNotEnough() {
        var driver = SessionDriver.paired(canWake: true)
        driver.goAway("b", .idle)
        #expect(!driver.actions.contains(.awaitWake))
        #expect(driver.up == ["rly_a"])
    }

    /// The owner is gone, and the standby may own the tunnel by now.
    @Test func theWordOfTheLastLinkCounts() {
        var driver = SessionDriver.paired(canWake: true)
        driver.breakLink("a")
        driver.goAway("b", .idle)
        #expect(driver.actions.contains(.awaitWake))
    }

    @Test func ctrlCEndsASleepingAgent() {
        var driver = asleep(canWake: true)
        driver.feed(.interrupted)
        #expect(driver.exitCode == 0)
    }

    @Test func playersWhoAreStillThereKeepItGoing() throws {
        var driver = SessionDriver.online(limits: Limits(idle_timeout_s: 1800))
        let address = try #require(PlayerAddress(host: "203.0.113.7", port: 51413))
        driver.feed(.playerJoined(Visit(id: 1, player: address, name: nil)))
        driver.feed(
            .received(driver.activeLink ?? LinkID(0), .goAway(reconnectIn: Milliseconds(500), .idle)))
        #expect(driver.exitCode == nil)
        #expect(driver.wait != nil)
    }

    @Test func theWordsSayWhatToDo() {
        let waiting = Notice.asleep(address: "a.eu.dvv.one", idle_s: 1800, canWake: true)
        #expect(
            waiting.text.hasPrefix("Closed after 30 minutes without a player: nobody can join a.eu.dvv.one"))
        #expect(waiting.text.contains("Press Enter to open it again"))
        let ending = Notice.asleep(address: "a.eu.dvv.one", idle_s: nil, canWake: false)
        #expect(ending.text.contains("Start the agent again when you want to play."))
        #expect(
            ending.json.text
                == #"{"event":"asleep","address":"a.eu.dvv.one","idle_s":null,"waits_for_enter":false}"#)
    }
}
