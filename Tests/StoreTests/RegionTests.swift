import Core
import Domain
import Postgres
import Support
import Testing
import Wire

@testable import Store

@Suite struct RegionTests {
    /// Follows a region as a relay would that only ever asks over HTTP.
    private func follow(_ fixture: Fixture, _ state: inout RegionState) async throws -> RegionState.Outcome {
        state.apply(
            try await fixture.store.changes(region: "eu", since: state.rev, epoch: state.epoch),
            fromControlPlane: true)
    }

    @Test func whoAsksAgainAndAgainHasWhatThePublisherTells() async throws {
        let fixture = try await Fixture()
        var relay = RegionState(region: "eu")
        let tunnel = try await fixture.tunnel()
        _ = try await follow(fixture, &relay)
        #expect(relay.assignments.count == 1)
        #expect(relay.relays.keys.sorted() == ["r1", "r2"])

        _ = try await fixture.place(tunnel.id, "s1")
        let doomed = try await fixture.tunnel()
        _ = try await fixture.place(doomed.id, "s2")
        _ = try await fixture.store.deleteTunnel(doomed.id, account: fixture.account, actor: "test")
        _ = try await follow(fixture, &relay)
        #expect(relay.assignments.count == 1)
        #expect(try await follow(fixture, &relay) == .current)

        let lease = try await fixture.lease()
        var leader = RegionState(region: "eu")
        _ = leader.apply(try await fixture.store.regionSnapshot("eu", as: lease), fromControlPlane: true)
        #expect(leader.digest == relay.digest)
        #expect(leader.rev == relay.rev)
    }

    @Test func deltasOneByOneGiveTheSameStateAsTheSnapshot() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        for number in 0..<5 {
            _ = try await fixture.place(tunnel.id, "s\(number)", excluding: ["r\(number % 2 + 1)"])
        }
        let lease = try await fixture.lease()
        var stepwise = RegionState(region: "eu")
        for delta in try await fixture.store.outbox("eu", after: 0, as: lease) { _ = stepwise.apply(delta) }
        var whole = RegionState(region: "eu")
        _ = whole.apply(try await fixture.store.regionSnapshot("eu", as: lease), fromControlPlane: true)
        #expect(stepwise == whole)
    }

    @Test func whoIsAheadOfUsOrBehindWhatIsKeptGetsTheWholeRegion() async throws {
        let fixture = try await Fixture()
        func isSnapshot(since: Int, epoch: Int = 0) async throws -> Bool {
            if case .snapshot = try await fixture.store.changes(region: "eu", since: since, epoch: epoch) {
                true
            } else {
                false
            }
        }
        #expect(try await isSnapshot(since: 1) == false)
        #expect(try await isSnapshot(since: 999) == true)
        #expect(try await isSnapshot(since: 1, epoch: 99) == true)
        try await fixture.pool.transaction { tx in _ = try tx.query("DELETE FROM outbox WHERE rev <= 2") }
        _ = try await fixture.tunnel()
        #expect(try await isSnapshot(since: 1) == true)
        await #expect(throws: StoreError.unknownRegion("mars")) {
            try await fixture.store.changes(region: "mars", since: 0, epoch: 0)
        }
    }

    @Test func aCommitNotifiesOfItsRevision() async throws {
        let fixture = try await Fixture()
        let listener = Listener(url: fixture.url, channels: [AssignmentsChannel.name])
        var events = listener.events.makeAsyncIterator()
        #expect(await events.next() == .listening)
        _ = try await fixture.tunnel()
        guard case .notification(let notification)? = await events.next() else {
            Issue.record("no notification")
            return
        }
        let parsed = try #require(AssignmentsChannel.parse(notification.payload))
        #expect(parsed.region == "eu")
        #expect(parsed.rev == (try await fixture.head()))
        listener.stop()
    }

    @Test func aRelayThatSaysTheSameAgainMakesNoRevision() async throws {
        let fixture = try await Fixture()
        let head = try await fixture.head()
        try await fixture.store.register(Fixture.relay("r1"))
        #expect(try await fixture.head() == head)
        try await fixture.store.register(Fixture.relay("r1", port: 7000))
        #expect(try await fixture.head() == head + 1)
        #expect(try await fixture.store.regions().first?.endpoints == ["127.0.0.1:25565", "127.0.0.1:7000"])
    }

    @Test func aRelayThatMovesLeavesItsOldRegion() async throws {
        let fixture = try await Fixture()
        try await fixture.store.ensureRegion("us", name: "America")
        try await fixture.store.register(Fixture.relay("r1", region: "us"))
        var state = RegionState(region: "eu")
        _ = try await follow(fixture, &state)
        #expect(state.relays.keys.sorted() == ["r2"])
    }

    @Test func aNewCertificateMeansThatItsLinksAreGone() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        _ = try await fixture.place(tunnel.id, "s1")
        try await fixture.store.reportLinks(relay: "r1", up: [(tunnel.id, 1)], down: [])
        var restarted = Fixture.relay("r1")
        restarted.fingerprint = String(repeating: "0", count: 64)
        try await fixture.store.register(restarted)
        #expect(try await fixture.store.tunnel(tunnel.id, account: fixture.account)?.state == .connecting)
    }

    @Test func aDrainIsForTheRunThatHeardOfIt() async throws {
        let fixture = try await Fixture()
        let relay = Fixture.relay("r1")
        let first = try await fixture.store.register(relay, run: "one")
        #expect(first.relay.state == .active)
        #expect(first.rev == (try await fixture.head()))
        _ = try await fixture.store.setRelayState("r1", .draining, actor: "operator")
        // It tells who it is each minute.
        let same = try await fixture.store.register(relay, run: "one")
        #expect(same.relay.state == .draining)
        #expect(same.rev == (try await fixture.head()))
        var state = RegionState(region: "eu")
        _ = try await follow(fixture, &state)
        #expect(state.relays["r1"]?.state == .draining)
        // It moved, which does not end the drain either.
        var moved = relay
        moved.endpoint = "127.0.0.1:7001"
        #expect(try await fixture.store.register(moved, run: "one").relay.state == .draining)

        let next = try await fixture.store.register(relay, run: "two")
        #expect(next.relay.state == .active)
        #expect(next.rev == (try await fixture.head()))
        _ = try await follow(fixture, &state)
        #expect(state.relays["r1"]?.state == .active)
        // One that does not say which run it is counts as a new one.
        _ = try await fixture.store.setRelayState("r1", .draining, actor: "operator")
        #expect(try await fixture.store.register(relay).relay.state == .active)
    }

    @Test func anotherRunMeansThatItsLinksAreGone() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        try await fixture.store.register(Fixture.relay("r1"), run: "one")
        _ = try await fixture.place(tunnel.id, "s1")
        try await fixture.store.reportLinks(relay: "r1", up: [(tunnel.id, 1)], down: [])
        try await fixture.store.register(Fixture.relay("r1"), run: "one")
        #expect(try await fixture.store.tunnel(tunnel.id, account: fixture.account)?.state == .online)
        let head = try await fixture.head()
        try await fixture.store.register(Fixture.relay("r1"), run: "two")
        #expect(try await fixture.store.tunnel(tunnel.id, account: fixture.account)?.state == .connecting)
        #expect(try await fixture.head() == head)
    }

    @Test func aSilentRelayIsLostAndBackWhenItIsHeardOf() async throws {
        let fixture = try await Fixture()
        let lease = try await fixture.lease()
        try await fixture.pool.transaction { tx in
            _ = try tx.query("UPDATE relays SET last_seen_at = now() - interval '5 minutes' WHERE id = 'r1'")
        }
        #expect(try await fixture.store.reapRelays(silentFor_s: 60, as: lease) == ["r1"])
        #expect(try await fixture.store.reapRelays(silentFor_s: 60, as: lease) == [])
        var state = RegionState(region: "eu")
        _ = try await follow(fixture, &state)
        #expect(state.relays["r1"]?.state == .lost)
        try await fixture.store.noteSeen(relays: ["r1", "unheard-of"])
        _ = try await follow(fixture, &state)
        #expect(state.relays["r1"]?.state == .active)
    }
}

