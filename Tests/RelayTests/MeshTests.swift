import Core
import Crypto
import IO
import RelayCore
import TLS
import Testing
import Wire

@testable import Relay

/// Relays among themselves: any relay of a region takes any player of it.
@Suite(.timeLimit(.minutes(3)))
struct MeshTests {
    @Test func aPlayerReachesTheServerThroughAnyRelay() throws {
        try TestRegion.with(3) { region in
            region.assign("home", owner: 0)
            let agent = try region.agent("home", at: 0)
            for index in [1, 2, 0] {
                let game = try region.play("home", at: index, by: agent)
                #expect(region[index].context.metrics.players.current == 1)
                game.player.close()
                game.home.close()
                let look = try region[index].player()
                try look.send(Client.status("home"))
                let home = try agent.dial(agent.orderToOpen().nonce, at: region[index])
                _ = try home.readStart()
                look.close()
                // A look at the server list that is over: nobody else is to be asked.
                _ = try home.readToEnd()
            }
            // The bytes crossed the relay where the player was, and only that one counted them.
            for relay in region.relays {
                relay.eventually("nothing was counted") { relay.context.metrics.players.current == 0 }
                #expect(relay.context.metrics.joins.total == 1)
                #expect(relay.context.metrics.bytesToServers.total == Client.login("home").count + 2)
            }
        }
    }

    @Test func whenTheOwnerIsGoneTheStandbyOpensWithoutTheControlPlane() throws {
        try TestRegion.with(3) { region in
            region.assign("home", owner: 0, standby: 1)
            let link = try region.agent("home", at: 0)
            let second = try region.agent("home", at: 1, role: .standby)
            let before = try region.play("home", at: 2, by: link)
            region[0].end()
            let after = try region.play("home", at: 2, by: second)
            let direct = try region.play("home", at: 1, by: second)
            // Who played through it plays on: their bytes never crossed the owner.
            try before.player.send([7])
            #expect(try before.home.read(1) == [7])
            for game in [before, after, direct] { game.player.close() }
        }
    }

    @Test func aSilentOwnerIsNotWaitedFor() throws {
        try TestRegion.with(3) { region in
            region.assign("home", owner: 0, standby: 1)
            let link = try region.agent("home", at: 0)
            let second = try region.agent("home", at: 1, role: .standby)
            // Its connections stay open, and nobody answers on them.
            let isOver = region[0].hang()
            _ = try region.play("home", at: 2, by: second)
            isOver.add(1)
            link.close()
        }
    }

    @Test func thePreviousOwnerOpensUntilItsAgentHasMoved() throws {
        try TestRegion.with(3) { region in
            region.assign("home", owner: 0)
            let agent = try region.agent("home", at: 0)
            region.assign("home", owner: 1, previous: 0, generation: 2)
            _ = try region.play("home", at: 2, by: agent)
            _ = try region.play("home", at: 1, by: agent)
            _ = try region.play("home", at: 0, by: agent)
        }
    }

    @Test func aPlayerWaitsForTheLinkWhereverItComesUp() throws {
        try TestRegion.with(3) { region in
            region.assign("home", owner: 0, standby: 1)
            let player = try region[2].player()
            try player.send(Client.login("home"))
            region[1].eventually("nobody was asked") { region[1].context.metrics.meshAsked.total > 0 }
            let agent = try region.agent("home", at: 1, role: .standby)
            let home = try agent.dial(agent.orderToOpen().nonce, at: region[2])
            #expect(try home.readStart().routingName == "home.eu.example.org")
        }
    }

    /// Promise: a question never travels on, so no loop can be made of them.
    @Test func whoIsAskedAndHasNoLinkAsksNobody() throws {
        var patience = RelayPatience()
        patience.desk.loginInquiry = Milliseconds(600)
        try TestRegion.with(3, patience: patience) { region in
            // Each of them would have somebody to ask.
            region.assign("home", owner: 1, standby: 2, previous: 0)
            let player = try region[0].player()
            try player.send(Client.login("home"))
            #expect(try Client.kick(player.readToEnd()) == OfflineReason.agentAway.text(name: "home"))
            let asks = region.relays.map(\.context.metrics.meshAsks.total)
            let asked = region.relays.map(\.context.metrics.meshAsked.total)
            #expect(asks[0] >= 2 && asks[1...] == [0, 0])
            #expect(asked[0] == 0 && asked[1] >= 1 && asked[2] >= 1)
            #expect(asked[1] + asked[2] <= asks[0])
            for relay in region.relays { relay.expectEmpty() }
        }
    }

