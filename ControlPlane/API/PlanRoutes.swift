import Core
import Domain
import Store

/// What operators sell, and what one account has instead. Every change is enforced in the transaction that makes it.
enum PlanRoutes {
    static let all = [
        Route(
            "GET", "/v1/ops/plans", .operators(.readOnly), gives: .list(of: Schemas.planDetails),
            "Lists the plans."
        ) {
            api, call in
            try call.refuseInput()
            return .list(try await api.store.plans().map(\.json), nextCursor: nil)
        },
        Route(
            "PATCH", "/v1/ops/plans/{id}", .operators(.operator), takes: changes,
            gives: .ok(Schemas.planDetails),
            problems: [409: ["price-taken"]],
            "Changes a plan: only the members that are sent; null is no limit."
        ) {
            api, call in try await change(api, call)
        },
        Route(
            "GET", "/v1/ops/accounts/{id}/limits", .operators(.readOnly), gives: .ok(Schemas.terms),
            "Shows an account's plan, its exception and the limits that count."
        ) {
            api, call in
            try call.refuseInput()
            guard let account = try await api.store.account(try call.id()) else { throw Problem.notFound }
            return .json(200, account.terms.json)
        },
        Route(
            "PUT", "/v1/ops/accounts/{id}/limits", .operators(.support), takes: Schemas.exception,
            gives: .ok(Schemas.terms),
            "Replaces an account's exception: null is no limit, a number that is missing is the plan's."
        ) {
            api, call in try await setException(api, call)
        },
        Route(
            "PUT", "/v1/ops/accounts/{id}/plan", .operators(.support), takes: .body(["plan": Schemas.plan]),
            gives: .ok(Schemas.terms),
            "Moves an account to another plan; its exception stays."
        ) {
            api, call in try await setPlan(api, call)
        },
        Route(
            "PUT", "/v1/ops/accounts/{id}/suspension", .operators(.support), gives: .ok(Schemas.terms),
            "Suspends an account: its tunnels are closed until this is taken back."
        ) {
            api, call in try await setSuspended(true, api, call)
        },
        Route(
            "DELETE", "/v1/ops/accounts/{id}/suspension", .operators(.support), gives: .ok(Schemas.terms),
            "Takes an account's suspension back."
        ) {
            api, call in try await setSuspended(false, api, call)
        },
    ]

    private static let changes = Schema.object(
        [:],
        optional: [
            "name": .text("Free", 1...100), "position": .integer(Range.position, 1),
            "max_tunnels": number(Range.tunnels, 1), "players": number(Range.players, 10),
            "bytes_per_s": number(Range.bytes_per_s, 2_500_000),
            "bytes_per_month": number(Range.bytes_per_month, 50_000_000_000),
            "idle_timeout_s": number(Range.idle_timeout_s, 1800), "members": number(Range.members, 1),
            "chosen_names": .bool(false), "own_domains": .bool(false), "priority": .bool(false),
            "throttled_bytes_per_s": number(Range.bytes_per_s, 125_000),
            "stripe_price": Schema.text("price_1ABC", 1...255, pattern: "^[!-~]+$").orNull,
            "stripe_meter": Schema.text("minecart_bytes", 1...100, pattern: "^[!-~]+$").orNull
                .about("The event name of the meter that bills what goes beyond bytes_per_month."),
            "stripe_meter_price": Schema.text("price_1DEF", 1...255, pattern: "^[!-~]+$").orNull
                .about("The price of that: the second item of a subscription."),
            "unused_after_days": number(Range.unusedAfterDays, 90)
                .about(
                    "Tunnels that no agent had for so many days are deleted, after a mail; null is never."),
        ])

    /// What a number may be. Large enough for any machine, small enough for every column and for JSON.
    enum Range {
        static let tunnels: ClosedRange<Int64> = 0...1_000_000
        static let players: ClosedRange<Int64> = 0...1_000_000
        static let bytes_per_s: ClosedRange<Int64> = 1...1_000_000_000_000
        static let bytes_per_month: ClosedRange<Int64> = 1...9_007_199_254_740_991
        static let idle_timeout_s: ClosedRange<Int64> = 1...31_536_000
        static let members: ClosedRange<Int64> = 1...1_000_000
        static let position: ClosedRange<Int64> = 0...1_000_000
        /// The mail goes out 14 days before.
        static let unusedAfterDays: ClosedRange<Int64> = 15...3650
    }

