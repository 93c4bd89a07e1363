import Core
import Domain
import Store
import Stripe

/// What the one who pays can see and do. Money changes hands on Stripe's pages only, and what was bought counts once
/// Stripe says so to its webhook.
enum BillingRoutes {
    static let all = [
        Route(
            "GET", "/v1/billing", .account(.accountRead), gives: .ok(Schemas.billing),
            "Shows how the account's bill stands, what to do about it, and which plans are sold."
        ) { api, call in try await show(api, call) },
        Route(
            "POST", "/v1/billing/checkout", .people(.billingWrite), idempotency: .replayed,
            takes: .body(
                ["plan": Schemas.plan.like("plus")],
                optional: ["success_url": returnURL, "cancel_url": returnURL]),
            gives: .created(Schemas.stripePage),
            problems: [
                409: ["already-subscribed", "not-for-sale"], 502: ["stripe-refused", "stripe-nonsense"],
                503: ["stripe-unavailable"],
            ],
            "Opens Stripe's Checkout for a plan: send the person to the url, where they pay."
        ) { api, call in try await checkout(api, call) },
        Route(
            "POST", "/v1/billing/portal", .people(.billingWrite),
            takes: .body([:], optional: ["return_url": returnURL]), gives: .created(Schemas.stripePage),
            problems: [
                409: ["nothing-bought", "not-for-sale"], 502: ["stripe-refused", "stripe-nonsense"],
                503: ["stripe-unavailable"],
            ],
            "Opens Stripe's Billing Portal: cards, invoices, another plan, the end of a subscription."
        ) { api, call in try await portal(api, call) },
        Route(
            "GET", "/v1/pages/billing", .anyone, gives: .text(page, contentType: "text/html; charset=utf-8"),
            "Where people come back to from Stripe when nobody said where else."
        ) { _, call in
            try call.refuseInput()
            var reply = Reply.text(200, page, contentType: "text/html; charset=utf-8")
            reply.headers = [
                ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
                ("Referrer-Policy", "no-referrer"),
            ]
            return reply
        },
    ]

    private static let page = """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Your bill - Minecart</title>
        </head>
        <body>
        <main>
        <h1>Your bill</h1>
        <p>Whatever you did at Stripe counts within seconds of Stripe's word for it. You may close this page.</p>
        </main>
        </body>
        </html>

        """

    private static let returnURL = Schema.text("https://api.mine.example/billing", 1...2000)
        .about("A page of this service's own, for the way back.")

    private static func show(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        guard let billing = try await api.store.billing(of: try call.account) else { throw Problem.notFound }
        let offers =
            api.stripe == nil ? [] : try await api.store.plans().filter { $0.stripePrice != nil }
        let graceUntil = billing.graceUntil?.rfc3339
        let advice = BillingAdvice(
            billing.state, isForSale: !offers.isEmpty, isSuspended: billing.isSuspended,
            graceUntil: graceUntil)
        return .json(
            200,
            [
                "state": .string(billing.state.rawValue),
                "plan": ["id": .string(billing.plan), "name": .string(billing.planName)],
                "grace_until": graceUntil.map { .string($0) } ?? .null,
                "has_subscription": .bool(billing.isSubscribed),
                "next_step": .string(advice.step.rawValue), "message": .string(advice.message),
                "offers": .array(
                    offers.map { ["plan": .string($0.plan.id), "name": .string($0.name)] }),
            ])
    }

