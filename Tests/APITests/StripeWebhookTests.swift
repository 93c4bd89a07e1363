import Core
import Domain
import HTTP
import Postgres
import Reconcilers
import Store
import Stripe
import Support
import Testing

@testable import API

@Suite struct StripeWebhookTests {
    private let event: JSON = [
        "id": "evt_1", "object": "event", "type": "customer.subscription.updated",
        "data": ["object": ["id": "sub_1", "object": "subscription", "customer": "cus_1"]],
    ]

    private func deliver(_ fixture: Fixture, _ body: JSON, secret: String) async throws -> Fixture.Answer {
        try await fixture.call(
            "POST", "/v1/webhooks/stripe", body,
            headers: [
                "Stripe-Signature": StripeSignature.header(body.bytes, secret: secret, at: .now())
            ])
    }

    /// Stores it if it was not.
    private func isKnown(_ fixture: Fixture) async throws -> Bool {
        try await fixture.store.keep([NewStripeEvent(StripeEvent(event))], from: .catchUp) == 0
    }

    @Test func anEventIsStoredOnceUnderEitherSecret() async throws {
        let fixture = try await Fixture()
        for secret in ["whsec_old", "whsec_new", "whsec_new"] {
            #expect(try await deliver(fixture, event, secret: secret).status == 200)
        }
        #expect(try await isKnown(fixture))
    }

    @Test func whatStripeDidNotSignIsNotStored() async throws {
        let fixture = try await Fixture()
        let forged = try await deliver(fixture, event, secret: "whsec_other")
        #expect(forged.status == 400)
        #expect(forged.code == "invalid-signature")
        #expect(try await fixture.call("POST", "/v1/webhooks/stripe", event).code == "invalid-signature")
        let other = try await deliver(fixture, ["object": "charge"], secret: "whsec_new")
        #expect(other.code == "invalid-event")
        #expect(try await !isKnown(fixture))
    }

    @Test func anEventThatCannotBeStoredIsAskedForAgain() async throws {
        let server = try PrivatePostgres()
        defer { server.end() }
        let url = try await server.createDatabase()
        try await Migrator(url: url).run(try Migration.load(directory: Files.root + "/migrations"))
        let fixture = try await Fixture(url: url, timeouts: PostgresTimeouts())
        server.halt()
        #expect(try await deliver(fixture, event, secret: "whsec_new").status == 503)
        try server.resume()
        while try await fixture.call("GET", "/readyz").status != 200 {}
        #expect(try await deliver(fixture, event, secret: "whsec_new").status == 200)
    }

    @Test func withoutASecretNoEventIsTaken() async throws {
        let fixture = try await Fixture(stripeWebhookSecrets: [])
        #expect(try await deliver(fixture, event, secret: "").status == 503)
    }

    @Test func operatorsSeeEventsAndTryFailedOnesAgain() async throws {
        let fixture = try await StripeFixture()
        let refused = Pretend.event("evt_1", "charge.dispute.created", ["id": "dp_1"])
        try await fixture.deliver(refused, Pretend.event("evt_2", "plan.created", ["id": "plan_1"]))
        func list(_ query: String) async throws -> Fixture.Answer {
            try await fixture.base.call("GET", "/v1/ops/stripe-events\(query)", as: Fixture.operatorKey)
        }
        #expect(try await list("")["data"]?.arrayValue?.count == 2)
        for _ in 1...25 {
            try await fixture.passTime()
            try await fixture.work()
        }
        let failed = try #require(try await list("?state=failed")["data"]?.arrayValue)
        #expect(failed.compactMap { $0["id"]?.stringValue } == ["evt_1"])
        #expect(failed.first?["problem"]?.stringValue?.contains("dispute") == true)
        #expect(try await list("?state=lost").status == 422)
        let path = "/v1/ops/stripe-events/evt_1/retries"
        let retried = try await fixture.base.call("POST", path, as: Fixture.operatorKey)
        #expect(retried["state"] == "pending")
        fixture.stripe.set(["id": "dp_1", "object": "dispute", "status": "won"])
        try await fixture.work()
        #expect(try await list("?state=done")["data"]?.arrayValue?.count == 1)
    }
}
