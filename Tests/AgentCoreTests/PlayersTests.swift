import Core
import Testing
import Wire

@testable import AgentCore

struct PlayersTests {
    private let rendezvous = Rendezvous(relay: "rly_x", endpoint: "192.0.2.9:7000")
    private let steve = PlayerAddress(host: "203.0.113.7", port: 51413)!

    @Test func parkAndOpenBringDataConnectionsToTheRendezvous() {
        var driver = SessionDriver.online()
        let link = driver.activeLink ?? LinkID(0)
        driver.feed(.received(link, .park([nonce(1)!, nonce(2)!], rendezvous)))
        #expect(
            driver.actions == [
                .bring(DataRequest(link: link, nonce: nonce(1)!, rendezvous: rendezvous, isParked: true)),
                .bring(DataRequest(link: link, nonce: nonce(2)!, rendezvous: rendezvous, isParked: true)),
            ])
        driver.feed(.received(link, .open(nonce(3)!, rendezvous)))
        #expect(
            driver.actions == [
                .bring(DataRequest(link: link, nonce: nonce(3)!, rendezvous: rendezvous, isParked: false))
            ])
    }

    @Test func framesBeforeWelcomeBringNothing() {
        var driver = SessionDriver()
        driver.feed(.start)
        driver.answer(.success(.tunnels([SessionDriver.tunnel], next: nil)))
        driver.answer(.success(.placed(SessionDriver.onA)))
        driver.feed(.received(driver.dialled?.id ?? LinkID(0), .open(nonce(1)!, rendezvous)))
        #expect(driver.actions.isEmpty)
    }

    @Test func anUnreachableRendezvousIsToldOnTheLink() {
        var driver = SessionDriver.online()
        let link = driver.activeLink ?? LinkID(0)
        driver.feed(.received(link, .open(nonce(3)!, rendezvous)))
        let request = DataRequest(link: link, nonce: nonce(3)!, rendezvous: rendezvous, isParked: false)
        driver.feed(.dataConnectionFailed(request, .rendezvousUnreachable))
        #expect(driver.actions == [.send(link, .refuse(nonce(3)!, rendezvous, .rendezvousUnreachable))])
    }

    @Test func moreThanTheAgentCanHoldIsRefusedAsBusy() {
        var driver = SessionDriver.online(maxDataConnections: 1)
        let link = driver.activeLink ?? LinkID(0)
        driver.feed(.received(link, .open(nonce(1)!, rendezvous)))
        driver.feed(.received(link, .open(nonce(2)!, rendezvous)))
        #expect(driver.actions == [.send(link, .refuse(nonce(2)!, rendezvous, .busy))])
        driver.feed(
            .dataConnectionEnded(
                DataRequest(link: link, nonce: nonce(1)!, rendezvous: rendezvous, isParked: false)))
        driver.feed(.received(link, .open(nonce(3)!, rendezvous)))
        #expect(driver.actions.count == 1)
        guard case .bring? = driver.actions.first else {
            Issue.record("not brought")
            return
        }
    }

    @Test func playersOutliveTheirLink() {
        var driver = SessionDriver.online()
        driver.feed(.playerJoined(Visit(id: 1, player: steve, name: "Steve")))
        #expect(driver.notices == [.playerJoined(Visit(id: 1, player: steve, name: "Steve"), players: 1)])
        let link = driver.activeLink ?? LinkID(0)
        driver.feed(.linkClosed(link, reason: "reset"))
        #expect(driver.actions.first == .closeParked(link))
        #expect(driver.session.playerCount == 1)
        driver.now = driver.now + .minutes(3)
        driver.feed(.playerLeft(1))
        #expect(
            driver.notices == [
                .playerLeft(Visit(id: 1, player: steve, name: "Steve"), players: 0, stay: .minutes(3))
            ])
    }

    @Test func aSilentLocalServerIsToldOnceAWhileAndItsReturnToo() {
        var driver = SessionDriver.online()
        driver.feed(.localServer(answers: false, forPlayer: true))
        #expect(driver.notices.count == 1)
        #expect(
            driver.notices.first?.text.contains(
                "nothing answers at 127.0.0.1:25565: is the Minecraft server running?") == true)
        driver.feed(.localServer(answers: false, forPlayer: true))
        #expect(driver.notices.isEmpty)
        driver.now = driver.now + .seconds(30)
        driver.feed(.localServer(answers: false, forPlayer: true))
        #expect(driver.notices.count == 1)
        driver.feed(.localServer(answers: true, forPlayer: true))
        #expect(driver.notices == [.localServerBack(driver.session.options.local)])
        driver.feed(.localServer(answers: true, forPlayer: true))
        #expect(driver.notices.isEmpty)
    }

    @Test func ctrlCEndsWithAWordToTheRelayAndASecondOneAtOnce() {
        var driver = SessionDriver.online()
        let link = driver.activeLink ?? LinkID(0)
        driver.feed(.interrupted)
        #expect(
            driver.actions == [
                .tell(.stopping(players: 0)), .send(link, .goAway(reconnectIn: Milliseconds(0), .stopping)),
                .closeLink(link), .exit(0),
            ])
        driver.feed(.interrupted)
        #expect(driver.actions == [.exit(0)])
    }

    @Test func newLimitsAreKept() {
        var driver = SessionDriver.online()
        driver.feed(.received(driver.activeLink ?? LinkID(0), .limits(Limits(players: 5))))
        #expect(driver.session.links.first?.limits.players == 5)
    }
}
