import Core
import Domain
import Postgres
import Support
import Testing
import Wire

@testable import Store

extension Fixture {
    /// A tunnel with an agent of session s1, who has links to both relays.
    fileprivate func served(owner: String = "r1", standby: String? = "r2") async throws -> TunnelView {
        let tunnel = try await tunnel()
        _ = try await store.place(
            tunnel: tunnel.id, account: account, agentKey: agentKey, session: "s1", excluding: []
        ) { _ in .place(PlacementSeats(owner: owner, standby: standby)) }
        try await store.reportLinks(relay: owner, up: [(tunnel.id, 1)], down: [])
        if let standby { try await store.reportLinks(relay: standby, up: [(tunnel.id, 1)], down: []) }
        return tunnel
    }

    /// As if nothing had come or gone for an hour.
    fileprivate func settle() async throws {
        try await pool.transaction { tx in
            try tx.query("UPDATE placements SET awaited_since = awaited_since - interval '1 hour'")
            _ = try tx.query(
                """
                UPDATE relays SET registered_at = registered_at - interval '1 hour',
                    state_since = state_since - interval '1 hour'
                """)
        }
    }

    fileprivate func lose(_ relay: String, as lease: Lease) async throws {
        try await pool.transaction { tx in
            _ = try tx.query(
                "UPDATE relays SET last_seen_at = now() - interval '2 minutes' WHERE id = $1", relay)
        }
        #expect(try await store.reapRelays(silentFor_s: 60, as: lease) == [relay])
    }

    @discardableResult
    fileprivate func repair(
        _ need: RepairNeed, leaving: Set<String> = [], limit: Int = 200, as lease: Lease
    ) async throws -> Int {
        try await store.repairPlacements(in: "eu", need, leaving: leaving, limit: limit, as: lease) {
            Self.decide($0)
        }.count
    }

    /// "owner standby generation state" as people see it.
    fileprivate func seen(_ tunnel: TunnelView) async throws -> String {
        guard let now = try await store.tunnel(tunnel.id, account: account) else { return "gone" }
        return "\(now.owner ?? "-") \(now.standby ?? "-") \(now.generation ?? 0) \(now.state.rawValue)"
    }

    fileprivate func owners() async throws -> [String: Int] {
        try await pool.transaction { tx in
            var owners: [String: Int] = [:]
            for row in try tx.query("SELECT owner_relay_id AS id, count(*) AS n FROM placements GROUP BY 1") {
                owners[try row["id"]] = try row["n"]
            }
            return owners
        }
    }

    fileprivate func generations() async throws -> Set<Int> {
        try await pool.transaction { tx in
            Set(
                try tx.query("SELECT DISTINCT generation FROM placements").map { try $0["generation"] as Int }
            )
        }
    }

    /// All of them have an agent at their owner.
    fileprivate func linkAll() async throws {
        try await pool.transaction { tx in _ = try tx.query("UPDATE placements SET linked_at = now()") }
    }

    /// Another process takes the lead.
    fileprivate func depose(_ lease: Lease) async throws -> Lease {
        try await store.releaseLease(lease)
        return try #require(try await store.holdLease(Lease.leader, holder: "other", length_s: 600))
    }
}

