import Core
import Testing
import Wire

@testable import AgentCore

/// Another session takes the tunnel while players are here.
struct ReplacedTests {
    private let steve = Visit(id: 1, player: PlayerAddress(host: "203.0.113.7", port: 51413)!, name: "Steve")
    private let failure = AgentFailure.replaced(address: SessionDriver.address)

    private func replaced() -> SessionDriver {
        var driver = SessionDriver.paired()
        driver.feed(.playerJoined(steve))
        driver.goAway("b", .replaced)
        return driver
    }

    @Test func itStopsServingAndItsPlayersPlayOn() {
        var driver = SessionDriver.paired()
        driver.feed(.playerJoined(steve))
        let (owner, standby) = (driver.link("a"), driver.link("b"))
        driver.goAway("b", .replaced)
        for action: AgentSession.Action in [
            .closeLink(owner), .closeLink(standby), .closeParked(owner), .closeParked(standby),
        ] {
            #expect(driver.actions.contains(action))
        }
        #expect(driver.notices == [.failed(failure), .finishing(players: 1, limit: .minutes(10))])
        #expect(driver.exitCode == nil)
        #expect(driver.session.deadline == driver.now + .minutes(10))
        driver.feed(.received(owner, .welcome(.none)))
        #expect(driver.actions.isEmpty)
        driver.feed(.playerLeft(1))
        #expect(driver.notices.last == .stopping(players: 0))
        #expect(driver.exitCode == 1)
    }

    @Test func theControlPlanesWordCountsTheSame() {
        var driver = SessionDriver.online()
        driver.feed(.playerJoined(steve))
        driver.breakLink("a")
        driver.passToQuestion()
        driver.answer(.failure(.refused(Refusal(status: 409, code: "session-replaced", detail: "d"))))
        #expect(driver.failure == failure)
        #expect(driver.exitCode == nil)
    }

    @Test func tenMinutesAreEnough() {
        var driver = replaced()
        driver.pass(Milliseconds(599_999))
        #expect(driver.actions.isEmpty)
        driver.pass(Milliseconds(1))
        #expect(driver.actions == [.tell(.stopping(players: 1)), .exit(1)])
    }

    @Test func aPersonWhoWantsItToEndGetsIt() {
        var driver = replaced()
        driver.feed(.interrupted)
        #expect(driver.actions == [.tell(.stopping(players: 1)), .exit(1)])
        driver.feed(.interrupted)
        #expect(driver.actions == [.exit(0)])
    }

    @Test func withoutPlayersItEndsAtOnce() {
        var driver = SessionDriver.paired()
        driver.goAway("a", .replaced)
        #expect(driver.failure == failure)
        #expect(driver.exitCode == 1)
    }

    @Test func revocationLetsNobodyFinish() {
        var driver = SessionDriver.paired()
        driver.feed(.playerJoined(steve))
        driver.goAway("a", .revoked)
        #expect(driver.exitCode == 1)
    }

    @Test func theWordsSayHowLong() {
        #expect(
            Notice.finishing(players: 2, limit: .minutes(10)).text
                == "2 players play on until they leave, for 10 min at most. Ctrl-C ends at once.\n")
        #expect(
            Notice.finishing(players: 1, limit: .minutes(10)).json.text
                == #"{"event":"finishing","players":1,"at_most_s":600}"#)
    }
}
