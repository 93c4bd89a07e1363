import Core
import Crypto
import Domain
import HTTP

/// What somebody wants to buy at Stripe's Checkout.
public struct StripeOrder: Sendable, Hashable {
    public var account: AccountID
    /// Where Stripe sends its receipts.
    public var email: String
    /// The plan's price.
    public var price: String
    /// The price of what goes beyond the plan's volume.
    public var meterPrice: String?
    public var successURL: String
    public var cancelURL: String

    public init(
        account: AccountID, email: String, price: String, meterPrice: String?, successURL: String,
        cancelURL: String
    ) {
        self.account = account
        self.email = email
        self.price = price
        self.meterPrice = meterPrice
        self.successURL = successURL
        self.cancelURL = cancelURL
    }

    /// The same for the same order, so that a Checkout that is open for it is found again.
    var fingerprint: String {
        let parts = [account.text, price, meterPrice ?? "", successURL, cancelURL]
        return Hex.encode(SHA256.hash(Array(parts.joined(separator: "\n").utf8)).prefix(16))
    }
}

/// Sells by Stripe's own pages: finds or makes an account's customer, opens Checkout and the Billing Portal. A buyer
/// waits for it, so all calls of one purchase share a deadline. Nothing it leaves behind when it fails counts for
/// anything until somebody pays, and is found again at the next try.
public struct StripeShop: Sendable {
    public enum Checkout: Sendable, Hashable {
        /// Its page, to send the buyer to.
        case open(id: String, url: String)
        /// The customer has a subscription already, of this status.
        case subscribed(String)
    }

    /// How long a buyer waits at most.
    public static let patience = Milliseconds.seconds(12)
    private static let pageSize: Int64 = 100
    /// So that nobody is sent to a page that closes while they look for their card.
    private static let shortestRest_s: Int64 = 1800
    /// A subscription of any other status is over, or was never paid.
    private static let living: Set<String> = ["trialing", "active", "past_due", "unpaid", "paused"]

    private let client: StripeClient
    private let end: Instant

    /// For one purchase, which ends by itself in `patience`.
    public init(_ client: StripeClient, patience: Milliseconds = StripeShop.patience) {
        self.client = client
        end = .now() + patience
    }

    private var stripe: StripeClient { client.with(deadline: end.since(.now()), maxRetries: 1) }

    /// The account's customer at Stripe: one that an earlier try made, else a new one. Two at once get the same.
    /// `former` is one that Stripe does not know any more.
    public func customer(
        for account: AccountID, email: String, former: String? = nil, now: WallTime
    ) async throws(StripeError) -> String {
        if let found = try await madeBefore(for: account, email: email) { return found }
        let name = [account.text, Hex.encode(SHA256.hash(Array(email.utf8)).prefix(16)), former ?? ""]
        let key = "customer:" + name.joined(separator: ":")
        do throws(StripeError) {
            return try await make(for: account, email: email, key: key)
        } catch {
            guard error.isPassing else { throw error }
            // It may be there all the same. If not: Stripe keeps a failure under its key for a day.
            if let found = try await madeBefore(for: account, email: email) { return found }
            return try await make(for: account, email: email, key: "\(key):\(now.seconds / 60)")
        }
    }

    /// Opens Checkout for a customer, or finds the one that is open for the same order. Others of the customer are
    /// closed first, so that nobody pays twice in two windows.
    public func checkout(
        _ order: StripeOrder, customer: String, now: WallTime
    ) async throws(StripeError) -> Checkout {
        let subscriptions = try await list(
            "/v1/subscriptions", ["customer": .string(customer), "limit": .integer(Self.pageSize)])
        let statuses = subscriptions.compactMap { $0["status"]?.stringValue }
        if let status = statuses.first(where: Self.living.contains) { return .subscribed(status) }
        let sessions = try await sessions(of: customer)
        if let open = Self.open(for: order, among: sessions, now: now) { return open }
        for session in sessions where session["status"]?.stringValue == "open" {
            try await close(session)
        }
        let newest = sessions.first?["id"]?.stringValue ?? "first"
        let key = "checkout:\(order.fingerprint):\(newest):\(now.seconds / 60)"
        do throws(StripeError) {
            let made = try await stripe.post(
                "/v1/checkout/sessions", Self.parameters(order, customer), idempotencyKey: key)
            return try Self.open(made)
        } catch {
            guard error.isPassing,
                let open = Self.open(for: order, among: try await self.sessions(of: customer), now: now)
            else { throw error }
            return open
        }
    }

