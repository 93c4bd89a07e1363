import Core
import Domain
import Store

/// What operators see of the volume that is sold by use.
enum MeterRoutes {
    static let all = [
        Route(
            "GET", "/v1/ops/meter-events", .operators(.readOnly),
            query: Schemas.page(["state": .words(MeterState.self)]), gives: .list(of: Schemas.meterEvent),
            """
            Lists what Stripe's meters were told. One that is unclear may have counted or not, and is never sent \
            again by itself: look for its identifier at Stripe.
            """
        ) { api, call in try await list(api, call) }
    ]

    private static func list(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.query()
        let page = fields.page()
        let state = fields.optionalWord("state", of: MeterState.self)
        try fields.finish()
        let events = try await api.store.meterEvents(page, state: state)
        return .list(events.items.map(\.json), nextCursor: events.nextCursor)
    }
}

extension MeterEventView {
    fileprivate var json: JSON {
        [
            "identifier": .string(event.identifier), "account_id": .string(event.account.text),
            "customer": .string(event.customer), "event_name": .string(event.eventName),
            "hour": .string(event.part.hour.rfc3339), "part": .integer(Int64(event.part.number)),
            "bytes": .integer(Int64(event.part.bytes)), "state": .string(delivery.state.rawValue),
            "attempts": .integer(Int64(delivery.attempts)),
            "unclear_since": delivery.unclearSince.map { .string($0.rfc3339) } ?? .null,
            "problem": problem.map { .string($0) } ?? .null,
        ]
    }
}