    private static func checkout(_ api: API, _ call: Call) async throws -> Reply {
        let person = try call.person
        var fields = try call.body()
        let id = fields.text("plan", length: 1...32)
        let successURL = fields.returnURL("success_url", api.settings.returnURLs)
        let cancelURL = fields.returnURL("cancel_url", api.settings.returnURLs)
        try fields.finish()
        let stripe = try stripe(of: api)
        let offers = try await api.store.plans().filter { $0.stripePrice != nil }
        guard let plan = offers.first(where: { $0.plan.id == id }), let price = plan.stripePrice else {
            let names = offers.map(\.plan.id).joined(separator: ", ")
            throw Problem.invalid([
                .init("/plan", "is not sold: " + (names.isEmpty ? "nothing is" : "choose one of \(names)"))
            ])
        }
        guard let billing = try await api.store.billing(of: person.account),
            let email = try await api.store.email(of: person.user)
        else { throw Problem.unauthenticated }
        guard !billing.isSubscribed else { throw alreadySubscribed }
        let home = api.settings.billingPage
        let order = StripeOrder(
            account: person.account, email: email, price: price, meterPrice: plan.stripeMeterPrice,
            successURL: successURL ?? home, cancelURL: cancelURL ?? home)
        let shop = StripeShop(stripe)
        let outcome = try await told(api, call) { () async throws -> StripeShop.Checkout in
            var former: String?
            if let customer = billing.customer {
                do throws(StripeError) {
                    return try await shop.checkout(order, customer: customer, now: .now())
                } catch {
                    guard error.isMissing(customer) else { throw error }
                    former = customer
                }
            }
            let made = try await shop.customer(
                for: person.account, email: email, former: former, now: .now())
            guard
                try await api.store.bindStripeCustomer(made, to: person.account, actor: call.actor)
            else { throw Problem.internalError }
            return try await shop.checkout(order, customer: made, now: .now())
        }
        switch outcome {
        case .open(let id, let url):
            try await api.store.noteCheckout(id, of: person.account)
            return .json(201, ["url": .string(url)])
        case .subscribed: throw alreadySubscribed
        }
    }

    private static func portal(_ api: API, _ call: Call) async throws -> Reply {
        let account = try call.account
        var fields = try call.body()
        let returnURL = fields.returnURL("return_url", api.settings.returnURLs)
        try fields.finish()
        let stripe = try stripe(of: api)
        guard let customer = try await api.store.billing(of: account)?.customer else {
            throw Problem.conflict(
                "nothing-bought",
                "There is no bill yet: begin with POST /v1/billing/checkout, GET /v1/billing names the plans."
            )
        }
        let url = try await told(api, call) {
            try await StripeShop(stripe).portal(
                customer: customer, returnURL: returnURL ?? api.settings.billingPage)
        }
        return .json(201, ["url": .string(url)])
    }

    private static let alreadySubscribed = Problem.conflict(
        "already-subscribed",
        "The account has a subscription: POST /v1/billing/portal leads to where the plan is changed or paid.")

    private static func stripe(of api: API) throws(Problem) -> StripeClient {
        guard let stripe = api.stripe else {
            throw .conflict(
                "not-for-sale",
                "This installation sells nothing: whoever runs it has not set STRIPE_SECRET_KEY.")
        }
        return stripe
    }

    /// Does what asks Stripe, and says so when it is Stripe's fault.
    private static func told<Result>(
        _ api: API, _ call: Call, _ work: () async throws -> Result
    ) async throws -> Result {
        do {
            return try await work()
        } catch let error as StripeError {
            api.log.warning("\(error)", ["request": call.requestID])
            throw Problem(stripe: error)
        }
    }
}

extension Problem {
    /// Why a purchase could not begin; Stripe's own words are for the log.
    init(stripe error: StripeError) {
        switch error {
        case .nonsense:
            self.init(
                502, "stripe-nonsense",
                "Stripe sent an answer that makes no sense. Nothing was bought: try again in a minute.")
        case .refused(let status, _, _, _) where status != 409 && status != 429 && status < 500:
            self.init(
                502, "stripe-refused",
                "Stripe refused what this service asked of it. Nothing was bought: tell support the request_id."
            )
        case .unsent, .unreachable, .refused:
            self.init(
                503, "stripe-unavailable",
                "Stripe, which takes the payments, cannot be reached right now. Nothing was bought: try again in a minute."
            )
            headers = [("Retry-After", "30")]
        }
    }
}

extension StripeError {
    /// Whether it is this object that Stripe does not know: a price may be missing as well.
    fileprivate func isMissing(_ id: String) -> Bool {
        guard isMissing, case .refused(_, _, let message, _) = self else { return false }
        return message.contains(id)
    }
}
