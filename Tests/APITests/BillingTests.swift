import Core
import Crypto
import Domain
import HTTP
import Postgres
import Store
import Stripe
import Testing

@testable import API

/// Somebody who is signed in, before a Stripe in memory that sells plus and team.
private struct Shop: Sendable {
    let stripe = StripeFake()
    let fixture: Fixture
    let pool: Pool
    let account: AccountID
    let token: String
    let email = "owner@mail.example"

    init(isSelling: Bool = true) async throws {
        fixture = try await Fixture(stripe: isSelling ? stripe.client : nil)
        pool = Pool(url: fixture.url, maxConnections: 1, timeouts: Fixture.patient)
        let made = try await fixture.call(
            "POST", "/v1/ops/accounts",
            ["email": .string(email), "password": .string(Fixture.password), "plan": "free"],
            as: Fixture.operatorKey)
        account = try #require(AccountID(try made.text("account_id")))
        token = try await fixture.call(
            "POST", "/v1/sessions", ["email": .string(email), "password": .string(Fixture.password)]
        ).text("access_token")
        for (plan, price) in [("plus", "price_plus"), ("team", "price_team")] {
            _ = try await change(plan, ["stripe_price": .string(price)])
        }
    }

    func change(_ plan: String, _ changes: JSON) async throws -> Fixture.Answer {
        try await fixture.call("PATCH", "/v1/ops/plans/\(plan)", changes, as: Fixture.operatorKey)
    }

    func buy(_ body: JSON = ["plan": "plus"], headers: HTTPHeaders = [:]) async throws -> Fixture.Answer {
        try await fixture.call("POST", "/v1/billing/checkout", body, as: token, headers: headers)
    }

    func openPortal(_ body: JSON = [:]) async throws -> Fixture.Answer {
        try await fixture.call("POST", "/v1/billing/portal", body, as: token)
    }

    func billing() async throws -> Fixture.Answer {
        try await fixture.call("GET", "/v1/billing", as: token)
    }

    func run(_ sql: String, _ binds: String...) async throws {
        try await pool.transaction { tx in
            switch binds.count {
            case 0: _ = try tx.query(sql)
            case 1: _ = try tx.query(sql, binds[0])
            default: _ = try tx.query(sql, binds[0], binds[1])
            }
        }
    }

    func posts(_ path: String) -> [StripeFake.Request] {
        stripe.asked.filter { $0.method == "POST" && $0.path == path }
    }
}

