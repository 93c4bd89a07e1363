import Core
import Crypto
import Domain
import Postgres
import Support
import Wire

@testable import Store

/// A migrated database with a region, two relays, and an account on a plan without limits.
struct Fixture {
    let url: String
    let pool: Pool
    let store: Store
    let account: AccountID
    let agentKey: AgentKeyID
    static let region = "eu"
    static let baseDomain = "example.test"

    init(plan: String = "unlimited", relays: [String] = ["r1", "r2"]) async throws {
        url = try await PrivatePostgres.createDatabase()
        pool = Pool(
            url: url, maxConnections: 8,
            timeouts: PostgresTimeouts(connect: .seconds(30), work: .seconds(30)))
        store = Store(pool: pool)
        account = try await store.createAccount(
            email: "anna@example.test", passwordHash: "x", plan: plan, apiKeyHash: SHA256.hash([1]),
            agentKeyHash: SHA256.hash([2]), actor: "test")
        let made = try await store.agentKeys(of: account, Page()).items
        agentKey = made[0].id
        try await store.ensureRegion(Self.region, name: "Europe")
        for relay in relays { try await store.register(Self.relay(relay)) }
    }

    static func relay(_ id: String, region: String = region, port: Int = 25565) -> RelayInfo {
        RelayInfo(
            id: id, region: region, endpoint: "127.0.0.1:\(port)",
            fingerprint: Hex.encode(SHA256.hash(Array(id.utf8))))
    }

    func tunnel(_ label: String? = nil) async throws -> TunnelView {
        try await store.createTunnel(
            account: account, region: Self.region, label: label, baseDomain: Self.baseDomain, actor: "test")
    }

    func place(_ tunnel: TunnelID, _ session: String, excluding: Set<String> = []) async throws
        -> PlacementView?
    {
        try await store.place(
            tunnel: tunnel, account: account, agentKey: agentKey, session: session, excluding: excluding
        ) { Self.decide($0) }
    }

    /// By the rules; loads that lie make r1 better than r2, and so on.
    static func decide(_ question: PlacementQuestion) -> PlacementDecision {
        var loads = RelayLoads()
        for (number, relay) in question.relays.enumerated() {
            loads.report(LoadReport(relay: relay.id, region: relay.region, links: number), now: .now())
        }
        var random = SystemRandomNumberGenerator()
        return question.decision(by: loads, now: .now(), using: &random)
    }

    func head() async throws -> Int {
        try await pool.transaction { tx in try tx.row("SELECT rev FROM regions WHERE id = 'eu'")["rev"] }
    }

    func lease() async throws -> Lease {
        guard let lease = try await store.holdLease(Lease.leader, holder: "test", length_s: 600) else {
            throw SupportError("the lease is taken")
        }
        return lease
    }
}