    @Test func theOwnerCountsPlayersWhereverTheyAre() throws {
        let limits = Limits(players: 1)
        try TestRegion.with(3) { region in
            region.assign("home", owner: 0, standby: 1, limits: limits)
            let agent = try region.agent("home", at: 0, limits: limits)
            let second = try region.agent("home", at: 1, role: .standby, limits: limits)
            let game = try region.play("home", at: 0, by: agent)
            // One without a link, and one with a link of its own.
            for index in [2, 1] {
                let player = try region[index].player()
                try player.send(Client.login("home"))
                #expect(try Client.kick(player.readToEnd()) == OfflineReason.full.text(name: "home"))
            }
            game.player.close()
            game.home.close()
            region[0].eventually("the player is still there") {
                region[0].context.metrics.players.current == 0
            }
            _ = try region.play("home", at: 1, by: agent)
            second.close()
        }
    }

    @Test func aRevokedKeysPlayersGoAtEveryRelay() throws {
        try TestRegion.with(3) { region in
            region.assign("home", owner: 0)
            let agent = try region.agent("home", at: 0)
            let games = try (0..<3).map { try region.play("home", at: $0, by: agent) }
            region.assign("home", owner: nil, generation: 2, session: nil, revokedKeys: ["agk_1"])
            #expect(try agent.goAway() == .revoked)
            for game in games {
                #expect(try game.player.readToEnd().isEmpty)
                #expect(try game.home.readToEnd().isEmpty)
            }
        }
    }

    @Test func whatTheAgentRefusesIsToldWhereThePlayerWaits() throws {
        try TestRegion.with(2) { region in
            region.assign("home", owner: 0)
            let agent = try region.agent("home", at: 0)
            let player = try region[1].player()
            try player.send(Client.login("home"))
            let (nonce, rendezvous) = try agent.orderToOpen()
            try agent.send(.refuse(nonce, rendezvous, .busy))
            #expect(try Client.kick(player.readToEnd()) == OfflineReason.full.text(name: "home"))
        }
    }

    @Test func aTunnelThatSleepsAtItsOwnerSleepsEverywhere() throws {
        let limits = Limits(idle_timeout_s: 0)
        try TestRegion.with(2) { region in
            region.assign("home", owner: 0, limits: limits)
            let agent = try FakeAgent(
                region[0], ticket: region[0].ticket("home", relay: region[0].info().id, limits: limits))
            #expect(try agent.goAway() == .idle)
            let player = try region[1].player()
            try player.send(Client.login("home"))
            #expect(try Client.kick(player.readToEnd()) == OfflineReason.asleep.text(name: "home"))
        }
    }

    // MARK: who belongs to it

    @Test func aStrangerGetsNothingFromTheMesh() throws {
        try TestRegion.with(2) { region in
            let made = try SelfSignedCertificate.generate(commonName: "rly_1")
            let stranger = OwnCertificate(
                certificatePEM: made.certificatePEM, privateKeyPEM: made.privateKeyPEM)
            let hello = MeshFrame.hello(relay: "rly_1", region: TestRelay.region)
            let attempts: [(own: OwnCertificate?, hello: MeshFrame)] = [
                // No certificate; one of nobody's; a relay's own, for another relay, region, or for none.
                (nil, hello), (stranger, hello),
                (region[0].own, .hello(relay: "rly_2", region: TestRelay.region)),
                (region[0].own, .hello(relay: "rly_3", region: TestRelay.region)),
                (region[0].own, .hello(relay: "rly_1", region: "us")),
            ]
            for (own, hello) in attempts {
                let peer = try FakeAgent(region[1], ticket: nil, own: own)
                try peer.send(plain: hello.encode() + MeshFrame.ping(1).encode())
                #expect(try peer.everything().isEmpty)
            }
            #expect(region[1].context.metrics.meshRefused.total == attempts.count)
            #expect(region[1].context.metrics.meshAsked.total == 0)
            // The real one is welcome, and takes the place of its older connection.
            let real = try FakeAgent(region[1], ticket: nil, own: region[0].own)
            try real.send(plain: hello.encode() + MeshFrame.ping(1).encode())
            let answer = MeshFrame.welcome.encode() + MeshFrame.pong(1).encode()
            #expect(try real.everything(upTo: answer.count) == answer)
        }
    }

