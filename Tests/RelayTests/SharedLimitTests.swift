import Core
import IO
import RelayCore
import Testing
import Wire

@testable import Relay

/// A tunnel's limits hold wherever in the region its players land.
@Suite(.timeLimit(.minutes(3)))
struct SharedLimitTests {
    private static var patience: RelayPatience {
        var patience = RelayPatience()
        patience.limits = Milliseconds(100)
        patience.count = Milliseconds(100)
        return patience
    }

    private func region(_ count: Int, _ body: (TestRegion) throws -> Void) throws {
        try TestRegion.with(count, patience: Self.patience, body)
    }

    private func read(in background: [Peer]) throws {
        for peer in background {
            try ThreadHandle.start(name: "reader") {
                while let bytes = try? peer.receive(), !bytes.isEmpty {}
            }.detach()
        }
    }

    @Test func ofThreePlayersTwoMayPlayWhereverTheyCome() throws {
        try region(3) { region in
            let limits = Limits(players: 2)
            region.assign("home", owner: 0, limits: limits)
            let agent = try ServingAgent("home", at: region[0], limits: limits)
            let first = try region[1].play("home")
            let second = try region[2].play("home")
            for relay in region.relays { try relay.expectFull("home") }
            // Reports came and changed nothing.
            region[0].eventually("the owner hears of nobody") {
                region[0].room("home") { $0.playersElsewhere } == 2
            }
            for relay in region.relays { try relay.expectFull("home") }
            second.close()
            let third = try region[0].playWhenThereIsRoom("home")
            for relay in region.relays { try relay.expectFull("home") }
            third.close()
            _ = try region[2].playWhenThereIsRoom("home")
            withExtendedLifetime((first, agent)) {}
        }
    }

    @Test func whoLeftBeforeAnyReportMakesRoomWithTheNext() throws {
        try region(2) { region in
            let limits = Limits(players: 1)
            region.assign("home", owner: 0, limits: limits)
            let agent = try ServingAgent("home", at: region[0], limits: limits)
            for _ in 0..<20 { try region[1].playWhenThereIsRoom("home").close() }
            withExtendedLifetime(agent) {}
        }
    }

    @Test func aStandbyAsksTheOwnerAndCountsByItselfWhenTheOwnerIsDead() throws {
        try region(2) { region in
            let limits = Limits(players: 2)
            region.assign("home", owner: 0, standby: 1, limits: limits)
            let agents = [
                try ServingAgent("home", at: region[0], limits: limits),
                try ServingAgent("home", at: region[1], role: .standby, limits: limits),
            ]
            let players = [try region[0].play("home"), try region[1].play("home")]
            for relay in region.relays { try relay.expectFull("home") }
            // Whoever played at the owner is gone with it.
            region[0].end()
            let next = try region[1].playWhenThereIsRoom("home")
            try region[1].expectFull("home")
            withExtendedLifetime((players, next, agents)) {}
        }
    }

    @Test func playersAtAnotherRelayKeepTheTunnelAwake() throws {
        try region(2) { region in
            region.assign("home", owner: 0)
            let agent = try ServingAgent("home", at: region[0], limits: .none)
            let player = try region[1].play("home")
            region.assign("home", owner: 0, limits: Limits(idle_timeout_s: 1))
            region[0].eventually("the owner hears of nobody") {
                region[0].room("home") { $0.playersElsewhere } == 1
            }
            // Twice as long as it may be idle.
            let until = Instant.now() + .seconds(2)
            while Instant.now() < until { region[0].settle() }
            #expect(region[0].context.metrics.sleeps.total == 0)
            player.close()
            #expect(agent.goAway() == .idle)
        }
    }

    @Test func bytesOfTwoRelaysTogetherStayWithinTheLimit() throws {
        try region(2) { region in
            let (owner, other) = (region[0], region[1])
            let rate = 1 << 20
            let limits = Limits(bytes_per_s: rate)
            let start = Instant.now()
            region.assign("home", owner: 0, limits: limits)
            let agent = try ServingAgent("home", at: owner, limits: limits, home: ServingAgent.pouring)
            let players = [try owner.play("home"), try other.play("home")]
            try read(in: players)
            // With a limit for each they would be through in half of the time.
            owner.eventually("nothing moves") {
                owner.metered("home") + other.metered("home") >= 7 * rate
            }
            let passed = owner.metered("home") + other.metered("home")
            let elapsed_ms = Instant.now().since(start).count + 1
            // At the beginning the owner may have saved for a second, and the other relay an even part of that.
            #expect(passed <= rate * elapsed_ms / 1000 + 2 * rate)
            // Both want all they can get.
            owner.eventually("the halves are not even") {
                let halves = [owner.rate("home") ?? 0, other.rate("home") ?? 0]
                return halves.allSatisfy { abs($0 - rate / 2) <= rate / 20 }
            }
            // Whoever leaves, leaves theirs to the other.
            players[0].close()
            owner.eventually("the part of who left is not given away") {
                other.rate("home") ?? 0 >= rate * 9 / 10
            }
            withExtendedLifetime(agent) {}
        }
    }