@Suite struct RepairTests {
    /// Promise: when a relay is lost, the database says so too, and the tunnel is shown as what it is: online.
    @Test func aLostOwnerGivesWayToTheStandbyWhoseLinkIsUp() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2", "r3"])
        let lease = try await fixture.lease()
        let tunnel = try await fixture.served()
        try await fixture.lose("r1", as: lease)
        let head = try await fixture.head()
        #expect(try await fixture.repair(.urgent, as: lease) == 1)
        #expect(try await fixture.seen(tunnel) == "r2 r3 2 online")
        let told = try #require(try await fixture.deltas(after: head).first?.upserts.first)
        #expect(told.session == "s1")
        #expect(told.previousOwner == "r1")
        #expect(told.generation == 2)
        // Again there is nothing to do.
        #expect(try await fixture.repair(.urgent, as: lease) == 0)
        #expect(try await fixture.repair(.gentle, as: lease) == 0)
        #expect(try await fixture.head() == head + 1)
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    /// The agent's link is of the generation before until its ticket is renewed.
    @Test func theLinkOfAPromotedStandbyMayStillEnd() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2", "r3"])
        let lease = try await fixture.lease()
        let tunnel = try await fixture.served()
        try await fixture.lose("r1", as: lease)
        try await fixture.repair(.urgent, as: lease)
        try await fixture.store.reportLinks(relay: "r2", up: [], down: [(tunnel.id, 1)])
        #expect(try await fixture.seen(tunnel) == "r2 r3 2 offline")
    }

    @Test func whatADrainingRelayHasGoesElsewhereWithoutABreak() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2", "r3"])
        let lease = try await fixture.lease()
        let owned = try await fixture.served(owner: "r1", standby: "r2")
        let standby = try await fixture.served(owner: "r3", standby: "r1")
        let away = try await fixture.tunnel()
        _ = try await fixture.place(away.id, "s9")
        _ = try await fixture.store.setRelayState("r1", .draining, actor: "test")
        #expect(try await fixture.repair(.urgent, as: lease) == 0)
        #expect(try await fixture.repair(.gentle, as: lease) == 2)
        #expect(try await fixture.seen(owned) == "r2 r3 2 online")
        #expect(try await fixture.seen(standby) == "r3 r2 2 online")
        // Whose agent is away moves when it comes.
        #expect(try await fixture.seen(away) == "r1 r2 1 connecting")
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    @Test func aRelayThatOnlySaysItselfThatItDrainsCountsAsWell() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2"])
        let lease = try await fixture.lease()
        let tunnel = try await fixture.served()
        // The board knows of it too, and so does the decision.
        let moved = try await fixture.store.repairPlacements(
            in: "eu", .gentle, leaving: ["r1"], limit: 10, as: lease
        ) { question in
            var loads = RelayLoads()
            loads.report(LoadReport(relay: "r1", region: "eu", draining: true), now: .now())
            var random = SystemRandomNumberGenerator()
            return question.decision(by: loads, now: .now(), using: &random)
        }
        #expect(moved.count == 1)
        #expect(try await fixture.seen(tunnel) == "r2 - 2 online")
    }

    @Test func withoutAStandbyTheAgentIsOnItsWay() async throws {
        let fixture = try await Fixture(relays: ["r1"])
        let lease = try await fixture.lease()
        let tunnel = try await fixture.served(standby: nil)
        _ = try await fixture.store.setRelayState("r1", .draining, actor: "test")
        // There is nowhere to go: no revision is used up.
        let head = try await fixture.head()
        #expect(try await fixture.repair(.gentle, as: lease) == 0)
        #expect(try await fixture.head() == head)
        try await fixture.store.register(Fixture.relay("r2"))
        #expect(try await fixture.repair(.gentle, as: lease) == 1)
        #expect(try await fixture.seen(tunnel) == "r2 - 2 connecting")
    }

    @Test func aStandbyIsFoundOnceASecondRelayHasStayed() async throws {
        let fixture = try await Fixture(relays: ["r1"])
        let lease = try await fixture.lease()
        let tunnel = try await fixture.served(standby: nil)
        let away = try await fixture.tunnel()
        _ = try await fixture.place(away.id, "s9")
        try await fixture.store.register(Fixture.relay("r2"))
        #expect(try await fixture.repair(.gentle, as: lease) == 0)
        try await fixture.settle()
        #expect(try await fixture.repair(.gentle, as: lease) == 1)
        #expect(try await fixture.seen(tunnel) == "r1 r2 2 online")
        #expect(try await fixture.seen(away) == "r1 - 1 offline")
        #expect(try await fixture.repair(.gentle, as: lease) == 0)
    }

    /// Promise: what a relay reports of a standby's link is believed, and only of its own.
    @Test func aStandbysLinkKeepsTheTunnelOnline() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2"])
        let tunnel = try await fixture.served()
        try await fixture.store.reportLinks(relay: "r1", up: [], down: [(tunnel.id, 1)])
        #expect(try await fixture.seen(tunnel) == "r1 r2 1 online")
        try await fixture.store.reportLinks(relay: "r2", up: [], down: [(tunnel.id, 1)])
        #expect(try await fixture.seen(tunnel) == "r1 r2 1 offline")
        // Another session has begun: nobody believes a late word about the one before.
        _ = try await fixture.place(tunnel.id, "s2")
        try await fixture.store.reportLinks(relay: "r1", up: [(tunnel.id, 1)], down: [])
        #expect(try await fixture.seen(tunnel) == "r1 r2 2 connecting")
        try await fixture.store.reportLinks(relay: "r1", up: [(tunnel.id, 2)], down: [])
        try await fixture.store.reportLinks(relay: "r1", up: [], down: [(tunnel.id, 1)])
        #expect(try await fixture.seen(tunnel) == "r1 r2 2 online")
    }

    /// Relays tell of all their links each minute.
    @Test func whatIsKnownAlreadyIsNotWrittenAgain() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2"])
        let tunnel = try await fixture.served()
        func versions() async throws -> [String] {
            try await fixture.pool.transaction { tx in
                try tx.query(
                    """
                    SELECT p.xmin || ' ' || t.xmin || ' ' || p.xmax || ' ' || t.xmax AS versions
                    FROM placements p JOIN tunnels t ON t.id = p.tunnel_id
                    """
                ).map { try $0["versions"] }
            }
        }
        let before = try await versions()
        for relay in ["r1", "r2"] {
            try await fixture.store.reportLinks(relay: relay, up: [(tunnel.id, 1)], down: [])
        }
        #expect(try await versions() == before)
    }

    /// Promise: the session that asks again because its owner died is promoted, and shown as online at once.
    @Test func anAgentThatAsksItselfIsShownAsItIs() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2", "r3"])
        let tunnel = try await fixture.served()
        _ = try await fixture.place(tunnel.id, "s1", excluding: ["r1"])
        #expect(try await fixture.seen(tunnel) == "r2 r3 2 online")
        let other = try await fixture.served()
        _ = try await fixture.place(other.id, "s1", excluding: ["r2"])
        #expect(try await fixture.seen(other) == "r1 r3 2 online")
    }

    /// Promise: a reconciler that was killed half-way is begun again and does the rest, each tunnel once.
    @Test func manyAreMovedInBatchesAndTheNextLeaderDoesTheRest() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2", "r3"])
        var lease = try await fixture.lease()
        try await fixture.addPlacedTunnels(500)
        try await fixture.linkAll()
        _ = try await fixture.store.setRelayState("r1", .draining, actor: "test")
        let head = try await fixture.head()
        #expect(try await fixture.repair(.gentle, as: lease) == 200)
        let old = lease
        lease = try await fixture.depose(old)
        await #expect(throws: StoreError.leaseLost) { try await fixture.repair(.gentle, as: old) }
        #expect(try await fixture.repair(.gentle, as: lease) == 200)
        #expect(try await fixture.repair(.gentle, as: lease) == 100)
        #expect(try await fixture.repair(.gentle, as: lease) == 0)
        #expect(try await fixture.head() == head + 3)
        #expect(try await fixture.owners()["r1"] == nil)
        #expect(try await fixture.generations() == [2])
    }

    /// Promise: two control planes at once are harmless.
    @Test func manyAtOnceMoveEachTunnelOnce() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2", "r3"])
        let lease = try await fixture.lease()
        try await fixture.addPlacedTunnels(300)
        try await fixture.linkAll()
        try await fixture.pool.transaction { tx in
            _ = try tx.query("UPDATE placements SET standby_relay_id = 'r2', standby_linked_at = now()")
        }
        try await fixture.lose("r1", as: lease)
        let moved = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<6 { group.addTask { try await fixture.repair(.urgent, limit: 100, as: lease) } }
            return try await group.reduce(0, +)
        }
        #expect(moved <= 300)
        while try await fixture.repair(.urgent, as: lease) > 0 {}
        #expect(try await fixture.owners() == ["r2": 300])
        #expect(try await fixture.generations() == [2])
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    @Test func offlineTunnelsOfALostRelayMoveLast() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2"])
        let lease = try await fixture.lease()
        let away = try await fixture.tunnel()
        _ = try await fixture.place(away.id, "s9")
        try await fixture.store.reportLinks(relay: "r1", up: [(away.id, 1)], down: [])
        try await fixture.store.reportLinks(relay: "r1", up: [], down: [(away.id, 1)])
        try await fixture.lose("r1", as: lease)
        #expect(try await fixture.repair(.urgent, as: lease) == 0)
        #expect(try await fixture.repair(.gentle, as: lease) == 1)
        #expect(try await fixture.seen(away) == "r2 - 2 offline")
        #expect(try await fixture.repair(.gentle, as: lease) == 0)
    }

    @Test func whetherAnybodyIsHeardIsKnown() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2"])
        #expect(try await fixture.store.hearsRelays(within_s: 60))
        try await fixture.pool.transaction { tx in
            _ = try tx.query("UPDATE relays SET last_seen_at = now() - interval '2 minutes'")
        }
        #expect(try await fixture.store.hearsRelays(within_s: 60) == false)
        try await fixture.store.noteSeen(relays: ["r2"])
        #expect(try await fixture.store.hearsRelays(within_s: 60))
    }

    @Test func whatWasLostForADayIsForgotten() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2"])
        let lease = try await fixture.lease()
        try await fixture.lose("r1", as: lease)
        #expect(try await fixture.store.allRelays().map(\.info.state) == [.lost, .active])
        try await fixture.pool.transaction { tx in
            _ = try tx.query(
                """
                UPDATE relays SET last_seen_at = now() - interval '25 hours',
                    state_since = now() - interval '25 hours' WHERE id = 'r1'
                """)
        }
        #expect(try await fixture.store.reapRelays(silentFor_s: 60, as: lease) == [])
        #expect(try await fixture.store.allRelays().map(\.info.id) == ["r2"])
        let state = try await fixture.expectDeltasGiveTheSnapshot()
        #expect(state.relays.keys.sorted() == ["r2"])
        // It may come back.
        try await fixture.store.register(Fixture.relay("r1"))
        #expect(try await fixture.store.allRelays().count == 2)
    }
}