    /// The page where a customer changes cards and plans, sees invoices and cancels.
    public func portal(customer: String, returnURL: String) async throws(StripeError) -> String {
        let made = try await stripe.post(
            "/v1/billing_portal/sessions",
            ["customer": .string(customer), "return_url": .string(returnURL)])
        return try Self.url(of: made, "billing_portal.session")
    }

    // MARK: Customers

    /// The oldest of those that were made for the account. Stripe's list is exact, its search is not.
    private func madeBefore(for account: AccountID, email: String) async throws(StripeError) -> String? {
        let listed = try await list(
            "/v1/customers", ["email": .string(email), "limit": .integer(Self.pageSize)])
        let ours = listed.filter { customer in
            customer["metadata"]?["account"]?.stringValue == account.text
                && customer["deleted"]?.boolValue != true
        }
        let oldest = ours.min { left, right in
            let times = [left, right].map { $0["created"]?.integerValue ?? 0 }
            let ids = [left, right].map { $0["id"]?.stringValue ?? "" }
            return times[0] == times[1] ? ids[0] < ids[1] : times[0] < times[1]
        }
        return try oldest.map { customer throws(StripeError) in try Self.id(of: customer, "customer") }
    }

    private func make(
        for account: AccountID, email: String, key: String
    ) async throws(StripeError) -> String {
        let made = try await stripe.post(
            "/v1/customers",
            ["email": .string(email), "metadata": ["account": .string(account.text)]], idempotencyKey: key)
        return try Self.id(of: made, "customer")
    }

    // MARK: Sessions

    /// The newest first.
    private func sessions(of customer: String) async throws(StripeError) -> [JSON] {
        try await list(
            "/v1/checkout/sessions", ["customer": .string(customer), "limit": .integer(Self.pageSize)])
    }

    private static func open(_ session: JSON) throws(StripeError) -> Checkout {
        .open(id: try id(of: session, "checkout.session"), url: try url(of: session, "checkout.session"))
    }

    private static func open(for order: StripeOrder, among sessions: [JSON], now: WallTime) -> Checkout? {
        let found = sessions.first { session in
            session["status"]?.stringValue == "open"
                && session["metadata"]?["order"]?.stringValue == order.fingerprint
                && session["expires_at"]?.integerValue ?? 0 > now.seconds + shortestRest_s
        }
        return found.flatMap { try? open($0) }
    }

    /// One that was paid or has ended meanwhile is none to close: who paid is seen at the next look.
    private func close(_ session: JSON) async throws(StripeError) {
        let id = try Self.id(of: session, "checkout.session")
        do throws(StripeError) {
            _ = try await stripe.post("/v1/checkout/sessions/\(StripeClient.segment(id))/expire", [:])
        } catch {
            if error.isPassing { throw error }
        }
    }

    private static func parameters(_ order: StripeOrder, _ customer: String) -> JSONObject {
        let account: JSON = ["account": .string(order.account.text)]
        var items: [JSON] = [["price": .string(order.price), "quantity": 1]]
        if let meterPrice = order.meterPrice { items.append(["price": .string(meterPrice)]) }
        return [
            "mode": "subscription", "line_items": .array(items),
            "client_reference_id": .string(order.account.text), "customer": .string(customer),
            "success_url": .string(order.successURL), "cancel_url": .string(order.cancelURL),
            "metadata": [
                "account": .string(order.account.text), "order": .string(order.fingerprint),
            ],
            "subscription_data": ["metadata": account],
        ]
    }

    // MARK: Answers

    private func list(_ path: String, _ parameters: JSONObject) async throws(StripeError) -> [JSON] {
        guard let data = try await stripe.get(path, parameters)["data"]?.arrayValue else {
            throw .nonsense("a list of \(path) without data")
        }
        return data
    }

    private static func id(of json: JSON, _ kind: String) throws(StripeError) -> String {
        guard json["object"]?.stringValue == kind, json["deleted"]?.boolValue != true,
            let id = json["id"]?.stringValue, (1...255).contains(id.utf8.count)
        else { throw .nonsense("a \(kind) without its id") }
        return id
    }

    /// Only `https`: the page takes cards.
    private static func url(of json: JSON, _ kind: String) throws(StripeError) -> String {
        guard json["object"]?.stringValue == kind, let text = json["url"]?.stringValue,
            text.hasPrefix("https://"), text.utf8.count <= 4096,
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { throw .nonsense("a \(kind) without its address") }
        return text
    }
}
