import Core
import Domain
import Postgres
import Store
import Stripe
import Testing

@testable import Reconcilers

@Suite("Whose customer it is, and what is told to whom", .timeLimit(.minutes(3)))
struct StripeBindingTests {
    private let updated = "customer.subscription.updated"
    private let completed = "checkout.session.completed"

    private func checkOut(
        _ fixture: StripeFixture, _ id: String, _ customer: String, reference: String?,
        metadata: String? = nil,
        payment: String = "paid", link: String? = nil
    ) async throws {
        fixture.stripe.set(Pretend.customer(customer))
        fixture.stripe.set(
            Pretend.subscription("sub_\(customer)", customer, .active, account: metadata))
        let session = Pretend.checkout(
            id, customer, reference: reference, subscription: "sub_\(customer)", payment: payment, link: link)
        fixture.stripe.set(session)
        try await fixture.deliver(Pretend.event("evt_\(id)_\(payment)", completed, session))
        try await fixture.work()
    }

    @Test func aCheckoutBindsTheAccountThatItNames() async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account()
        try await checkOut(fixture, "cs_1", "cus_1", reference: account.text)
        #expect(try await fixture.state(account).plan == "plus")
        #expect(try await fixture.store.stripeCustomer(of: account) == "cus_1")
        #expect(try await fixture.count("audit_log WHERE action = 'billing.bind'") == 1)
    }

    @Test func aStrangersReferenceDoesNotReachAnAccountThatHasItsCustomer() async throws {
        let fixture = try await StripeFixture()
        let victim = try await fixture.account(customer: "cus_victim")
        fixture.stripe.set(Pretend.subscription("sub_1", "cus_victim", .active, price: "price_team"))
        try await checkOut(fixture, "cs_1", "cus_stranger", reference: victim.text)
        #expect(try await fixture.store.stripeCustomer(of: victim) == "cus_victim")
        // The stranger stops paying: that is the stranger's business.
        let unpaid = Pretend.subscription("sub_cus_stranger", "cus_stranger", .unpaid)
        fixture.stripe.set(unpaid)
        try await fixture.deliver(Pretend.event("evt_2", updated, unpaid))
        try await fixture.work()
        #expect(try await fixture.state(victim).billing == .none)
        #expect(try await fixture.count("billing_flags WHERE kind = 'unproven_claim'") == 1)
    }

    @Test func aPaymentLinksReferenceBindsNobody() async throws {
        let fixture = try await StripeFixture()
        let victim = try await fixture.account()
        try await checkOut(fixture, "cs_1", "cus_1", reference: victim.text, link: "plink_1")
        #expect(try await fixture.store.stripeCustomer(of: victim) == nil)
        #expect(try await fixture.state(victim).billing == .none)
        #expect(try await fixture.count("billing_flags WHERE kind = 'unknown_account'") == 1)
    }

    @Test func aReferenceDoesNotOutweighMetadataOrOurOwnCheckout() async throws {
        let fixture = try await StripeFixture()
        let victim = try await fixture.account()
        let buyer = try await fixture.account()
        try await checkOut(fixture, "cs_1", "cus_1", reference: victim.text, metadata: buyer.text)
        #expect(try await fixture.state(victim).billing == .none)
        #expect(try await fixture.state(buyer).billing == .active)

        let other = try await fixture.account()
        try await fixture.store.noteCheckout("cs_2", of: other)
        try await checkOut(fixture, "cs_2", "cus_2", reference: victim.text)
        #expect(try await fixture.state(victim).billing == .none)
        #expect(try await fixture.state(other).billing == .active)
    }

    @Test func somebodysCustomerStaysTheirs() async throws {
        let fixture = try await StripeFixture()
        let owner = try await fixture.account(customer: "cus_1")
        let stranger = try await fixture.account()
        try await checkOut(fixture, "cs_1", "cus_1", reference: stranger.text, metadata: stranger.text)
        #expect(try await fixture.state(stranger).billing == .none)
        #expect(try await fixture.state(owner).billing == .active)
        #expect(try await fixture.count("billing_flags WHERE kind = 'second_claim'") == 1)
        #expect(try await !fixture.store.bindStripeCustomer("cus_1", to: stranger, actor: "test"))
    }

    @Test func anUnpaidCheckoutGivesNothingUntilItIsPaid() async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        try await checkOut(fixture, "cs_1", "cus_1", reference: account.text, payment: "unpaid")
        #expect(try await fixture.state(account).billing == .none)
        #expect(try await fixture.state(account).plan == "free")
        try await checkOut(fixture, "cs_1", "cus_1", reference: account.text, payment: "paid")
        #expect(try await fixture.state(account).billing == .active)
        #expect(try await fixture.state(account).plan == "plus")
    }

    @Test func aDisputeSuspendsUntilItIsWon() async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        fixture.stripe.set(Pretend.subscription("sub_1", "cus_1", .active))
        fixture.stripe.set(["id": "ch_1", "object": "charge", "customer": "cus_1"])
        func dispute(_ status: String) -> JSON {
            ["id": "dp_1", "object": "dispute", "charge": "ch_1", "status": .string(status)]
        }
        fixture.stripe.set(dispute("needs_response"))
        try await fixture.deliver(
            Pretend.event("evt_0", updated, Pretend.subscription("sub_1", "cus_1", .active)),
            Pretend.event("evt_1", "charge.dispute.created", dispute("needs_response")))
        try await fixture.work()
        #expect(try await fixture.state(account).billing == .suspended)
        fixture.stripe.set(dispute("won"))
        try await fixture.deliver(Pretend.event("evt_2", "charge.dispute.closed", dispute("won")))
        try await fixture.work()
        #expect(try await fixture.state(account).billing == .active)
        #expect(try await fixture.count("billing_flags WHERE kind = 'dispute'") == 1)
    }

    @Test(arguments: [
        ("charge.refunded", "charge", "refund"), ("refund.created", "refund", "refund"),
        ("radar.early_fraud_warning.created", "radar.early_fraud_warning", "early_fraud_warning"),
    ]) func moneyThatGoesBackIsFlagged(_ type: String, _ object: String, _ kind: String) async throws {
        let fixture = try await StripeFixture()
        let account = try await fixture.account(customer: "cus_1")
        fixture.stripe.set(["id": "ch_1", "object": "charge", "customer": "cus_1"])
        let json: JSON = ["id": "obj_1", "object": .string(object), "charge": "ch_1", "customer": "cus_1"]
        try await fixture.deliver(Pretend.event("evt_1", type, json))
        try await fixture.work()
        #expect(
            try await fixture.look("SELECT account_id AS x FROM billing_flags WHERE kind = '\(kind)'")
                == account.text)
        #expect(try await fixture.state(account).billing == .none)
    }

    @Test func thinEventsAboutMetersAreFlagged() async throws {
        let fixture = try await StripeFixture()
        try await fixture.deliver([
            "id": "evt_1", "object": "v2.core.event", "livemode": false,
            "type": "v1.billing.meter.error_report_triggered",
            "related_object": ["id": "mtr_1", "type": "billing.meter"],
        ])
        try await fixture.work()
        #expect(try await fixture.count("billing_flags WHERE kind = 'meter_errors'") == 1)
    }

    @Test(arguments: [
        ("invoice.payment_failed", "payment-failed"),
        ("invoice.payment_action_required", "payment-action-required"),
        ("invoice.finalization_failed", "invoice-not-finalized"),
    ]) func ownersAreToldOnceOfWhatTheyMustDo(_ type: String, _ kind: String) async throws {
        let fixture = try await StripeFixture()
        _ = try await fixture.account(customer: "cus_1")
        fixture.stripe.set(Pretend.subscription("sub_1", "cus_1", .pastDue))
        let invoice: JSON = [
            "id": "in_1", "object": "invoice", "customer": "cus_1", "status": "open",
            "parent": ["subscription_details": ["subscription": "sub_1"]],
            "hosted_invoice_url": "https://invoice.stripe.com/i/1",
        ]
        fixture.stripe.set(invoice)
        for _ in 1...3 {
            try await fixture.deliver(Pretend.event("evt_1", type, invoice))
            try await fixture.work()
        }
        let mails = try await fixture.store.claimMails(limit: 10, lease_s: 60)
        #expect(mails.map(\.mail.kind) == [kind])
        #expect(mails.first?.mail.text.contains("https://invoice.stripe.com/i/1") == true)
    }

    @Test func nobodyIsToldOfAPaymentThatSucceededMeanwhileOrLongAgo() async throws {
        let fixture = try await StripeFixture()
        _ = try await fixture.account(customer: "cus_1")
        fixture.stripe.set(Pretend.subscription("sub_1", "cus_1", .active))
        let invoice: JSON = ["id": "in_1", "object": "invoice", "customer": "cus_1", "status": "paid"]
        fixture.stripe.set(invoice)
        let longAgo = WallTime.now() + -8 * 24 * 3600
        fixture.stripe.set(["id": "in_2", "object": "invoice", "customer": "cus_1", "status": "open"])
        try await fixture.deliver(
            Pretend.event("evt_1", "invoice.payment_failed", invoice),
            Pretend.event(
                "evt_2", "invoice.payment_failed",
                ["id": "in_2", "object": "invoice", "customer": "cus_1"], created: longAgo),
            Pretend.event(
                "evt_3", "customer.subscription.trial_will_end",
                Pretend.subscription("sub_1", "cus_1", .trialing)))
        try await fixture.work()
        #expect(try await fixture.count("mail_outbox") == 0)
        #expect(try await fixture.count("stripe_events WHERE state = 'done'") == 3)
    }

    @Test func theEndOfATrialIsToldBefore() async throws {
        let fixture = try await StripeFixture()
        _ = try await fixture.account(customer: "cus_1")
        let trial = Pretend.subscription("sub_1", "cus_1", .trialing)
        fixture.stripe.set(trial)
        try await fixture.deliver(Pretend.event("evt_1", "customer.subscription.trial_will_end", trial))
        try await fixture.work()
        #expect(try await fixture.count("mail_outbox WHERE kind = 'trial-ends'") == 1)
    }
}
