import Core
import Crypto
import IO
import Testing
import Wire

@testable import Relay
@testable import RelayCore

/// A tunnel's limits as its players feel them.
@Suite(.timeLimit(.minutes(2)))
struct LimitTests {
    private func join(_ relay: TestRelay, _ agent: FakeAgent) throws -> (player: Peer, data: Peer) {
        let player = try relay.player()
        try player.send(Client.login("home"))
        let data = try agent.dial(agent.nonceToOpen())
        _ = try data.readStart()
        _ = try data.read(Client.login("home").count)
        try data.send(StartAnswer.ready.encode() + [42])
        #expect(try player.read(1) == [42])
        return (player, data)
    }

    private func sendInBackground(_ bytes: [UInt8], on peer: Peer) throws {
        try ThreadHandle.start(name: "sender") { try? peer.send(bytes) }.detach()
    }

    private func isMetered(_ relay: TestRelay) -> Bool? {
        let answer = Gathering<Bool?>(expecting: 1)
        relay.context.door(forTunnel: "t-home")?.post { relayLoop in
            answer.add(relayLoop.existingRoom("t-home").map { $0.meter != nil })
        }
        return answer.wait().first ?? nil
    }

    @Test func oneMegabyteASecondCarriesABulkUnchangedAndNoFaster() throws {
        try TestRelay.with { relay in
            let rate = 1_000_000
            let start = Instant.now()
            relay.assign("home", limits: Limits(bytes_per_s: rate))
            let agent = try FakeAgent.up(relay, "home")
            let (player, data) = try join(relay, agent)
            let down = SecureRandomBytes.some(1_700_000)
            try sendInBackground(down, on: data)
            var got: [UInt8] = []
            while got.count < down.count {
                got += try player.receive()
                let elapsed_us = Int(Instant.now().nanoseconds - start.nanoseconds) / 1000 + 1
                #expect(got.count <= rate + elapsed_us * rate / 1_000_000)
            }
            #expect(got.elementsEqual(down))
            player.close()
            data.close()
            agent.close()
            relay.expectEmpty()
        }
    }

    /// The first limit would keep the player for minutes.
    @Test(arguments: [100_000_000, nil])
    func aHigherLimitIsFeltWithoutAReconnect(later: Int?) throws {
        try TestRelay.with { relay in
            relay.assign("home", limits: Limits(bytes_per_s: 64_000))
            let agent = try FakeAgent.up(relay, "home")
            let (player, data) = try join(relay, agent)
            let down = SecureRandomBytes.some(12 << 20)
            try sendInBackground(down, on: data)
            let first = try player.read(100_000)
            relay.assign("home", limits: Limits(bytes_per_s: later))
            #expect(try agent.newLimits() == Limits(bytes_per_s: later))
            let rest = try player.read(down.count - first.count)
            #expect((first + rest).elementsEqual(down))
            #expect(relay.context.metrics.joins.total == 1)
            #expect(isMetered(relay) == (later != nil))
        }
    }

