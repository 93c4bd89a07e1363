import Core
import IO
import RelayCore
import Testing
import Wire

@testable import Relay

/// What a revocation ends, and what plays on.
@Suite struct RevocationTests {
    /// A player who plays through `agent`'s tunnel; both ends.
    private func play(_ relay: TestRelay, _ agent: FakeAgent, _ name: String) throws -> (
        player: Peer, home: Peer
    ) {
        let player = try relay.player()
        try player.send(Client.login(name))
        let data = try agent.dial(agent.nonceToOpen())
        _ = try data.readStart()
        _ = try data.read(Client.login(name).count)
        try data.send(StartAnswer.ready.encode())
        try data.send([1])
        #expect(try player.read(1) == [1])
        return (player, data)
    }

    private func playsOn(_ game: (player: Peer, home: Peer)) throws {
        try game.player.send([2, 3])
        #expect(try game.home.read(2) == [2, 3])
        try game.home.send([4])
        #expect(try game.player.read(1) == [4])
    }

    @Test func aRevokedKeyDropsItsLinkItsParkedConnectionsAndItsPlayers() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            relay.assign("other")
            let agent = try FakeAgent.up(relay, "home")
            let other = try FakeAgent.up(relay, "other", agentKey: "agk_2")
            let game = try play(relay, agent, "home")
            let otherGame = try play(relay, other, "other")
            let parked = try agent.park(agent.nonceToPark(), at: relay)

            relay.assign("home", owner: nil, generation: 2, session: nil, revokedKeys: ["agk_1"])
            #expect(try agent.goAway() == .revoked)
            #expect(try game.player.readToEnd().isEmpty)
            #expect(try game.home.readToEnd().isEmpty)
            #expect(try parked.readToEnd().isEmpty)
            let late = try relay.player()
            try late.send(Client.login("home"))
            #expect(try Client.kick(late.readToEnd()) == OfflineReason.agentAway.text(name: "home"))
            try playsOn(otherGame)

            // Its ticket opens nothing any more, however new it claims to be.
            let again = try FakeAgent(relay, ticket: relay.ticket("home", generation: 9, session: "ses_9"))
            #expect(try again.goAway() == .revoked)
            otherGame.player.close()
            otherGame.home.close()
            other.close()
            relay.expectEmpty()
        }
    }

    @Test func aReplacedSessionsPlayersPlayOnUntilTheirKeyIsRevoked() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let first = try FakeAgent.up(relay, "home")
            let oldGame = try play(relay, first, "home")
            relay.assign("home", generation: 2, session: "ses_2")
            let second = try FakeAgent.up(
                relay, "home", generation: 2, session: "ses_2", agentKey: "agk_2")
            #expect(try first.goAway() == .replaced)
            let newGame = try play(relay, second, "home")
            try playsOn(oldGame)

            relay.assign("home", generation: 2, session: "ses_2", revokedKeys: ["agk_1"])
            #expect(try oldGame.player.readToEnd().isEmpty)
            try playsOn(newGame)
            #expect(relay.context.metrics.links.current == 1)
            newGame.player.close()
            newGame.home.close()
            oldGame.home.close()
            second.close()
            relay.expectEmpty()
        }
    }

    @Test(arguments: [true, false])
    func aDeletedOrSuspendedTunnelEndsItsPlayers(isDeleted: Bool) throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let game = try play(relay, agent, "home")
            if isDeleted { relay.delete("home") } else { relay.assign("home", state: .suspended) }
            #expect(try agent.goAway() == .revoked)
            #expect(try game.player.readToEnd().isEmpty)
            #expect(try game.home.readToEnd().isEmpty)
            let late = try relay.player()
            try late.send(Client.login("home"))
            let words: OfflineReason = isDeleted ? .unknownName : .suspended
            let name = isDeleted ? "home.eu.example.org" : "home"
            #expect(try Client.kick(late.readToEnd()) == words.text(name: name))
            relay.expectEmpty()
        }
    }
}