@Suite struct RebalanceStoreTests {
    private static let scores = ["r1": 0, "r2": 0, "r3": 0]

    private func round(
        _ fixture: Fixture, isUnderWay: Bool = false, scores: [String: Int] = scores, as lease: Lease
    ) async throws -> Int {
        try await fixture.store.rebalance(
            "eu", Rebalance(), isUnderWay: isUnderWay, scores: scores, settled_s: 60, as: lease
        ) { question in
            var random = SystemRandomNumberGenerator()
            return question.decision(by: RelayLoads(), now: .now(), using: &random)
        }
    }

    @Test func oneFullRelayIsEvenedOutSlowlyAndThenLeftAlone() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2", "r3"])
        let lease = try await fixture.lease()
        try await fixture.addPlacedTunnels(300)
        try await fixture.linkAll()
        // A relay has just come.
        #expect(try await round(fixture, as: lease) == 0)
        try await fixture.settle()
        // One is not heard of.
        #expect(try await round(fixture, scores: ["r1": 0, "r2": 0], as: lease) == 0)
        var rounds = 0
        while try await round(fixture, isUnderWay: rounds > 0, as: lease) > 0 {
            try await fixture.linkAll()
            rounds += 1
            try #require(rounds < 20)
        }
        #expect(rounds >= 180 / Rebalance().most)
        let owners = try await fixture.owners()
        #expect((owners.values.max() ?? 0) <= 120)
        #expect((owners.values.min() ?? 0) >= 80)
        let head = try await fixture.head()
        for _ in 0..<3 { #expect(try await round(fixture, as: lease) == 0) }
        #expect(try await fixture.head() == head)
    }

