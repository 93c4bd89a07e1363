import Core
import Domain
import Postgres
import Store
import Stripe
import Testing

@testable import Reconcilers

@Suite("What webhooks missed", .timeLimit(.minutes(3)))
struct StripeReconcilerTests {
    private let updated = "customer.subscription.updated"

    @Test func eventsThatWereNotDeliveredAreFetchedOnceAndTheCursorIsKept() async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        let active = Pretend.subscription("sub_1", "cus_1", .active)
        fixture.stripe.set(active)
        let longAgo = WallTime.now() + -7200
        // Newest first, as Stripe lists them.
        fixture.stripe.lists([
            Pretend.event("evt_3", "plan.created", ["id": "plan_1"]),
            Pretend.event("evt_2", updated, active, created: longAgo + 1),
            Pretend.event("evt_1", updated, active, created: longAgo), "nonsense",
        ])
        let lease = try await fixture.lease()
        try await fixture.reconciler().catchUp(after: nil, as: lease)
        try await fixture.reconciler().catchUp(after: nil, as: lease)
        try await fixture.work()
        #expect(try await fixture.count("stripe_events WHERE source = 'catch-up'") == 3)
        #expect(try await fixture.state(account).plan == "plus")
        // The newest that nobody tries to deliver any more.
        #expect(try await fixture.store.progress(of: .events).cursor == "evt_2")
    }

    @Test func anEventThatIsDeliveredAndFetchedCountsOnce() async throws {
        let fixture = try await StripeFixture()
        _ = try await fixture.account(customer: "cus_1")
        let event = Pretend.event(
            "evt_1", "invoice.payment_failed",
            ["id": "in_1", "object": "invoice", "customer": "cus_1", "status": "open"])
        fixture.stripe.set(["id": "in_1", "object": "invoice", "status": "open"])
        fixture.stripe.lists([event])
        try await fixture.deliver(event)
        try await fixture.work()
        try await fixture.reconciler().catchUp(after: nil, as: try await fixture.lease())
        try await fixture.work()
        #expect(try await fixture.count("mail_outbox") == 1)
    }

    @Test func differencesAreRepairedAndAudited() async throws {
        let fixture = try await StripeFixture()
        let missed = try await fixture.account(customer: "cus_1")
        let ended = try await fixture.account(customer: "cus_2")
        let same = try await fixture.account(customer: "cus_3")
        for customer in ["cus_2", "cus_3"] {
            let active = Pretend.subscription("sub_\(customer)", customer, .active)
            fixture.stripe.set(active)
            try await fixture.deliver(Pretend.event("evt_\(customer)", updated, active))
        }
        try await fixture.work()
        fixture.stripe.set(Pretend.subscription("sub_cus_1", "cus_1", .active, price: "price_team"))
        fixture.stripe.forget("sub_cus_2")
        let lease = try await fixture.lease()
        try await fixture.reconciler().reconcile(as: lease, isNew: true)
        #expect(try await fixture.state(missed).plan == "team")
        #expect(try await fixture.state(ended).billing == .revoked)
        #expect(try await fixture.state(same).billing == .active)
        #expect(try await fixture.count("audit_log WHERE action = 'billing.repair'") == 2)
        #expect(
            try await fixture.count(
                "audit_log WHERE action = 'account.billing' AND actor = 'system:stripe-reconciler'") == 2)
        // The next time there is nothing to do, and it is not due.
        let asked = fixture.stripe.asked.count
        try await fixture.reconciler().reconcile(as: lease, isNew: false)
        #expect(fixture.stripe.asked.count == asked)
        try await fixture.reconciler().compare(as: lease)
        #expect(try await fixture.count("audit_log WHERE action = 'billing.repair'") == 2)
    }

    @Test func aKeyOfAnotherAccountRevokesNobody() async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        let active = Pretend.subscription("sub_1", "cus_1", .active)
        fixture.stripe.set(active)
        try await fixture.deliver(Pretend.event("evt_1", updated, active))
        try await fixture.work()
        fixture.stripe.forget("cus_1")
        fixture.stripe.forget("sub_1")
        try await fixture.reconciler().compare(as: try await fixture.lease())
        #expect(try await fixture.state(account).billing == .active)
    }

    @Test func afterAGapThatEventsCannotFillEverythingIsCompared() async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        let lease = try await fixture.lease()
        try await fixture.reconciler().reconcile(as: lease, isNew: true)
        fixture.stripe.set(Pretend.subscription("sub_1", "cus_1", .active))
        try await fixture.reconciler().reconcile(as: lease, isNew: true)
        #expect(try await fixture.state(account).billing == .none)
        try await fixture.pool.transaction { tx in
            _ = try tx.query(
                "UPDATE stripe_reconciliation SET ran_at = now() - interval '29 days' WHERE name = 'events'")
        }
        try await fixture.reconciler().reconcile(as: lease, isNew: false)
        #expect(try await fixture.state(account).billing == .active)
    }

    @Test func whileStripeIsAwayNothingIsLost() async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        fixture.stripe.set(Pretend.subscription("sub_1", "cus_1", .active))
        let lease = try await fixture.lease()
        fixture.stripe.has(.answers(status: 200, body: "<html>"))
        await #expect(throws: (any Error).self) {
            try await fixture.reconciler().reconcile(as: lease, isNew: true)
        }
        #expect(try await fixture.store.progress(of: .subscriptions).age_s == nil)
        fixture.stripe.has(.fine)
        try await fixture.reconciler().reconcile(as: lease, isNew: true)
        #expect(try await fixture.state(account).billing == .active)
    }

    @Test func whoDoesNotLeadAnyMoreNotesNothing() async throws {
        let fixture = try await StripeFixture()
        var lease = try await fixture.lease()
        lease.epoch -= 1
        let old = lease
        await #expect(throws: StoreError.leaseLost) {
            try await fixture.reconciler().catchUp(after: nil, as: old)
        }
    }
}
