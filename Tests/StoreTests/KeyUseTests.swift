import Core
import Crypto
import Domain
import Postgres
import Support
import Testing

@testable import Store

/// When a key's use is noted, and what its end takes along.
@Suite struct KeyUseTests {
    @Test func theUseOfAnOperatorKeyIsNotedOnceAMinute() async throws {
        let fixture = try await Fixture()
        let key = TypedKey.generate(prefix: .operator)
        let id = OperatorKeyID(entropy: [1])
        try await fixture.store.createOperatorKey(
            id, name: "ops", role: .support, hash: key.hash, actor: "test")
        func use(after pause_s: Int) async throws -> Bool {
            let before: String? = try await fixture.pool.transaction { tx in
                try tx.query(
                    "UPDATE operator_keys SET last_used_at = now() - make_interval(secs => $1)", pause_s)
                return try tx.row("SELECT last_used_at::text AS at FROM operator_keys")["at"]
            }
            #expect(try await fixture.store.keyHolder(key) == .operator(id, .support))
            let after: String? = try await fixture.pool.transaction { tx in
                try tx.row("SELECT last_used_at::text AS at FROM operator_keys")["at"]
            }
            return after != before
        }
        #expect(try await use(after: -3600) == false)
        #expect(try await use(after: 120) == true)
    }

    @Test func theKeysOfOnePersonEndTogetherInEveryRegion() async throws {
        let fixture = try await Fixture()
        let store = fixture.store
        try await store.ensureRegion("us", name: "America")
        try await store.register(Fixture.relay("r3", region: "us"))
        let owner = try #require(try await store.credentials(email: "anna@example.test"))
        var keys: [AgentKeyID] = []
        for number in 0..<2 {
            let id = AgentKeyID(entropy: [UInt8(10 + number)])
            _ = try await store.createAgentKey(
                id, account: fixture.account, name: "home", hash: SHA256.hash([UInt8(10 + number)]),
                actor: Actor(owner.user.text))
            keys.append(id)
        }
        var tunnels: [TunnelID] = []
        for (key, region) in zip(keys, ["us", "eu"]) {
            let tunnel = try await store.createTunnel(
                account: fixture.account, region: region, label: nil, baseDomain: Fixture.baseDomain,
                actor: "test")
            _ = try await store.place(
                tunnel: tunnel.id, account: fixture.account, agentKey: key, session: "ses-1", excluding: []
            ) { Fixture.decide($0) }
            tunnels.append(tunnel.id)
        }
        try await fixture.pool.transaction { [account = fixture.account] tx in
            try tx.revokeKeys(of: owner.user, account: account, beyond: nil, actor: "test")
        }
        for tunnel in tunnels {
            let owner: String? = try await fixture.pool.transaction { tx in
                try tx.row("SELECT owner_relay_id AS r FROM placements WHERE tunnel_id = $1", tunnel)["r"]
            }
            #expect(owner == nil)
        }
        // The key that nobody signed in for goes on.
        #expect(try await store.agentKeys(of: fixture.account, Page()).items.map(\.id) == [fixture.agentKey])
    }
}