@Suite struct CheckoutTests {
    @Test func aPersonIsSentToCheckoutForTheOwnAccount() async throws {
        let shop = try await Shop()
        let answer = try await shop.buy()
        #expect(answer.status == 201)
        #expect(try answer.text("url").hasPrefix("https://checkout.stripe.com/"))
        let customer = try #require(shop.stripe.all("customer").first?["id"]?.stringValue)
        let asked = try #require(shop.posts("/v1/checkout/sessions").first)
        let home = "https://api.mine.example/v1/pages/billing"
        let account = shop.account.text
        let expected = [
            "mode": "subscription", "line_items[0][price]": "price_plus", "line_items[0][quantity]": "1",
            "client_reference_id": account, "metadata[account]": account,
            "subscription_data[metadata][account]": account, "customer": customer, "success_url": home,
            "cancel_url": home,
        ]
        for (name, value) in expected { #expect(asked.form[name] == value, "\(name)") }
        #expect(asked.form["line_items[1][price]"] == nil)
        #expect(shop.posts("/v1/customers").first?.form["email"] == shop.email)
        #expect(try await shop.fixture.store.stripeCustomer(of: shop.account) == customer)
    }

    @Test func aPlanWithAMeterIsSoldWithItsSecondPrice() async throws {
        let shop = try await Shop()
        let plan = try await shop.change(
            "plus", ["stripe_meter": "minecart_bytes", "stripe_meter_price": "price_more"])
        #expect(plan["stripe_meter"] == "minecart_bytes")
        #expect(try await shop.buy().status == 201)
        let form = try #require(shop.posts("/v1/checkout/sessions").first).form
        #expect(form["line_items[1][price]"] == "price_more")
        #expect(form["line_items[1][quantity]"] == nil)
    }

    @Test func whatIsBegunTwiceHasOneCustomerAndOneOpenCheckout() async throws {
        let shop = try await Shop()
        let first = try await shop.buy()
        #expect(try await shop.buy().text("url") == first.text("url"))
        let other = try await shop.buy(["plan": "team"])
        #expect(try other.text("url") != first.text("url"))
        #expect(shop.stripe.all("customer").count == 1)
        let open = shop.stripe.all("checkout.session").filter { $0["status"] == "open" }
        #expect(open.map { $0["url"]?.stringValue } == [try other.text("url")])
    }

    @Test func twoAtOnceGetOneCustomerAndOneCheckout() async throws {
        let shop = try await Shop()
        let answers = try await withThrowingTaskGroup(of: Fixture.Answer.self) { group in
            for _ in 0..<4 { group.addTask { try await shop.buy() } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.map(\.status) == [201, 201, 201, 201])
        #expect(shop.stripe.all("customer").count == 1)
    }

    @Test func anIdempotentRetryGetsTheSamePage() async throws {
        let shop = try await Shop()
        let first = try await shop.buy(headers: ["Idempotency-Key": "k"])
        let again = try await shop.buy(headers: ["Idempotency-Key": "k"])
        #expect(again.text == first.text && again.headers["idempotency-replayed"] == "true")
        #expect(
            try await shop.buy(["plan": "team"], headers: ["Idempotency-Key": "k"]).code
                == "idempotency-mismatch")
    }

    @Test func nobodyIsSoldASecondSubscription() async throws {
        let shop = try await Shop()
        #expect(try await shop.buy().status == 201)
        let customer = try #require(shop.stripe.all("customer").first?["id"])
        let id = shop.stripe.add(["object": "subscription", "customer": customer, "status": "past_due"])
        let refused = try await shop.buy()
        #expect(refused.status == 409 && refused.code == "already-subscribed")
        #expect(try refused.text("detail").contains("/v1/billing/portal"))
        shop.stripe.change(id, "status", "canceled")
        #expect(try await shop.buy().status == 201)
        try await shop.run(
            """
            INSERT INTO stripe_subscriptions (id, customer_id, status, prices, awaits_payment, ends_with_period)
            SELECT 'sub_1', id, 'active', '{price_plus}', false, false FROM stripe_customers
            """)
        let asked = shop.stripe.asked.count
        #expect(try await shop.buy().code == "already-subscribed")
        #expect(shop.stripe.asked.count == asked)
    }

    @Test(arguments: [
        "https://evil.example/", "https://api.mine.example.evil.example/", "javascript:alert(1)", "/pay",
    ])
    func nobodyIsSentAnywhereButBack(_ url: String) async throws {
        let shop = try await Shop()
        let answer = try await shop.buy([
            "plan": "plus", "success_url": .string(url), "cancel_url": .string(url),
        ])
        #expect(answer.status == 422)
        #expect(answer.pointers == ["/success_url", "/cancel_url"])
        #expect(shop.stripe.asked.isEmpty)
    }

    @Test func onlyWhatIsSoldCanBeBought() async throws {
        let shop = try await Shop()
        let answer = try await shop.buy(["plan": "free"])
        #expect(answer.status == 422 && answer.pointers == ["/plan"])
        #expect(answer.text.contains("plus, team"))
        #expect(shop.stripe.asked.isEmpty)
    }

    @Test func whereNothingIsSoldThatIsSaid() async throws {
        let shop = try await Shop(isSelling: false)
        #expect(try await shop.buy().code == "not-for-sale")
        #expect(try await shop.openPortal().code == "not-for-sale")
        #expect(try await shop.billing()["offers"] == [])
    }
}

@Suite struct StripeTroubleTests {
    private static let paths = ["/v1/customers", "/v1/checkout/sessions"]

    @Test(arguments: paths) func stripeAwayIsSaidAndLaterItWorks(_ path: String) async throws {
        let shop = try await Shop()
        shop.stripe.fail(path, .hangsUp, count: 20)
        let answer = try await shop.buy()
        #expect(answer.status == 503 && answer.code == "stripe-unavailable")
        #expect(answer.headers["retry-after"] == "30")
        shop.stripe.clearFaults()
        #expect(try await shop.buy().status == 201)
    }

