import Core
import Domain
import Postgres
import Support
import Testing
import Wire

@testable import Store

extension Fixture {
    /// As if so many days had passed for what is there.
    fileprivate func age(_ days: Int) async throws {
        try await pool.transaction { tx in
            try tx.query(
                """
                UPDATE tunnels SET created_at = created_at - make_interval(days => $1),
                    last_linked_at = last_linked_at - make_interval(days => $1),
                    expiry_told_at = expiry_told_at - make_interval(days => $1)
                """, days)
            try tx.query(
                "UPDATE placements SET awaited_since = awaited_since - make_interval(days => $1)", days)
            _ = try tx.query(
                "UPDATE domains SET proven_at = proven_at - make_interval(days => $1)", days)
        }
    }

    /// One round as the leader makes it: what was deleted.
    @discardableResult
    fileprivate func expire(as lease: Lease) async throws -> [TunnelID] {
        _ = try await store.noteLinkedTunnels(limit: 100, as: lease)
        var deleted: [TunnelID] = []
        for account in try await store.accountsWithUnusedTunnels(after: nil, limit: 100, as: lease) {
            deleted += try await store.expireTunnels(of: account, as: lease)
        }
        return deleted
    }

    fileprivate func mailKinds() async throws -> [String] {
        try await pool.transaction { tx in
            try tx.query("SELECT kind FROM mail_outbox ORDER BY created_at, id").map { try $0["kind"] }
        }
    }

    /// Shown to people and relays.
    fileprivate func isThere(_ tunnel: TunnelView) async throws -> Bool {
        try await store.tunnel(tunnel.id, account: account) != nil
    }
}

@Suite struct UnusedTunnelStoreTests {
    /// Promise: nobody loses a tunnel without a mail two weeks before.
    @Test func anUnusedTunnelGoesTwoWeeksAfterItsMail() async throws {
        let fixture = try await Fixture(plan: "free")
        let lease = try await fixture.lease()
        let tunnel = try await fixture.tunnel()
        try await fixture.age(75)
        #expect(try await fixture.expire(as: lease) == [])
        #expect(try await fixture.mailKinds() == [])
        try await fixture.age(1)
        for _ in 0..<3 { #expect(try await fixture.expire(as: lease) == []) }
        #expect(try await fixture.mailKinds() == ["tunnel-will-expire"])
        try await fixture.age(13)
        #expect(try await fixture.expire(as: lease) == [])
        try await fixture.age(1)
        let head = try await fixture.head()
        #expect(try await fixture.expire(as: lease) == [tunnel.id])
        #expect(try await fixture.expire(as: lease) == [])
        #expect(try await fixture.mailKinds() == ["tunnel-will-expire", "tunnel-expired"])
        #expect(try await fixture.isThere(tunnel) == false)
        #expect(try await fixture.deltas(after: head).map(\.deletes) == [[tunnel.id.text]])
        #expect(
            try await fixture.audit("tunnel.expire") == [
                ["before": ["hostname": .string(tunnel.hostname), "region": "eu"], "after": nil]
            ])
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    @Test func anAgentThatComesKeepsIt() async throws {
        let fixture = try await Fixture(plan: "free")
        let lease = try await fixture.lease()
        let tunnel = try await fixture.tunnel()
        try await fixture.age(80)
        try await fixture.expire(as: lease)
        _ = try await fixture.place(tunnel.id, "s1")
        try await fixture.store.reportLinks(relay: "r1", up: [(tunnel.id, 1)], down: [])
        // For months, without a word from its relay.
        try await fixture.age(400)
        #expect(try await fixture.expire(as: lease) == [])
        // Its relay vanishes with it: it was used until then.
        try await fixture.store.reportLinks(relay: "r1", up: [], down: [(tunnel.id, 1)])
        try await fixture.age(75)
        #expect(try await fixture.expire(as: lease) == [])
        #expect(try await fixture.mailKinds() == ["tunnel-will-expire"])
        try await fixture.age(2)
        #expect(try await fixture.expire(as: lease) == [])
        #expect(try await fixture.mailKinds().count == 2)
    }

    @Test func aPlanThatKeepsThemAndOwnDomainsAreRespected() async throws {
        let fixture = try await Fixture(plan: "plus")
        let lease = try await fixture.lease()
        let tunnel = try await fixture.tunnel()
        let domain = try #require(
            try await fixture.store.addDomain(
                try OwnHostname("play.example.com", baseDomain: Fixture.baseDomain), tunnel: tunnel.id,
                account: fixture.account, actor: "test"))
        _ = try await fixture.store.recordDomainCheck(
            domain.id, account: fixture.account, .found, now: .now(), actor: "test")
        try await fixture.age(400)
        try await fixture.expire(as: lease)
        _ = try await fixture.store.changePlan("plus", actor: "test") { $0.unusedAfterDays = 30 }
        try await fixture.expire(as: lease)
        #expect(try await fixture.mailKinds() == [])
        _ = try await fixture.store.deleteDomain(
            domain.id, tunnel: tunnel.id, account: fixture.account, actor: "test")
        try await fixture.expire(as: lease)
        #expect(try await fixture.mailKinds() == ["tunnel-will-expire"])
    }

    /// Promise: two control planes at once delete and tell once.
    @Test func manyAtOnceDoItOnce() async throws {
        let fixture = try await Fixture(plan: "free")
        let lease = try await fixture.lease()
        let tunnel = try await fixture.tunnel()
        try await fixture.age(100)
        func allAtOnce() async throws -> [TunnelID] {
            try await withThrowingTaskGroup(of: [TunnelID].self) { group in
                for _ in 0..<6 { group.addTask { try await fixture.expire(as: lease) } }
                return try await group.reduce(into: []) { $0 += $1 }
            }
        }
        #expect(try await allAtOnce() == [])
        #expect(try await fixture.mailKinds() == ["tunnel-will-expire"])
        try await fixture.age(20)
        #expect(try await allAtOnce() == [tunnel.id])
        #expect(try await fixture.mailKinds().count == 2)
    }

    @Test func whoDoesNotLeadDeletesNothing() async throws {
        let fixture = try await Fixture(plan: "free")
        let lease = try await fixture.lease()
        let tunnel = try await fixture.tunnel()
        try await fixture.age(100)
        try await fixture.expire(as: lease)
        try await fixture.age(20)
        try await fixture.store.releaseLease(lease)
        _ = try await fixture.store.holdLease(Lease.leader, holder: "other", length_s: 600)
        await #expect(throws: StoreError.leaseLost) {
            _ = try await fixture.store.expireTunnels(of: fixture.account, as: lease)
        }
        await #expect(throws: StoreError.leaseLost) {
            _ = try await fixture.store.accountsWithUnusedTunnels(after: nil, limit: 1, as: lease)
        }
        await #expect(throws: StoreError.leaseLost) {
            _ = try await fixture.store.noteLinkedTunnels(limit: 1, as: lease)
        }
        #expect(try await fixture.isThere(tunnel))
    }
}