@Suite struct LeaseTests {
    @Test func oneHolderAtATimeAndEachTakeoverIsANewEpoch() async throws {
        let store = try await Fixture().store
        let first = try #require(try await store.holdLease("leader", holder: "a", length_s: 600))
        #expect(first.epoch == 1)
        #expect(try await store.holdLease("leader", holder: "b", length_s: 600) == nil)
        #expect(try await store.holdLease("leader", holder: "a", length_s: 600) == first)
        try await store.releaseLease(first)
        #expect(try await store.holdLease("leader", holder: "b", length_s: 600)?.epoch == 2)
    }

    @Test func whoLostTheLeasePublishesNothing() async throws {
        let store = try await Fixture().store
        let old = try #require(try await store.holdLease("leader", holder: "a", length_s: 0))
        let new = try #require(try await store.holdLease("leader", holder: "b", length_s: 600))
        await #expect(throws: StoreError.leaseLost) { try await store.outbox("eu", after: 0, as: old) }
        await #expect(throws: StoreError.leaseLost) { try await store.regionSnapshot("eu", as: old) }
        await #expect(throws: StoreError.leaseLost) { try await store.reapRelays(silentFor_s: 1, as: old) }
        let deltas = try await store.outbox("eu", after: 0, as: new)
        #expect(deltas.allSatisfy { $0.epoch == new.epoch })
    }

    @Test func aRaceForTheLeaseHasOneWinner() async throws {
        let store = try await Fixture().store
        let winners = try await withThrowingTaskGroup(of: Lease?.self) { group in
            for number in 0..<12 {
                group.addTask { try await store.holdLease("leader", holder: "h\(number)", length_s: 600) }
            }
            return try await group.reduce(into: 0) { $0 += $1 == nil ? 0 : 1 }
        }
        #expect(winners == 1)
    }

    @Test func tidyingKeepsWhatIsFresh() async throws {
        let fixture = try await Fixture()
        let lease = try await fixture.lease()
        try await fixture.store.tidy(as: lease)
        #expect(try await fixture.store.outbox("eu", after: 0, as: lease).isEmpty == false)
    }
}