    @Test func toTheStandbyItIsAnExchangeThatCostsNoLink() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2"])
        let lease = try await fixture.lease()
        try await fixture.addPlacedTunnels(100)
        try await fixture.linkAll()
        try await fixture.pool.transaction { tx in
            _ = try tx.query("UPDATE placements SET standby_relay_id = 'r2', standby_linked_at = now()")
        }
        try await fixture.settle()
        #expect(try await round(fixture, scores: ["r1": 0, "r2": 0], as: lease) == 50)
        let exchanged: Int = try await fixture.pool.transaction { tx in
            try tx.row(
                """
                SELECT count(*) AS n FROM placements WHERE owner_relay_id = 'r2' AND standby_relay_id = 'r1'
                    AND linked_at IS NOT NULL AND standby_linked_at IS NOT NULL
                """)["n"]
        }
        #expect(exchanged == 50)
    }

    @Test func itKeepsStillWhileARelayDrainsAndForWhoDoesNotLead() async throws {
        let fixture = try await Fixture(relays: ["r1", "r2", "r3"])
        let lease = try await fixture.lease()
        try await fixture.addPlacedTunnels(300)
        try await fixture.linkAll()
        _ = try await fixture.store.setRelayState("r3", .draining, actor: "test")
        try await fixture.settle()
        #expect(try await round(fixture, as: lease) == 0)
        _ = try await fixture.store.setRelayState("r3", .active, actor: "test")
        try await fixture.settle()
        _ = try await fixture.depose(lease)
        await #expect(throws: StoreError.leaseLost) { _ = try await round(fixture, as: lease) }
        #expect(try await fixture.owners() == ["r1": 300])
    }
}
