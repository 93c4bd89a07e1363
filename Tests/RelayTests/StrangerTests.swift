import Core
import IO
import Testing
import Wire

@testable import Relay

/// Connections that bring no right, no end or nothing at all.
@Suite(.timeLimit(.minutes(2)))
struct StrangerTests {
    @Test func aNonceThatNobodyExpectsIsRefused() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            var random = SystemRandomNumberGenerator()
            for loop in [0, 1, 2, 255] as [UInt8] {
                #expect(try agent.dial(Nonce(loop: loop, using: &random)).readToEnd().isEmpty)
            }
            #expect(relay.context.metrics.strayData.total == 4)
        }
    }

    @Test func aNonceIsGoodOnce() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let player = try relay.player()
            try player.send(Client.login("home"))
            let nonce = try agent.nonceToOpen()
            let first = try agent.dial(nonce)
            _ = try first.readStart()
            #expect(try agent.dial(nonce).readToEnd().isEmpty)
            try first.send(StartAnswer.ready.encode() + [8])
            #expect(try player.read(1) == [8])
            #expect(try agent.dial(nonce).readToEnd().isEmpty)
        }
    }

    @Test func aDataConnectionForAnotherRelayIsRefused() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let player = try relay.player()
            try player.send(Client.login("home"))
            let nonce = try agent.nonceToOpen()
            #expect(try agent.dial(nonce, relay: "rly_other").readToEnd().isEmpty)
            // That did not burn it: it was not for this relay.
            _ = try agent.dial(nonce).readStart()
        }
    }

    @Test func aParkedConnectionThatSpeaksFirstIsClosed() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent(relay, ticket: relay.ticket("home"))
            #expect(try agent.next() == .welcome(.none))
            let data = try agent.park(agent.nonceToPark(), at: relay)
            try data.send([2, 0, 0])
            #expect(try data.readToEnd().isEmpty)
            let metrics = relay.context.metrics
            relay.eventually("it is still counted") { metrics.parked.current == 0 }
        }
    }

    @Test func anAnswerToStartThatIsNoneIsNotPassedToThePlayer() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let player = try relay.player()
            try player.send(Client.login("home"))
            for _ in 0..<2 {
                let data = try agent.dial(agent.nonceToOpen())
                _ = try data.readStart()
                try data.send(Array("HTTP/1.1 200 OK".utf8))
                _ = try data.readToEnd()
            }
            #expect(try Client.kick(player.readToEnd()).hasPrefix("home did not answer"))
        }
    }

    @Test(
        arguments: [[], [0x10], [0x16], [0x4D, 0x43], [0x4D, 0x43, 0x44, 0x50, 1, 8], [0, 0]] as [[UInt8]])
    func whoeverDoesNotFinishTheFirstWordsIsClosedAfterTheDeadline(_ words: [UInt8]) throws {
        var patience = RelayPatience()
        patience.firstWords = Milliseconds(100)
        try TestRelay.with(patience: patience) { relay in
            let slow = try relay.player()
            let start = Instant.now()
            if !words.isEmpty { try slow.send(words) }
            #expect(try slow.readToEnd().isEmpty)
            #expect(Instant.now().since(start) >= Milliseconds(90))
            #expect(relay.context.metrics.handshakeTimeouts.total == 1)
            relay.expectEmpty()
        }
    }

    @Test func aTLSHandshakeThatStallsIsClosedAfterItsDeadline() throws {
        var patience = RelayPatience()
        patience.hello = Milliseconds(100)
        try TestRelay.with(patience: patience) { relay in
            let stalled = try relay.player()
            try stalled.send([0x16, 0x03, 0x01])
            #expect(try stalled.readToEnd().isEmpty)
            // A whole handshake without a HELLO.
            let mute = try FakeAgent(relay, ticket: nil)
            try mute.waitForEnd()
            #expect(relay.context.metrics.handshakeTimeouts.total == 2)
            relay.expectEmpty()
        }
    }

    @Test func garbageInsideTLSIsClosed() throws {
        try TestRelay.with { relay in
            let stranger = try relay.player()
            try stranger.send([0x16, 0x03, 0x01, 0x00, 0x20] + [UInt8](repeating: 0xAB, count: 200))
            _ = try stranger.readToEnd()
            stranger.close()
            relay.expectEmpty()
        }
    }

    @Test func handshakesUnderWayAreCapped() throws {
        var patience = RelayPatience()
        patience.handshakes = HandshakeBudget.Caps(underWay: 2, burst: 100, per_s: 100)
        try TestRelay.with(loops: 1, patience: patience) { relay in
            relay.assign("home")
            let stalled = try (0..<2).map { _ in
                let peer = try relay.player()
                try peer.send([0x16, 0x03])
                return peer
            }
            let metrics = relay.context.metrics
            relay.eventually("they are not there") { metrics.accepted.total == 2 }
            let third = try relay.player()
            try third.send([0x16, 0x03])
            #expect(try third.readToEnd().isEmpty)
            #expect(metrics.tlsRefused.total == 1)
            // A place that becomes free serves the next.
            stalled[0].close()
            relay.eventually("the place does not become free") { metrics.connections.current == 1 }
            _ = try FakeAgent.up(relay, "home")
        }
    }

    @Test func newHandshakesASecondAreCapped() throws {
        var budget = HandshakeBudget(HandshakeBudget.Caps(underWay: 1000, burst: 3, per_s: 10))
        var now = Instant(nanoseconds: 1_000_000_000)
        func begin() -> Bool {
            guard budget.begin(now: now) else { return false }
            budget.end()
            return true
        }
        #expect([begin(), begin(), begin(), begin()] == [true, true, true, false])
        now = now + Milliseconds(99)
        #expect(!begin())
        now = now + Milliseconds(1)
        #expect([begin(), begin()] == [true, false])
        now = now + Milliseconds(60_000)
        #expect([begin(), begin(), begin(), begin()] == [true, true, true, false])
        // Asking in vain, over and over, does not keep the budget empty.
        for _ in 0..<1000 {
            _ = begin()
            now = now + Milliseconds(1)
        }
        #expect(
            (0..<10).contains { _ in
                now = now + Milliseconds(10); return begin()
            })
    }
}