    @Test func aRelayAsksForItsOwnPlayersOnly() throws {
        try TestRegion.with(2) { region in
            region.assign("home", owner: 1)
            let agent = try region.agent("home", at: 1)
            let peer = try FakeAgent(region[1], ticket: nil, own: region[0].own)
            var random = SystemRandomNumberGenerator()
            let question = MeshQuestion(
                number: 5, player: 1, tunnel: "t-home", nonce: Nonce(loop: 0, using: &random),
                rendezvous: Rendezvous(relay: "rly_7", endpoint: "203.0.113.1:1"), isLogin: true)
            try peer.send(
                plain: MeshFrame.hello(relay: "rly_1", region: TestRelay.region).encode()
                    + MeshFrame.ask(question).encode())
            let answer = MeshFrame.welcome.encode() + MeshFrame.answer(number: 5, .noLink).encode()
            #expect(try peer.everything(upTo: answer.count) == answer)
            try agent.send(.ping(1))
            #expect(try agent.next() == .pong(1), "no OPEN went out")
        }
    }

    @Test func nonsenseFromARelayEndsItsConnection() throws {
        try TestRegion.with(2) { region in
            let peer = try FakeAgent(region[1], ticket: nil, own: region[0].own)
            try peer.send(
                plain: MeshFrame.hello(relay: "rly_1", region: TestRelay.region).encode()
                    + [0x49, 0x01, 0xFF, 0xFF, 0xFF])
            #expect(try peer.everything() == MeshFrame.welcome.encode())
        }
    }

    @Test func aRelayThatTheRegionForgetsIsLetGo() throws {
        try TestRegion.with(3) { region in
            var gone = region[2].info()
            gone.state = .removed
            region.tell(relays: [gone])
            for relay in region.relays.prefix(2) {
                relay.eventually("it is still connected") { relay.context.metrics.meshPeers.current == 1 }
            }
            let peer = try FakeAgent(region[0], ticket: nil, own: region[2].own)
            try peer.send(plain: MeshFrame.hello(relay: "rly_3", region: TestRelay.region).encode())
            #expect(try peer.everything().isEmpty)
        }
    }

    /// Promise: a certificate that is not the relay's any more is worth nothing.
    @Test func aRelayWithANewCertificateIsToConnectAnew() throws {
        try TestRegion.with(2) { region in
            let made = try SelfSignedCertificate.generate(commonName: "rly_1")
            let peer = try FakeAgent(region[1], ticket: nil, own: region[0].own)
            let hello = MeshFrame.hello(relay: "rly_1", region: TestRelay.region).encode()
            try peer.send(plain: hello)
            let welcome = MeshFrame.welcome.encode()
            #expect(try peer.everything(upTo: welcome.count) == welcome)
            var info = region[0].info()
            info.fingerprint = made.fingerprint
            region.tell(relays: [info])
            #expect(try peer.everything() == welcome)
            let again = try FakeAgent(
                region[1], ticket: nil,
                own: OwnCertificate(
                    certificatePEM: made.certificatePEM, privateKeyPEM: made.privateKeyPEM))
            try again.send(plain: hello)
            #expect(try again.everything(upTo: welcome.count) == welcome)
        }
    }

    @Test func aSilentRelayIsGivenUpAndFoundAgain() throws {
        var patience = RelayPatience()
        patience.pulse = Milliseconds(50)
        patience.silence = Milliseconds(1000)
        try TestRegion.with(2, patience: patience) { region in
            let isOver = region[1].hang()
            let metrics = region[0].context.metrics
            region[0].eventually("it is still taken for alive") { metrics.meshPeers.current == 0 }
            isOver.add(1)
            region.waitForMesh()
        }
    }

    @Test func aConnectionThatBreaksIsMadeAgain() throws {
        try TestRegion.with(2) { region in
            // Its relay dials anew, and the one that it had accepted goes too.
            let peer = try FakeAgent(region[1], ticket: nil, own: region[0].own)
            try peer.send(plain: MeshFrame.hello(relay: "rly_1", region: TestRelay.region).encode())
            #expect(try peer.everything(upTo: 5) == MeshFrame.welcome.encode())
            peer.close()
            region.assign("home", owner: 0)
            let agent = try region.agent("home", at: 0)
            region.waitForMesh()
            _ = try region.play("home", at: 1, by: agent)
        }
    }
}