    @Test func aLimitSetWhilePlayingIsFeltWithoutAReconnect() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let (player, data) = try join(relay, agent)
            #expect(isMetered(relay) == false)
            let down = SecureRandomBytes.some(32 << 20)
            try sendInBackground(down, on: data)
            var got = try player.read(1 << 20)
            let rate = 4_000_000
            let start = Instant.now()
            relay.assign("home", limits: Limits(bytes_per_s: rate))
            // Once the agent knows, so do the players' splices.
            _ = try agent.newLimits()
            let metrics = relay.context.metrics
            relay.context.door(forTunnel: "t-home")?.post { $0.forEachRoom { $0.countBytes() } }
            relay.settle()
            let before = metrics.bytesToPlayers.total
            for _ in 0..<20 {
                got += try player.read(50_000)
                relay.context.door(forTunnel: "t-home")?.post { $0.forEachRoom { $0.countBytes() } }
                relay.settle()
                let elapsed_us = Int(Instant.now().nanoseconds - start.nanoseconds) / 1000 + 1
                #expect(metrics.bytesToPlayers.total - before <= elapsed_us * rate / 1_000_000)
            }
            relay.assign("home")
            _ = try agent.newLimits()
            got += try player.read(down.count - got.count)
            #expect(got.elementsEqual(down))
            #expect(metrics.joins.total == 1)
        }
    }

    @Test func leavingWhileThrottledLeavesNothing() throws {
        try TestRelay.with { relay in
            relay.assign("home", limits: Limits(bytes_per_s: 1000))
            let agent = try FakeAgent.up(relay, "home")
            let (player, data) = try join(relay, agent)
            try sendInBackground(SecureRandomBytes.some(4 << 20), on: data)
            _ = try player.read(60_000)
            player.reset()
            _ = try data.readToEnd()
            data.close()
            agent.close()
            relay.expectEmpty()
        }
    }

    @Test func aTunnelSuspendedWhileThrottledLetsItsPlayersGoAtOnce() throws {
        try TestRelay.with { relay in
            relay.assign("home", limits: Limits(bytes_per_s: 1000))
            let agent = try FakeAgent.up(relay, "home")
            let (player, data) = try join(relay, agent)
            try sendInBackground(SecureRandomBytes.some(4 << 20), on: data)
            _ = try player.read(60_000)
            relay.assign("home", limits: Limits(bytes_per_s: 1000), state: .suspended)
            _ = try player.readToEnd()
            player.close()
            data.close()
            agent.close()
            relay.expectEmpty()
        }
    }

    @Test func aTunnelWithoutPlayersIsClosedAndSaysSo() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let (player, data) = try join(relay, agent)
            player.close()
            _ = try data.readToEnd()
            data.close()
            // A new limit counts for who is idle already.
            relay.assign("home", limits: Limits(idle_timeout_s: 1))
            #expect(try agent.goAway() == .idle)
            #expect(relay.context.metrics.sleeps.total == 1)
            let late = try relay.player()
            try late.send(Client.login("home"))
            #expect(try Client.kick(late.readToEnd()) == OfflineReason.asleep.text(name: "home"))
            let looking = try relay.player()
            try looking.send(Client.status("home") + Client.ping)
            #expect(try Client.motd(looking.readToEnd()).contains("Its owner must start it again"))
            // The owner does: the same placement, and players are in again.
            relay.assign("home", limits: Limits(idle_timeout_s: 600))
            let again = try FakeAgent.up(relay, "home")
            _ = try join(relay, again)
        }
    }

    @Test func aSleepingTunnelThatMovedOnIsNotCalledAsleepAnyMore() throws {
        try TestRelay.with { relay in
            relay.assign("home", limits: Limits(idle_timeout_s: 1))
            let agent = try FakeAgent.up(relay, "home", limits: Limits(idle_timeout_s: 1))
            #expect(try agent.goAway() == .idle)
            func kick() throws -> String {
                let player = try relay.player()
                try player.send(Client.login("home"))
                return try Client.kick(player.readToEnd())
            }
            #expect(try kick() == OfflineReason.asleep.text(name: "home"))
            relay.assign("home", generation: 2, session: "ses_2")
            #expect(try kick() == OfflineReason.agentAway.text(name: "home"))
        }
    }

    @Test func aLowerPlayerCapKeepsWhoPlaysAndTellsWhoComes() throws {
        try TestRelay.with { relay in
            relay.assign("home", limits: Limits(players: 5))
            let agent = try FakeAgent.up(relay, "home")
            let playing = try [join(relay, agent), join(relay, agent)]
            relay.assign("home", limits: Limits(players: 1))
            #expect(try agent.newLimits() == Limits(players: 1))
            let late = try relay.player()
            try late.send(Client.login("home"))
            #expect(try Client.kick(late.readToEnd()) == OfflineReason.full.text(name: "home"))
            for (player, data) in playing {
                try player.send([1, 2])
                #expect(try data.read(2) == [1, 2])
                try data.send([3])
                #expect(try player.read(1) == [3])
            }
            relay.assign("home", limits: Limits(players: 3))
            #expect(try agent.newLimits() == Limits(players: 3))
            _ = try join(relay, agent)
        }
    }
}
