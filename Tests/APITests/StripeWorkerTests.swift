import Core
import Domain
import Postgres
import Store
import Stripe
import Testing

@testable import Reconcilers

@Suite("What Stripe says is what counts", .timeLimit(.minutes(3)))
struct StripeWorkerTests {
    private let updated = "customer.subscription.updated"

    @Test func planAndBillFollowWhatIsFetchedWhateverWasDeliveredTwiceAndOutOfOrder() async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        let canceled = Pretend.subscription("sub_1", "cus_1", .canceled)
        let incomplete = Pretend.subscription("sub_1", "cus_1", .incomplete)
        fixture.stripe.set(Pretend.subscription("sub_1", "cus_1", .active))
        // The end comes before the beginning, and the beginning twice.
        try await fixture.deliver(Pretend.event("evt_2", "customer.subscription.deleted", canceled))
        try await fixture.work()
        for _ in 1...2 {
            try await fixture.deliver(Pretend.event("evt_1", "customer.subscription.created", incomplete))
            try await fixture.work()
        }
        var state = try await fixture.state(account)
        #expect(state.plan == "plus")
        #expect(state.billing == .active)
        #expect(try await fixture.count("stripe_events WHERE state = 'done' AND attempts = 1") == 2)
        #expect(try await fixture.count("audit_log WHERE action = 'account.billing'") == 1)

