import Core
import Crypto
import IO
import Testing
import Wire

@testable import Relay
@testable import RelayCore

@Suite(.timeLimit(.minutes(2)))
struct LinkTests {
    @Test func ticketsThatAreNotGoodHereAreRefused() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let stranger = try Ed25519PrivateKey(seed: SecureRandom.bytes(32))
            let tickets = [
                "garbage", "",
                relay.ticket("home", signedBy: stranger),
                relay.ticket("home", relay: "rly_other"),
                relay.ticket("other", age_s: 3600),
                relay.ticket("home", age_s: 2 * 86_400),
            ]
            for ticket in tickets {
                let agent = try FakeAgent(relay, ticket: ticket)
                #expect(try agent.goAway() == .ticketRefused)
            }
            #expect(relay.context.metrics.linkRefused.total == tickets.count)
            relay.expectEmpty()
        }
    }

    @Test func anOldGenerationIsSentForItsCurrentPlacement() throws {
        try TestRelay.with { relay in
            relay.assign("home", generation: 5)
            let agent = try FakeAgent(relay, ticket: relay.ticket("home", generation: 4))
            #expect(try agent.goAway() == .staleGeneration)
            relay.expectEmpty()
        }
    }

    @Test func anOldGenerationIsRefusedAlsoWhenOnlyATicketToldOfTheNewOne() throws {
        try TestRelay.with { relay in
            let new = try FakeAgent.up(relay, "home", generation: 2, session: "ses_2")
            let old = try FakeAgent(relay, ticket: relay.ticket("home", generation: 1))
            #expect(try old.goAway() == .staleGeneration)
            try new.send(.ping(5))
            #expect(try new.next() == .pong(5))
        }
    }

    @Test func theNewestSessionWinsAndTheLoserIsToldToStop() throws {
        try TestRelay.with { relay in
            relay.assign("home", generation: 1)
            let old = try FakeAgent.up(relay, "home", generation: 1, session: "ses_1")
            let new = try FakeAgent.up(relay, "home", generation: 2, session: "ses_2")
            #expect(try old.goAway() == .replaced)
            let player = try relay.player()
            try player.send(Client.login("home"))
            _ = try new.nonceToOpen()
            #expect(relay.context.metrics.links.current == 1)
        }
    }

    @Test func anAgentThatComesBackWithItsOwnSessionIsNotToldToStop() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let before = try FakeAgent.up(relay, "home")
            let after = try FakeAgent.up(relay, "home")
            #expect(try before.goAway() == .unspecified)
            try after.send(.ping(1))
            #expect(try after.next() == .pong(1))
        }
    }

    @Test(arguments: [TestRelay.id, "rly_other"])
    func anotherSessionsPlacementSendsTheLinkAway(owner: String) throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            relay.assign("home", owner: owner, generation: 2, session: "ses_2")
            #expect(try agent.goAway() == .replaced)
            relay.expectEmpty()
            // What the control plane hears is about the link that was here, not about the placement after it.
            #expect(
                relay.context.links.take(limit: 10)
                    == [LinkNews.Change(tunnel: "t-home", generation: 1, isUp: false)])
        }
    }

    /// Promise: the link stays up until the new ones are; only then it is let go.
    @Test func aPlacementThatWentElsewhereAsksTheAgentToFollowAndServesMeanwhile() throws {
        var patience = RelayPatience()
        patience.leaving = Milliseconds(300)
        try TestRelay.with(patience: patience) { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            relay.assign("home", owner: "rly_other", generation: 2)
            guard case .migrate(_, leave: true) = try agent.next() else {
                Issue.record("no MIGRATE came")
                return
            }
            let player = try relay.player()
            try player.send(Client.login("home"))
            _ = try agent.nonceToOpen()
            // Its agent did not move.
            #expect(try agent.goAway() == .staleGeneration)
            player.close()
            relay.expectEmpty()
        }
    }

    @Test func aPlacementThatKeepsTheRelayIsToldOnceAndKeepsTheLink() throws {
        var patience = RelayPatience()
        patience.leaving = Milliseconds(0)
        try TestRelay.with(patience: patience) { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            relay.assign("home", generation: 2, limits: Limits(players: 3))
            guard case .migrate(_, leave: false) = try agent.next() else {
                Issue.record("no MIGRATE came")
                return
            }
            #expect(try agent.next() == .limits(Limits(players: 3)))
            relay.assign("home", generation: 2, limits: Limits(players: 4))
            #expect(try agent.next() == .limits(Limits(players: 4)))
            try agent.send(.ping(1))
            #expect(try agent.next() == .pong(1))
        }
    }

    @Test func anOpenLinkTakesANewTicketOn() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            relay.assign("home", generation: 2, limits: Limits(players: 3))
            guard case .migrate(_, leave: false) = try agent.next() else {
                Issue.record("no MIGRATE came")
                return
            }
            #expect(try agent.next() == .limits(Limits(players: 3)))
            try agent.send(.hello(ticket: relay.ticket("home", generation: 2)))
            #expect(try agent.next() == .welcome(Limits(players: 3)))
            #expect(
                relay.context.links.take(limit: 10)
                    == [LinkNews.Change(tunnel: "t-home", generation: 2, isUp: true)])
            // Nothing else about the link changed, its parked connections included.
            let parked = try agent.park(agent.nonceToPark(), at: relay)
            try agent.send(.hello(ticket: relay.ticket("home", generation: 2)))
            #expect(try agent.next() == .welcome(Limits(players: 3)))
            #expect(relay.context.metrics.parked.current == 1)
            #expect(relay.context.metrics.links.current == 1)
            agent.close()
            #expect(try parked.readToEnd().isEmpty)
            relay.expectEmpty()
        }
    }

    @Test func aTicketOfAnotherTunnelOrSessionOrGenerationRenewsNothing() throws {
        try TestRelay.with { relay in
            relay.assign("home", generation: 2)
            relay.assign("other", generation: 2)
            for ticket in [
                relay.ticket("other", generation: 2), relay.ticket("home", generation: 2, session: "ses_2"),
                relay.ticket("home", generation: 1), "garbage",
            ] {
                let agent = try FakeAgent.up(relay, "home", generation: 2)
                try agent.send(.hello(ticket: ticket))
                #expect(try agent.goAway() == .ticketRefused)
            }
            relay.expectEmpty()
        }
    }

    @Test func aStandbysLinkServesPlayersAndNeverSleeps() throws {
        try TestRelay.with { relay in
            let limits = Limits(idle_timeout_s: 0)
            relay.assign("home", owner: "rly_other", standby: TestRelay.id, limits: limits)
            let agent = try FakeAgent(relay, ticket: relay.ticket("home", role: .standby, limits: limits))
            #expect(try agent.next() == .welcome(limits))
            let player = try relay.player()
            try player.send(Client.login("home"))
            let data = try agent.dial(agent.nonceToOpen())
            #expect(try data.readStart().routingName == "home.eu.example.org")
            player.close()
            try agent.send(.ping(1))
            while try agent.next() != .pong(1) {}
            #expect(relay.context.metrics.sleeps.total == 0)
            // The owner's role comes to this relay, and with it the clock that runs.
            relay.assign("home", owner: TestRelay.id, generation: 2, limits: limits)
            #expect(try agent.goAway() == .idle)
        }
    }

    @Test func aRoomAsksItsAgentToLeaveAsOftenAsItIsTold() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            for within in [3, 2] {
                relay.context.forEachLoop { relayLoop in
                    relayLoop.forEachRoom { $0.leave(within: .seconds(within)) }
                }
                #expect(try agent.next() == .migrate(within: .seconds(within), leave: true))
            }
        }
    }

    @Test func aSuspendedTunnelLosesItsLinkItsPlayersAndItsWayBack() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let player = try relay.player()
            try player.send(Client.login("home"))
            let data = try agent.dial(agent.nonceToOpen())
            try data.send(StartAnswer.ready.encode() + [1])
            _ = try player.read(1)
            relay.assign("home", state: .suspended)
            #expect(try agent.goAway() == .revoked)
            #expect(try player.readToEnd().isEmpty)
            let again = try FakeAgent(relay, ticket: relay.ticket("home"))
            #expect(try again.goAway() == .revoked)
            data.close()
            relay.expectEmpty()
        }
    }

    @Test func aDeletedTunnelLosesItsLinkAndItsTicketIsWorthNothing() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            relay.delete("home")
            #expect(try agent.goAway() == .revoked)
            let again = try FakeAgent(relay, ticket: relay.ticket("home"))
            #expect(try again.goAway() == .staleGeneration)
            relay.expectEmpty()
        }
    }

    @Test func whoeverDoesNotSayHelloFirstIsSentAway() throws {
        try TestRelay.with { relay in
            let wrong = try FakeAgent(relay, ticket: nil)
            try wrong.send(.ping(1))
            #expect(try wrong.goAway() == .protocolError)
            let oversized = try FakeAgent(relay, ticket: nil)
            try oversized.send(plain: [0x01, 0x01, 0xFF, 0xFF, 0xFF])
            #expect(try oversized.goAway() == .protocolError)
            relay.expectEmpty()
        }
    }

    @Test func framesOfNewerAgentsAreSkipped() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent(relay, ticket: nil)
            // Thousands of them, and one of the greatest size, before HELLO and after it.
            let unknown = [UInt8](repeating: 0, count: 5 * 3000).enumerated().map {
                $0.offset % 5 == 0 ? UInt8(0x7F) : 0
            }
            let large: [UInt8] = [0x7F, 0x01, 0x00, 0x40, 0x00] + [UInt8](repeating: 9, count: 0x4000)
            try agent.send(plain: unknown + large)
            try agent.send(.hello(ticket: relay.ticket("home")))
            #expect(try agent.next() == .welcome(.none))
            _ = try agent.nonceToPark()
            try agent.send(plain: unknown + large)
            try agent.send(.ping(3))
            #expect(try agent.next() == .pong(3))
        }
    }

    @Test func nonsenseOnALinkEndsItAndPlayersDoNotWaitForIt() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            try agent.send(plain: [0x01, 0x01, 0xFF, 0xFF, 0xFF])
            #expect(try agent.goAway() == .protocolError)
            relay.expectEmpty()
        }
    }

    @Test func anAgentThatSaysGoodbyeGetsNoMorePlayers() throws {
        var patience = RelayPatience()
        patience.desk.linkPatience = Milliseconds(0)
        try TestRelay.with(patience: patience) { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            try agent.send(.goAway(reconnectIn: .seconds(0), .stopping))
            try agent.waitForEnd()
            // The agent keeps its end of the connection open; the link is over all the same.
            let player = try relay.player()
            try player.send(Client.login("home"))
            #expect(try Client.kick(player.readToEnd()) == OfflineReason.agentAway.text(name: "home"))
            agent.close()
            relay.expectEmpty()
        }
    }

    @Test func aSilentLinkIsAskedAndGivenUp() throws {
        var patience = RelayPatience()
        patience.pulse = Milliseconds(50)
        patience.silence = Milliseconds(400)
        try TestRelay.with(patience: patience) { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            agent.answersPings = false
            guard case .ping = try agent.nextOfAny() else {
                Issue.record("no PING came")
                return
            }
            try agent.waitForEnd()
            relay.expectEmpty()
        }
    }

    @Test func aLinkThatAnswersLives() throws {
        var patience = RelayPatience()
        patience.pulse = Milliseconds(20)
        patience.silence = Milliseconds(2000)
        try TestRelay.with(patience: patience) { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            // PINGs come at least a pulse apart: these take longer than the silence that would end the link.
            for _ in 0..<150 {
                guard case .ping(let token) = try agent.nextOfAny() else {
                    Issue.record("something else than PING came")
                    return
                }
                try agent.send(.pong(token))
            }
            #expect(relay.context.metrics.links.current == 1)
        }
    }

    @Test func aPlayerWhoComesBeforeTheAssignmentWaitsForIt() throws {
        try TestRelay.with { relay in
            let agent = try FakeAgent.up(relay, "home")
            let player = try relay.player()
            try player.send(Client.login("home"))
            relay.assign("home")
            let data = try agent.dial(agent.nonceToOpen())
            #expect(try data.readStart().routingName == "home.eu.example.org")
        }
    }
}