    @Test(arguments: paths) func nonsenseFromStripeIsSaid(_ path: String) async throws {
        let shop = try await Shop()
        shop.stripe.fail(path, .nonsense, count: 20)
        let answer = try await shop.buy()
        #expect(answer.status == 502 && answer.code == "stripe-nonsense")
    }

    @Test func aRefusalOfStripesIsNotPassedOn() async throws {
        let shop = try await Shop()
        shop.stripe.fail("/v1/customers", .status(401), count: 20)
        let answer = try await shop.buy()
        #expect(answer.status == 502 && answer.code == "stripe-refused")
        #expect(!answer.text.contains("went wrong on our end"))
    }

    @Test func aCustomerMadeBehindAFailureIsFoundAgain() async throws {
        let shop = try await Shop()
        // The list that is asked for first finds nothing; the customer is made, and a failure is told of it.
        shop.stripe.failPosts("/v1/customers", .failsAfterDoing)
        #expect(try await shop.buy().status == 201)
        #expect(shop.stripe.all("customer").count == 1)
        #expect(try await shop.buy().status == 201)
        #expect(shop.stripe.all("customer").count == 1)
    }

    @Test func aCheckoutMadeBehindAFailureIsFoundAgain() async throws {
        let shop = try await Shop()
        shop.stripe.failPosts("/v1/checkout/sessions", .loses)
        shop.stripe.failPosts("/v1/checkout/sessions", .loses)
        #expect(try await shop.buy().status == 201)
        #expect(shop.stripe.all("checkout.session").count == 1)
    }

    @Test func anotherAccountsCustomerOfTheSameAddressIsNotTaken() async throws {
        let shop = try await Shop()
        let other = shop.stripe.add([
            "object": "customer", "email": .string(shop.email), "metadata": ["account": "acc_other"],
        ])
        #expect(try await shop.buy().status == 201)
        #expect(try await shop.fixture.store.stripeCustomer(of: shop.account) != other)
    }

    @Test func aCustomerThatStripeForgotIsMadeAnew() async throws {
        let shop = try await Shop()
        #expect(try await shop.buy().status == 201)
        let first = try #require(try await shop.fixture.store.stripeCustomer(of: shop.account))
        shop.stripe.forget(first)
        #expect(try await shop.buy().status == 201)
        #expect(shop.stripe.all("customer").count == 1)
        let portal = try await shop.openPortal()
        #expect(portal.status == 201)
    }
}

@Suite struct BillingRouteTests {
    @Test func thePortalIsForThoseWhoHaveBought() async throws {
        let shop = try await Shop()
        #expect(try await shop.openPortal().code == "nothing-bought")
        #expect(try await shop.buy().status == 201)
        let answer = try await shop.openPortal(["return_url": "https://api.mine.example/bill"])
        #expect(answer.status == 201)
        #expect(answer["url"] == "https://billing.stripe.com/p/1")
        #expect(
            shop.posts("/v1/billing_portal/sessions").last?.form["return_url"]
                == "https://api.mine.example/bill"
        )
        shop.stripe.fail("/v1/billing_portal/sessions", .status(500), count: 2)
        #expect(try await shop.openPortal().code == "stripe-unavailable")
        #expect(try await shop.openPortal(["return_url": "https://evil.example"]).status == 422)
    }

    @Test func aBillSaysHowItStandsAndWhatToDo() async throws {
        let shop = try await Shop()
        let free = try await shop.billing()
        #expect(
            free.json == [
                "state": "none", "plan": ["id": "free", "name": "Free"], "grace_until": nil,
                "has_subscription": false, "next_step": "checkout",
                "message": .string(try free.text("message")),
                "offers": [["plan": "plus", "name": "Plus"], ["plan": "team", "name": "Team"]],
            ])
        try await shop.run(
            "UPDATE accounts SET plan_id = 'plus', billing_state = 'grace' WHERE id = $1", shop.account.text)
        try await shop.run(
            "INSERT INTO account_billing (account_id, changes_at) VALUES ($1, to_timestamp(1800000000))",
            shop.account.text)
        let late = try await shop.billing()
        #expect(late["grace_until"] == "2027-01-15T08:00:00Z")
        #expect(late["next_step"] == "portal")
    }

    @Test func peopleComeBackToAPage() async throws {
        let answer = try await Fixture().call("GET", "/v1/pages/billing")
        #expect(answer.status == 200 && answer.text.contains("Stripe"))
    }
}
