import Core
import Testing
import Wire

@testable import Relay
@testable import RelayCore

/// Nobody is closed on silently: a server list shows why, and a login is kicked with a text.
@Suite(.timeLimit(.minutes(2)))
struct TurnedAwayTests {
    private func expectTurnedAway(
        _ relay: TestRelay, _ name: String, _ text: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let ping = try relay.player()
        try ping.send(Client.status(name))
        // The pong follows the status and ends the conversation.
        try ping.send(Client.ping)
        let answer = try ping.readToEnd()
        #expect(try Client.motd(answer) == text, sourceLocation: sourceLocation)
        #expect(answer.suffix(Client.ping.count) == Client.ping, sourceLocation: sourceLocation)
        let login = try relay.player()
        try login.send(Client.login(name))
        #expect(try Client.kick(login.readToEnd()) == text, sourceLocation: sourceLocation)
        let old = try relay.player()
        try old.send(Client.legacyPing("\(name).eu.example.org"))
        let line = try Client.legacy(old.readToEnd())
        #expect(line.hasPrefix("§1\0" + "74\0offline\0\(text)\0"), sourceLocation: sourceLocation)
    }

    @Test func anUnknownName() throws {
        try TestRelay.with { relay in
            try expectTurnedAway(
                relay, "nobody", OfflineReason.unknownName.text(name: "nobody.eu.example.org"))
            relay.expectEmpty()
        }
    }

    @Test func anAgentThatIsAway() throws {
        try TestRelay.with { relay in
            relay.assign("away")
            relay.assign("unplaced", owner: nil)
            try expectTurnedAway(relay, "away", OfflineReason.agentAway.text(name: "away"))
            try expectTurnedAway(relay, "unplaced", OfflineReason.agentAway.text(name: "unplaced"))
            relay.expectEmpty()
        }
    }

    @Test func aSuspendedTunnel() throws {
        try TestRelay.with { relay in
            relay.assign("off", state: .suspended)
            try expectTurnedAway(relay, "off", OfflineReason.suspended.text(name: "off"))
        }
    }

    @Test func aTunnelWhoseRelaysCannotBeReached() throws {
        var patience = RelayPatience()
        patience.desk.loginInquiry = Milliseconds(300)
        patience.desk.statusInquiry = Milliseconds(100)
        try TestRelay.with(patience: patience) { relay in
            relay.assign("far", owner: "rly_other", standby: "rly_third")
            try expectTurnedAway(relay, "far", OfflineReason.agentAway.text(name: "far"))
            relay.expectEmpty()
        }
    }

    @Test func aHomeServerThatIsDown() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let player = try relay.player()
            try player.send(Client.login("home"))
            let data = try agent.dial(agent.nonceToOpen())
            _ = try data.readStart()
            try data.send(StartAnswer.refused(.localServerUnreachable).encode())
            #expect(
                try Client.kick(player.readToEnd()) == OfflineReason.localServerAway.text(name: "home"))
        }
    }

    @Test func anAgentThatRefusesOverItsLink() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let player = try relay.player()
            try player.send(Client.status("home"))
            let nonce = try agent.nonceToOpen()
            try agent.send(.refuse(nonce, relay.context.relay.rendezvous, .busy))
            try player.send(Client.ping)
            #expect(try Client.motd(player.readToEnd()) == OfflineReason.full.text(name: "home"))
            // The nonce is burnt.
            #expect(try agent.dial(nonce).readToEnd().isEmpty)
        }
    }

    @Test func onePlayerMoreThanAllowed() throws {
        try TestRelay.with { relay in
            relay.assign("home", limits: Limits(players: 1))
            let agent = try FakeAgent.up(relay, "home", limits: Limits(players: 1))
            let first = try relay.player()
            try first.send(Client.login("home"))
            let data = try agent.dial(agent.nonceToOpen())
            try data.send(StartAnswer.ready.encode() + [1])
            _ = try first.read(1)
            let second = try relay.player()
            try second.send(Client.login("home"))
            #expect(try Client.kick(second.readToEnd()) == OfflineReason.full.text(name: "home"))
        }
    }

    @Test func anAgentThatBringsNothing() throws {
        var patience = RelayPatience()
        patience.desk.retry = Milliseconds(50)
        patience.desk.loginPatience = Milliseconds(200)
        try TestRelay.with(patience: patience) { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let player = try relay.player()
            try player.send(Client.login("home"))
            #expect(try Client.kick(player.readToEnd()) == OfflineReason.slow.text(name: "home"))
            // One OPEN, and one more after the first came to nothing.
            #expect(try agent.nonceToOpen() != agent.nonceToOpen())
        }
    }

    @Test func clientsWithoutANameWeCanReadGetAnAnswerToo() throws {
        try TestRelay.with { relay in
            for ping in [[0xFE], [0xFE, 0x01]] as [[UInt8]] {
                let old = try relay.player()
                try old.send(ping)
                #expect(
                    try Client.legacy(old.readToEnd()).contains(
                        OfflineReason.agentAway.text(name: "Minecart")))
            }
            let ancient = try relay.player()
            try ancient.send([0x02, 0x00, 0x05])
            #expect(try Client.legacy(ancient.readToEnd()) == OfflineReason.clientTooOld.text(name: ""))
            let numeric = try relay.player()
            try numeric.send(Client.handshake("203.0.113.7", intent: 2) + Client.loginStart)
            #expect(
                try Client.kick(numeric.readToEnd()) == OfflineReason.badAddress(.notAName).text(name: ""))
            relay.expectEmpty()
        }
    }

    @Test func garbageIsClosed() throws {
        try TestRelay.with { relay in
            let stranger = try relay.player()
            try stranger.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
            #expect(try stranger.readToEnd().isEmpty)
            #expect(relay.context.metrics.invalidFirstPackets.total == 1)
            relay.expectEmpty()
        }
    }

    @Test func aClientThatDoesNotCloseIsNotWaitedForLong() throws {
        var patience = RelayPatience()
        patience.farewell = Milliseconds(100)
        try TestRelay.with(patience: patience) { relay in
            // A handshake without the request that would be answered.
            let player = try relay.player()
            try player.send(Client.handshake("nobody.eu.example.org", intent: 1))
            #expect(try player.readToEnd().isEmpty)
            relay.expectEmpty()
        }
    }
}
