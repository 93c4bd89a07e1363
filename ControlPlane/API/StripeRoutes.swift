import Core
import Domain
import HTTP
import Reconcilers
import Store
import Stripe

/// What Stripe calls, and what operators see of it.
enum StripeRoutes {
    private static let maxEventBytes = 512 * 1024

    private static let event = Schema.choice(
        .anyObject(with: [
            "id": Schemas.stripeID("evt_1"), "object": .words("event"),
            "type": Schemas.stripeID("customer.subscription.updated"),
            "data": .anyObject(with: [
                "object": .anyObject(["id": "sub_1", "object": "subscription", "customer": "cus_1"])
            ]),
        ]),
        .anyObject(with: [
            "id": Schemas.stripeID("evt_2"), "object": .words("v2.core.event"),
            "type": Schemas.stripeID("v1.billing.meter.no_meter_found"),
        ])
    ).about("An event as Stripe sends it; its signature is over these very bytes.")

    static let all: [Route] = [
        Route(
            "POST", "/v1/webhooks/stripe", .anyone, maxBodyBytes: maxEventBytes, limit: nil, takes: event,
            fields: .object(["Stripe-Signature": .text("t=1700000000,v1=00", 1...4096)]),
            gives: .ok(.object(["received": .bool(true)])),
            problems: [400: ["invalid-signature", "invalid-event"], 503: ["unavailable"]],
            "Takes an event of Stripe's; it is stored before this answers."
        ) { api, call in try await take(api, call) },
        Route(
            "GET", "/v1/ops/stripe-events", .operators(.readOnly),
            query: Schemas.page(["state": .words(StripeEventState.self)]),
            gives: .list(of: Schemas.stripeEvent),
            "Lists Stripe's events, newest first: those that failed wait for somebody to try them again."
        ) { api, call in try await list(api, call) },
        Route(
            "POST", "/v1/ops/stripe-events/{id}/retries", .operators(.support),
            gives: .ok(Schemas.stripeEvent),
            "Has a failed event worked on again. One in another state stays as it is."
        ) { api, call in
            try call.refuseInput()
            let id = call.parameters["id"] ?? ""
            guard StripeEvent.isPlain(id),
                let event = try await api.store.retryStripeEvent(id, actor: call.actor)
            else { throw Problem.notFound }
            return .json(200, event.json)
        },
    ]

    private static func list(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.query()
        let page = fields.page()
        let word = fields.optionalText("state", length: 1...16)
        let state = word.flatMap { StripeEventState(rawValue: $0) }
        if word != nil, state == nil {
            let states = StripeEventState.allCases.map(\.rawValue).joined(separator: ", ")
            fields.reject("state", "must be one of \(states)")
        }
        try fields.finish()
        let events = try await api.store.stripeEvents(page, state: state)
        return .list(events.items.map(\.json), nextCursor: events.nextCursor)
    }

    private static func take(_ api: API, _ call: Call) async throws -> Reply {
        let secrets = api.settings.stripeWebhookSecrets
        guard !secrets.isEmpty else {
            throw Problem.unavailable(
                "This installation takes no events of Stripe's: set STRIPE_WEBHOOK_SECRET.",
                retryAfter_s: 60)
        }
        do throws(StripeSignature.Refusal) {
            try StripeSignature.verify(
                call.request.body, header: call.request.headers["stripe-signature"], secrets: secrets,
                now: .now())
        } catch {
            throw Problem(400, "invalid-signature", "The event is not taken: \(error).")
        }
        guard let json = try? JSON.parse(call.request.body) else {
            throw Problem(400, "invalid-event", "The event is not taken: its body is not JSON.")
        }
        let event: StripeEvent
        do throws(StripeShapeError) {
            event = try StripeEvent(json)
        } catch {
            throw Problem(400, "invalid-event", "The event is not taken: \(error).")
        }
        do throws(StoreError) {
            try await api.store.keep([NewStripeEvent(event)], from: .webhook)
        } catch {
            api.log.warning("an event of Stripe's could not be stored: \(error)", ["event": event.id])
            throw Problem.unavailable("The event could not be stored: send it again.")
        }
        return .json(200, ["received": true])
    }
}

extension StripeEventView {
    fileprivate var json: JSON {
        [
            "id": .string(id), "type": .string(type), "customer": customer.map { .string($0) } ?? .null,
            "state": .string(state.rawValue), "attempts": .integer(Int64(attempts)),
            "problem": problem.map { .string($0) } ?? .null, "received_at": .string(receivedAt.rfc3339),
        ]
    }
}
