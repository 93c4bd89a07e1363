import Core
import Domain
import Stripe
import Testing

@Suite struct BillingTests {
    private let now = WallTime(seconds: 1_700_000_000)
    private let plus = SoldPlan(id: "plus", position: 2)
    private let team = SoldPlan(id: "team", position: 3)

    private func decide(_ subscriptions: [Subscription], isDisputed: Bool = false) -> Billing {
        Billing.decide(subscriptions, isDisputed: isDisputed, now: now, grace_s: 100)
    }

    @Test func aDisputeSuspendsWhateverElseThereIs() {
        let paid = Subscription(id: "sub_1", status: .active, plan: plus)
        #expect(decide([paid], isDisputed: true).state == .suspended)
        #expect(decide([paid], isDisputed: false).state == .active)
        for status in ["needs_response", "under_review", "lost", "warning_needs_response", "another"] {
            #expect(Dispute(id: "dp_1", status: status, charge: nil).suspends, "\(status)")
        }
        for status in ["won", "warning_closed", "prevented"] {
            #expect(!Dispute(id: "dp_1", status: status, charge: nil).suspends, "\(status)")
        }
    }

    @Test func whatWasNotPaidYetGivesNothing() {
        #expect(decide([]).state == .none)
        let unpaid = Subscription(id: "sub_1", status: .active, awaitsPayment: true, plan: plus)
        #expect(decide([unpaid]).state == .none)
        #expect(decide([unpaid]).plan == .takeBack)
        let over = Subscription(id: "sub_0", status: .canceled, plan: plus)
        #expect(decide([over, unpaid]).state == .revoked)
    }

    @Test func whatAnOperatorGaveIsNotTakenAway() {
        #expect(Billing.PlanChange.to("plus").applied(to: "free", given: nil) == "plus")
        #expect(Billing.PlanChange.to("plus").applied(to: "team", given: "plus") == "team")
        #expect(Billing.PlanChange.to("team").applied(to: "unlimited", given: "plus") == "team")
        #expect(Billing.PlanChange.takeBack.applied(to: "plus", given: "plus") == "free")
        #expect(Billing.PlanChange.takeBack.applied(to: "team", given: "plus") == "team")
        #expect(Billing.PlanChange.keep.applied(to: "team", given: "plus") == "team")
    }

    @Test func aLinksReferenceIsNotBelieved() throws {
        var session: JSONObject = [
            "id": "cs_1", "object": "checkout.session", "payment_status": "paid",
            "client_reference_id": "acc_1", "payment_link": .null,
        ]
        #expect(try FoundCheckout(stripe: .object(session)).reference == "acc_1")
        session["payment_link"] = "plink_1"
        #expect(try FoundCheckout(stripe: .object(session)).reference == nil)
    }

    @Test(arguments: [
        ("paid", true), ("no_payment_required", true), ("unpaid", false), ("", false),
    ]) func onlyAPaidCheckoutGrants(_ status: String, _ isPaid: Bool) throws {
        let session: JSON = ["id": "cs_1", "payment_status": .string(status)]
        #expect(try FoundCheckout(stripe: session).isPaid == isPaid)
    }

    @Test func everyEventOfTheTableHasItsWork() {
        let works: [StripeWork: [String]] = [
            .checkout: ["completed", "async_payment_succeeded", "async_payment_failed", "expired"].map {
                "checkout.session.\($0)"
            },
            .refresh: [
                "created", "updated", "deleted", "paused", "resumed", "pending_update_expired",
                "trial_will_end",
            ].map { "customer.subscription.\($0)" }
                + ["paid", "payment_failed", "payment_action_required", "finalization_failed"].map {
                    "invoice.\($0)"
                },
            .refund: ["charge.refunded", "refund.created"],
            .dispute: ["charge.dispute.created", "charge.dispute.closed"],
            .earlyFraudWarning: ["radar.early_fraud_warning.created"],
            .customerDeleted: ["customer.deleted"],
            .meterErrors: [
                "v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found",
            ],
            .ignore: ["plan.created", "customer.created", "", "charge.dispute.funds_withdrawn"],
        ]
        for (work, types) in works {
            for type in types { #expect(StripeWork(type: type) == work, "\(type)") }
        }
        #expect(works.filter { $0.key != .ignore }.flatMap(\.value).sorted() == StripeWork.types)
    }

    @Test(arguments: [
        (SubscriptionStatus.trialing, BillingState.active), (.active, .active), (.pastDue, .throttled),
        (.unpaid, .suspended), (.paused, .suspended), (.canceled, .revoked), (.incompleteExpired, .revoked),
        (.incomplete, BillingState.none),
    ]) func everyStatusHasItsState(_ status: SubscriptionStatus, _ state: BillingState) {
        #expect(decide([Subscription(id: "sub_1", status: status, plan: plus)]).state == state)
    }

    @Test func aLatePaymentIsForgivenForAWhile() {
        let late = Subscription(id: "sub_1", status: .pastDue, lateSince: now + -99, plan: plus)
        #expect(decide([late]).state == .grace)
        #expect(decide([late]).changesAt == now + 1)
        let later = Subscription(id: "sub_1", status: .pastDue, lateSince: now + -100, plan: plus)
        #expect(decide([later]).state == .throttled)
    }

    @Test func theBestSubscriptionWins() {
        let both = [
            Subscription(id: "a", status: .canceled, plan: team),
            Subscription(id: "b", status: .active, plan: plus),
        ]
        #expect(decide(both).plan == .to("plus"))
        #expect(decide([Subscription(id: "a", status: .active)]).plan == .keep)
    }

    @Test func fieldsThatMovedAreReadAtBothPlaces() throws {
        let new: JSON = [
            "object": "subscription", "id": "sub_1", "customer": ["id": "cus_1"], "status": "active",
            "items": ["data": [["price": ["id": "price_1"], "current_period_end": 7]]],
        ]
        let old: JSON = [
            "object": "subscription", "id": "sub_1", "customer": "cus_1", "status": "active",
            "current_period_end": 7, "items": ["data": [["price": ["id": "price_1"]]]],
        ]
        #expect(try FoundSubscription(stripe: new) == FoundSubscription(stripe: old))
        let parents: [JSON] = [
            ["subscription": "s"], ["parent": ["subscription_details": ["subscription": "s"]]],
        ]
        for parent in parents {
            var invoice = parent.objectValue ?? [:]
            invoice["object"] = "invoice"
            let event = try StripeEvent([
                "object": "event", "id": "evt_1", "type": "invoice.paid",
                "data": ["object": .object(invoice)],
            ])
            #expect(event.subscription == "s")
        }
    }

    @Test(arguments: ["", "evt 1", "evt_\u{0}", "evt_é", String(repeating: "e", count: 256)])
    func anEventHasAPlainIdentifier(_ id: String) {
        #expect(throws: StripeShapeError.self) {
            try StripeEvent([
                "object": "event", "id": .string(id), "type": "invoice.paid", "data": ["object": [:]],
            ])
        }
        // One that an object refers to is as good as none.
        let event = try? StripeEvent([
            "object": "event", "id": "evt_1", "type": "invoice.paid",
            "data": ["object": ["customer": .string(id)]],
        ])
        #expect(event != nil)
        #expect(event?.customer == nil)
    }
}
