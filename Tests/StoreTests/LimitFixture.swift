import Core
import Crypto
import Domain
import Postgres
import Support
import Testing
import Wire

@testable import Store

/// What tests of plans and exceptions need beside the rest.
extension Fixture {
    func account(plan: String) async throws -> AccountID {
        try await store.createAccount(
            email: "\(Hex.encode(SecureRandom.bytes(8)))@example.test", passwordHash: "x", plan: plan,
            apiKeyHash: SecureRandom.bytes(32), agentKeyHash: SecureRandom.bytes(32), actor: "test")
    }

    func tunnel(of account: AccountID, region: String = Fixture.region) async throws -> TunnelView {
        try await store.createTunnel(
            account: account, region: region, label: nil, baseDomain: Self.baseDomain, actor: "test")
    }

    /// Placed on the first relay, without a revision of their own.
    func addPlacedTunnels(_ count: Int) async throws {
        let ids = (0..<count).map { TunnelID(entropy: [7, UInt8($0 >> 8), UInt8($0 & 0xFF)]) }
        try await pool.transaction { [account, agentKey] tx in
            try tx.query(
                """
                INSERT INTO tunnels (id, account_id, region_id, label, hostname)
                SELECT id, $2, 'eu', 'n' || at, 'n' || at || '.eu.example.test'
                FROM unnest($1::text[]) WITH ORDINALITY AS made (id, at)
                """, TextArray(ids), account)
            try tx.query(
                """
                INSERT INTO placements (tunnel_id, region_id, generation, session, agent_key_id, owner_relay_id)
                SELECT id, 'eu', 1, 's' || id, $2, 'r1' FROM unnest($1::text[]) AS made (id)
                """, TextArray(ids), agentKey)
        }
    }

    func deltas(after rev: Int) async throws -> [RegionDelta] {
        try await store.outbox(Self.region, after: rev, as: lease())
    }

    /// What was noted of an action, in order.
    func audit(_ action: String) async throws -> [JSON] {
        try await pool.transaction { tx in
            try tx.query("SELECT before, after FROM audit_log WHERE action = $1 ORDER BY id", action)
                .map { row in
                    let before: JSON? = try row["before"]
                    let after: JSON? = try row["after"]
                    return ["before": before ?? .null, "after": after ?? .null]
                }
        }
    }

    /// Promise: whoever applied every delta knows what the database knows, with no revision missing.
    @discardableResult
    func expectDeltasGiveTheSnapshot() async throws -> RegionState {
        let snapshot = try await store.regionSnapshot(Self.region, as: lease())
        var whole = RegionState(region: Self.region)
        _ = whole.apply(snapshot, fromControlPlane: true)
        var stepwise = RegionState(region: Self.region)
        for delta in try await deltas(after: 0) {
            guard case .applied = stepwise.apply(delta) else {
                Issue.record("revision \(delta.rev) does not follow")
                break
            }
        }
        #expect(stepwise.assignments == whole.assignments)
        #expect(stepwise.digest == whole.digest)
        return whole
    }
}