        fixture.stripe.set(canceled)
        let active = Pretend.subscription("sub_1", "cus_1", .active)
        try await fixture.deliver(Pretend.event("evt_3", updated, active))
        try await fixture.work()
        state = try await fixture.state(account)
        #expect(state.plan == "free")
        #expect(state.billing == .revoked)
    }

    @Test(arguments: [
        (SubscriptionStatus.trialing, BillingState.active, "plus"), (.active, .active, "plus"),
        (.pastDue, .grace, "plus"), (.unpaid, .suspended, "plus"), (.paused, .suspended, "plus"),
        (.canceled, .revoked, "free"), (.incompleteExpired, .revoked, "free"),
        (.incomplete, BillingState.none, "free"),
    ]) func everyStatusReachesTheAccount(
        _ status: SubscriptionStatus, _ billing: BillingState, _ plan: String
    ) async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        let subscription = Pretend.subscription("sub_1", "cus_1", status)
        fixture.stripe.set(subscription)
        try await fixture.deliver(Pretend.event("evt_1", updated, subscription))
        try await fixture.work()
        let state = try await fixture.state(account)
        #expect(state.billing == billing)
        #expect(state.plan == plan)
    }

    @Test func anOlderAnswerNeverOverwritesANewerOne() async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        let active = Pretend.subscription("sub_1", "cus_1", .active)
        let unpaid = Pretend.subscription("sub_1", "cus_1", .unpaid)
        fixture.stripe.set(active)
        // Between the first worker's answer and its writing, Stripe changes and another worker reads and writes.
        fixture.stripe.beforeNextAnswer {
            fixture.stripe.set(unpaid)
            try await fixture.deliver(Pretend.event("evt_2", updated, unpaid))
            #expect(try await fixture.worker.step())
        }
        try await fixture.deliver(Pretend.event("evt_1", updated, active))
        try await fixture.work()
        #expect(try await fixture.state(account).billing == .suspended)
        #expect(try await fixture.count("stripe_events WHERE state = 'done'") == 2)
    }

    @Test(arguments: [
        PretendStripe.Weather.away, .answers(status: 200, body: "<html>a day off</html>"),
        .answers(status: 200, body: "{\"object\":\"list\",\"data\":[{\"id\""),
        .answers(status: 500, body: "{}"), .answers(status: 503, body: "<html>"),
        .answers(status: 429, body: "{\"error\":{\"code\":\"rate_limit\"}}"),
        .answers(status: 401, body: "{\"error\":{\"message\":\"Invalid API Key\"}}"),
        .answers(status: 200, body: "{\"object\":\"list\"}"),
        .answers(status: 200, body: "{\"data\":[{\"object\":\"subscription\",\"id\":\"sub_1\"}]}"),
    ]) func whileStripeHasABadDayEventsWait(_ weather: PretendStripe.Weather) async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        let active = Pretend.subscription("sub_1", "cus_1", .active)
        fixture.stripe.set(active)
        fixture.stripe.has(weather)
        try await fixture.deliver(Pretend.event("evt_1", updated, active))
        for tries in 1...3 {
            try await fixture.passTime()
            #expect(try await fixture.worker.step())
            #expect(
                try await fixture.count(
                    """
                    stripe_events WHERE state = 'pending' AND attempts = \(tries) AND strikes = 0
                        AND lease IS NULL AND problem LIKE 'Stripe%'
                    """) == 1)
        }
        #expect(try await fixture.state(account).billing == .none)
        fixture.stripe.has(.fine)
        try await fixture.passTime()
        try await fixture.work()
        #expect(try await fixture.state(account).billing == .active)
    }

    @Test func whatIsNobodysFaultIsNeverGivenUp() {
        let away = StripeTrouble(StripeError.unreachable("no answer"))
        let wrong = StripeTrouble(WrongStripeMode(keyIsLive: true))
        let own = StripeTrouble(UnknownStripeCustomer(customer: "cus_1"))
        #expect(!away.isHopeless(after: 1_000_000))
        #expect(!wrong.isHopeless(after: 1_000_000))
        #expect(!StripeTrouble(StoreError.unavailable("away")).isHopeless(after: 1_000_000))
        #expect(own.isHopeless(after: 1_000_000))
        #expect([0, 1, 2, 5, 6, 100].map { away.pause_s(after: $0) } == [1, 2, 4, 32, 60, 60])
        #expect(own.pause_s(after: 100) == 3600)
        // What repairs itself gets hours for it.
        let patience_s = (0...).lazy.prefix { !own.isHopeless(after: $0 + 1) }.map { own.pause_s(after: $0) }
        #expect(patience_s.reduce(0, +) > 6 * 3600)
    }

    @Test func aCustomerThatStripeDoesNotKnowRevokesNobody() async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        let active = Pretend.subscription("sub_1", "cus_1", .active)
        fixture.stripe.set(active)
        try await fixture.deliver(Pretend.event("evt_1", updated, active))
        try await fixture.work()
        // Another account's key sees nothing of ours.
        fixture.stripe.forget("cus_1")
        fixture.stripe.forget("sub_1")
        try await fixture.deliver(Pretend.event("evt_2", updated, active))
        try await fixture.work()
        #expect(try await fixture.state(account).billing == .active)
        let problem = try await fixture.look("SELECT problem AS x FROM stripe_events WHERE state = 'pending'")
        #expect(problem?.contains("STRIPE_SECRET_KEY") == true)
    }

    @Test func aKeyOfTheOtherModeRevokesNobody() async throws {
        let fixture = try await StripeFixture(key: "sk_live_1")
        let account = try await fixture.account(customer: "cus_1")
        let canceled = Pretend.subscription("sub_1", "cus_1", .canceled)
        fixture.stripe.set(canceled)
        try await fixture.deliver(
            Pretend.event("evt_1", "customer.subscription.deleted", canceled),
            Pretend.event("evt_2", "customer.deleted", Pretend.customer("cus_1")))
        for _ in 1...30 {
            try await fixture.passTime()
            try await fixture.work()
        }
        #expect(fixture.stripe.asked.isEmpty)
        #expect(try await fixture.state(account).billing == .none)
        #expect(
            try await fixture.count("stripe_events WHERE state = 'pending' AND problem LIKE '%live mode%'")
                == 2)
    }

    @Test func whatNobodyKnowsIsStoredAndIgnored() async throws {
        let fixture = try await StripeFixture()
        try await fixture.deliver(Pretend.event("evt_1", "plan.created", ["id": "plan_1"]))
        #expect(try await !fixture.worker.step())
        #expect(try await fixture.count("stripe_events WHERE state = 'ignored'") == 1)
    }

    @Test func anEventThatCannotBeReadIsKeptForPeople() async throws {
        let fixture = try await StripeFixture()
        _ = try await fixture.account(customer: "cus_1")
        // A dispute without a status, and beside it an event that is fine.
        try await fixture.deliver(
            Pretend.event("evt_1", "charge.dispute.created", ["id": "dp_1", "customer": "cus_1"]),
            Pretend.event("evt_2", updated, Pretend.subscription("sub_1", "cus_1", .active)))
        for _ in 1...25 {
            try await fixture.passTime()
            try await fixture.work()
        }
        #expect(try await fixture.count("stripe_events WHERE id = 'evt_1' AND state = 'failed'") == 1)
        #expect(try await fixture.count("stripe_events WHERE id = 'evt_2' AND state = 'done'") == 1)
    }

    @Test func aGraceEndsByItself() async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        let now = WallTime.now()
        func late(since: WallTime) -> JSON {
            Pretend.subscription(
                "sub_1", "cus_1", .pastDue,
                invoice: [
                    "object": "invoice", "id": "in_1", "status": "open", "created": .integer(since.seconds),
                ])
        }
        fixture.stripe.set(late(since: now))
        try await fixture.deliver(Pretend.event("evt_1", updated, late(since: now)))
        try await fixture.work()
        #expect(try await fixture.state(account).billing == .grace)
        let lease = try await fixture.lease()
        #expect(try await fixture.store.decideDueBilling(StripeFixture.terms, as: lease) == 0)
        // An hour later, without any news.
        try await fixture.pool.transaction { tx in
            _ = try tx.query("UPDATE stripe_subscriptions SET late_since = late_since - interval '1 hour'")
            _ = try tx.query("UPDATE account_billing SET changes_at = changes_at - interval '1 hour'")
        }
        #expect(try await fixture.store.decideDueBilling(StripeFixture.terms, as: lease) == 1)
        #expect(try await fixture.state(account).billing == .throttled)
        #expect(try await fixture.store.decideDueBilling(StripeFixture.terms, as: lease) == 0)
    }

    @Test func whatAnOperatorGaveSinceStays() async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        let active = Pretend.subscription("sub_1", "cus_1", .active)
        fixture.stripe.set(active)
        try await fixture.deliver(Pretend.event("evt_1", updated, active))
        try await fixture.work()
        _ = try await fixture.store.setPlan("unlimited", account: account, actor: "ops")
        try await fixture.deliver(Pretend.event("evt_2", updated, active))
        try await fixture.work()
        #expect(try await fixture.state(account).plan == "unlimited")
        fixture.stripe.set(Pretend.subscription("sub_1", "cus_1", .canceled))
        try await fixture.deliver(Pretend.event("evt_3", updated, active))
        try await fixture.work()
        #expect(try await fixture.state(account).plan == "unlimited")
    }

    @Test func aPriceThatSellsAnotherPlanMovesItsBuyers() async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        let active = Pretend.subscription("sub_1", "cus_1", .active, price: "price_new")
        fixture.stripe.set(active)
        try await fixture.deliver(Pretend.event("evt_1", updated, active))
        try await fixture.work()
        #expect(try await fixture.state(account).plan == "free")
        #expect(try await fixture.count("billing_flags WHERE kind = 'unknown_price'") == 1)
        _ = try await fixture.store.changePlan("team", actor: "ops") { $0.stripePrice = "price_new" }
        let lease = try await fixture.lease()
        #expect(try await fixture.store.decideDueBilling(StripeFixture.terms, as: lease) == 1)
        #expect(try await fixture.state(account).plan == "team")
    }

    @Test func aDeletedCustomerIsOver() async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        let active = Pretend.subscription("sub_1", "cus_1", .active)
        fixture.stripe.set(active)
        try await fixture.deliver(Pretend.event("evt_1", updated, active))
        try await fixture.work()
        #expect(try await fixture.store.stripeCustomer(of: account) == "cus_1")
        fixture.stripe.forget("sub_1")
        fixture.stripe.set(["id": "cus_1", "object": "customer", "deleted": true])
        try await fixture.deliver(Pretend.event("evt_2", "customer.deleted", Pretend.customer("cus_1")))
        try await fixture.work()
        #expect(try await fixture.state(account).billing == .revoked)
        #expect(try await fixture.state(account).plan == "free")
        #expect(try await fixture.store.stripeCustomer(of: account) == nil)
        // What comes late about it is taken, and changes nothing.
        try await fixture.deliver(Pretend.event("evt_3", updated, active))
        try await fixture.work()
        #expect(try await fixture.count("stripe_events WHERE state = 'done'") == 3)
        #expect(try await fixture.state(account).billing == .revoked)
    }
}