    /// null is no limit.
    static func number(_ range: ClosedRange<Int64>, _ example: Int64) -> Schema {
        Schema.integer(range, example).orNull
    }

    private static func exception(_ fields: inout Fields) -> AccountException {
        AccountException(
            maxTunnels: fields.override("max_tunnels", in: Range.tunnels),
            players: fields.override("players", in: Range.players),
            bytes_per_s: fields.override("bytes_per_s", in: Range.bytes_per_s),
            idle_timeout_s: fields.override("idle_timeout_s", in: Range.idle_timeout_s),
            bytes_per_month: fields.override("bytes_per_month", in: Range.bytes_per_month))
    }

    private static func change(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let numbers = exception(&fields)
        let members = fields.override("members", in: Range.members)
        fields.refuseNull("name", "position", "chosen_names", "own_domains", "priority")
        let name = fields.optionalText("name", length: 1...100)
        let position = fields.optionalInteger("position", in: Range.position)
        let chosenNames = fields.optionalBool("chosen_names")
        let ownDomains = fields.optionalBool("own_domains")
        let priority = fields.optionalBool("priority")
        let throttled = fields.override("throttled_bytes_per_s", in: Range.bytes_per_s)
        let unusedAfterDays = fields.override("unused_after_days", in: Range.unusedAfterDays)
        let losesPrice = fields.isNull("stripe_price")
        let price = fields.optionalText("stripe_price", length: 1...255)
        if let price, !isPlain(price) {
            fields.reject("stripe_price", "must be the id of a Stripe price, such as price_1ABC")
        }
        let losesMeter = fields.isNull("stripe_meter")
        let meter = fields.optionalText("stripe_meter", length: 1...100)
        if let meter, !isPlain(meter) {
            fields.reject("stripe_meter", "must be the event name of a Stripe meter, such as minecart_bytes")
        }
        let losesMeterPrice = fields.isNull("stripe_meter_price")
        let meterPrice = fields.optionalText("stripe_meter_price", length: 1...255)
        if let meterPrice, !isPlain(meterPrice) {
            fields.reject("stripe_meter_price", "must be the id of a Stripe price, such as price_1DEF")
        }
        try fields.finish()
        let plan = try await api.store.changePlan(call.parameters["id"] ?? "", actor: call.actor) {
            view in
            view.plan = view.plan.with(numbers)
            view.plan.throttled_bytes_per_s = throttled.over(view.plan.throttled_bytes_per_s)
            view.bytes_per_month = numbers.bytes_per_month.over(view.bytes_per_month)
            view.maxMembers = members.over(view.maxMembers)
            view.unusedAfterDays = unusedAfterDays.over(view.unusedAfterDays)
            view.name = name ?? view.name
            view.position = position.map { Int($0) } ?? view.position
            view.plan.chosenNames = chosenNames ?? view.plan.chosenNames
            view.ownDomains = ownDomains ?? view.ownDomains
            view.priority = priority ?? view.priority
            view.stripePrice = losesPrice ? nil : price ?? view.stripePrice
            view.stripeMeter = losesMeter ? nil : meter ?? view.stripeMeter
            view.stripeMeterPrice = losesMeterPrice ? nil : meterPrice ?? view.stripeMeterPrice
        }
        guard let plan else { throw Problem.notFound }
        return .json(200, plan.json)
    }

    private static func isPlain(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    private static func setException(_ api: API, _ call: Call) async throws -> Reply {
        let account: AccountID = try call.id()
        var fields = try call.body()
        let exception = exception(&fields)
        try fields.finish()
        guard
            let terms = try await api.store.setException(
                exception, account: account, actor: call.actor)
        else { throw Problem.notFound }
        return .json(200, terms.json)
    }

    private static func setSuspended(_ isSuspended: Bool, _ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        guard
            let terms = try await api.store.setSuspended(
                isSuspended, account: try call.id(), actor: call.actor)
        else { throw Problem.notFound }
        return .json(200, terms.json)
    }

    private static func setPlan(_ api: API, _ call: Call) async throws -> Reply {
        let account: AccountID = try call.id()
        var fields = try call.body()
        let plan = fields.text("plan", length: 1...32)
        try fields.finish()
        guard let terms = try await api.store.setPlan(plan, account: account, actor: call.actor)
        else { throw Problem.notFound }
        return .json(200, terms.json)
    }
}