    @Test func anOwnerThatHangsLeavesAnEvenPartAndItsWordCountsAgain() throws {
        try region(3) { region in
            let other = region[1]
            let rate = 3 << 20
            let limits = Limits(bytes_per_s: rate)
            region.assign("home", owner: 0, limits: limits)
            let agent = try ServingAgent("home", at: region[0], limits: limits, home: ServingAgent.pouring)
            let player = try other.play("home")
            try read(in: [player])
            other.eventually("the owner gives nothing") { other.rate("home") ?? 0 > rate / 2 }
            let isOver = region[0].hang()
            other.eventually("the limit is not divided") { other.rate("home") == rate / 3 }
            isOver.add(1)
            other.eventually("the owner's word does not count again") { other.rate("home") ?? 0 > rate / 2 }
            withExtendedLifetime(agent) {}
        }
    }

    @Test func aChangedLimitIsFeltAtTheOtherRelayToo() throws {
        try region(2) { region in
            let other = region[1]
            region.assign("home", owner: 0, limits: Limits(bytes_per_s: 1 << 20))
            let agent = try ServingAgent("home", at: region[0], limits: .none, home: ServingAgent.pouring)
            let player = try other.play("home")
            try read(in: [player])
            other.eventually("there is no limit") { other.rate("home") != nil }
            region.assign("home", owner: 0, limits: Limits(bytes_per_s: 64 << 10))
            other.eventually("the lower limit is not felt") { other.rate("home") ?? .max <= 64 << 10 }
            region.assign("home", owner: 0)
            other.eventually("the limit stays") { other.rate("home") == nil }
            withExtendedLifetime(agent) {}
        }
    }

    @Test func aRelayThatLiesIsBounded() throws {
        try region(2) { region in
            let (owner, liar) = (region[0], region[1])
            let limits = Limits(players: 2, bytes_per_s: 1 << 20)
            region.assign("home", owner: 0, limits: limits)
            let agent = try ServingAgent("home", at: owner, limits: limits)
            let player = try owner.play("home")
            let rows = (0..<PresenceReport.maxRows).map {
                PresenceReport.Row(tunnel: "t-\($0)", players: .max, bytes_per_s: .max)
            }
            let mine = PresenceReport.Row(tunnel: "t-home", players: .max, bytes_per_s: .max)
            let id = owner.context.relay.id
            liar.context.mesh?.post { mesh in
                for _ in 0..<50 {
                    mesh.send(.presence(PresenceReport(answersHeard: .max, rows: rows)), to: id)
                }
                mesh.send(.presence(PresenceReport(answersHeard: .max, rows: [mine])), to: id)
                // Not its owner's word.
                let shares = ShareReport(rows: [.init(tunnel: "t-home", bytes_per_s: 1)])
                mesh.send(.shares(shares), to: id)
            }
            owner.eventually("the report did not come") {
                owner.room("home") { $0.playersElsewhere } ?? 0 > 0
            }
            // Whoever wants everything leaves the owner what everybody keeps.
            #expect(owner.rate("home") ?? 0 >= (1 << 20) / 16)
            try owner.expectFull("home")
            // No room was made for what is not here, and who plays goes on.
            let rooms = Gathering<Int>(expecting: 2)
            owner.context.forEachLoop { relayLoop in
                var count = 0
                relayLoop.forEachRoom { _ in count += 1 }
                rooms.add(count)
            }
            #expect(rooms.wait().reduce(0, +) == 1)
            try player.send([1])
            // Nobody repeats it, so it ends.
            owner.eventually("the lie stays") { owner.room("home") { $0.playersElsewhere } == 0 }
            withExtendedLifetime(agent) {}
        }
    }
}
