import Core
import Domain
import Postgres
import Store
import Stripe
import Support
import Testing

@testable import Reconcilers

/// A store, a pretended Stripe and a worker between them. `plus` and `team` are sold by `price_plus` and `price_team`.
struct StripeFixture: Sendable {
    let base: Fixture
    let stripe = PretendStripe()
    let worker: StripeWorker
    let pool: Pool
    static let terms = BillingTerms(grace_s: 3600, link: "https://mine.example")

    var store: Store { base.store }

    init(key: String = "sk_test_1") async throws {
        base = try await Fixture()
        pool = Pool(url: base.url, maxConnections: 2, timeouts: Fixture.patient)
        for plan in ["plus", "team"] {
            _ = try await base.store.changePlan(plan, actor: "ops") { $0.stripePrice = "price_\(plan)" }
        }
        worker = StripeWorker(
            store: base.store, client: stripe.client(key: key), terms: Self.terms, bell: Bell(),
            metrics: StripeMetrics(Metrics()))
    }

    /// An account whose customer we made.
    func account(customer: String? = nil) async throws -> AccountID {
        let id = try #require(AccountID(try await base.account(plan: "free").id))
        if let customer {
            stripe.set(Pretend.customer(customer))
            #expect(try await store.bindStripeCustomer(customer, to: id, actor: "test"))
        }
        return id
    }

    func deliver(_ events: JSON...) async throws {
        try await store.keep(events.map { NewStripeEvent(try StripeEvent($0)) }, from: .webhook)
    }

    /// Works until nothing is due.
    func work() async throws {
        while try await worker.step() {}
    }

    /// Makes what was put back due again.
    func passTime() async throws {
        try await pool.transaction { tx in
            _ = try tx.query("UPDATE stripe_events SET due_at = now() WHERE state = 'pending'")
        }
    }

    func state(_ account: AccountID) async throws -> AccountState {
        try #require(try await store.account(account)).terms.state
    }

    /// One column of one row, as text.
    func look(_ sql: String) async throws -> String? {
        try await pool.transaction { tx in try tx.query(sql).first?["x"] }
    }

    func count(_ sql: String) async throws -> Int {
        try await pool.transaction { tx in try tx.row("SELECT count(*) AS x FROM \(sql)")["x"] }
    }

    func lease() async throws -> Lease {
        try #require(try await store.holdLease(Lease.leader, holder: "test", length_s: 600))
    }

    func reconciler(key: String = "sk_test_1") -> StripeReconciler {
        StripeReconciler(
            store: store, client: stripe.client(key: key), terms: Self.terms,
            leadership: Leadership(store: store, holder: "test"), metrics: StripeMetrics(Metrics()))
    }
}
