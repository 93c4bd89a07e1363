import Core
import Domain
import HTTP
import Stripe
import Synchronization

/// Stripe as the worker and the reconciler see it: objects by their address, which tests change, and bad days.
final class PretendStripe: StripeTransport {
    enum Weather: Sendable {
        case fine
        case away
        case answers(status: Int, body: String)
    }

    private struct State {
        var objects: [String: JSON] = [:]
        var events: [JSON] = []
        var weather = Weather.fine
        var asked: [String] = []
        /// Runs once with the next answer, after it was made and before it is given.
        var beforeAnswer: (@Sendable () async throws -> Void)?
    }

    private let state = Mutex(State())

    /// Of a test key.
    var client: StripeClient { client(key: "sk_test_1") }

    func client(key: String) -> StripeClient {
        guard let base = HTTPURL("http://127.0.0.1:12111") else { preconditionFailure("a URL") }
        return StripeClient(base: base, key: key, transport: self, retry: StripeRetry(maxRetries: 0))
    }

    func set(_ object: JSON) {
        guard let id = object["id"]?.stringValue else { return }
        state.withLock { $0.objects[id] = object }
    }

    func forget(_ id: String) { state.withLock { $0.objects[id] = nil } }
    func has(_ weather: Weather) { state.withLock { $0.weather = weather } }
    func lists(_ events: [JSON]) { state.withLock { $0.events = events } }
    func beforeNextAnswer(_ work: @escaping @Sendable () async throws -> Void) {
        state.withLock { $0.beforeAnswer = work }
    }
    var asked: [String] { state.withLock { $0.asked } }

    func send(_ request: HTTPClientRequest, deadline: Milliseconds) async throws -> HTTPResponse {
        let (answer, before) = try state.withLock { state in
            state.asked.append(request.url.target)
            let before = state.beforeAnswer
            state.beforeAnswer = nil
            return (try Self.answer(request.url.target, state), before)
        }
        try await before?()
        return answer
    }

    private struct Away: Error {}

    private static func answer(_ target: String, _ state: State) throws -> HTTPResponse {
        switch state.weather {
        case .fine: break
        case .away: throw Away()
        case .answers(let status, let body): return HTTPResponse(status: status, body: Array(body.utf8))
        }
        let path = String(target.prefix { $0 != "?" })
        let query = String(target.dropFirst(path.count + 1))
        if path == "/v1/events" {
            return .json(200, ["object": "list", "data": .array(state.events), "has_more": false])
        }
        if path == "/v1/subscriptions" {
            let customer = query.split(separator: "&").first { $0.hasPrefix("customer=") }?.dropFirst(9)
            if let customer {
                let known = state.objects[String(customer)]
                if known == nil || known?["deleted"]?.boolValue == true { return missing }
            }
            let found = state.objects.values.filter {
                $0["object"]?.stringValue == "subscription"
                    && (customer == nil || $0["customer"]?.stringValue == customer.map { String($0) })
            }
            return .json(200, ["object": "list", "data": .array(found), "has_more": false])
        }
        let id = String(path.split(separator: "/").last ?? "")
        return state.objects[id].map { .json(200, $0) } ?? missing
    }

    private static var missing: HTTPResponse {
        .json(404, ["error": ["type": "invalid_request_error", "code": "resource_missing"]])
    }
}

/// Stripe's objects, as far as anybody here reads them.
enum Pretend {
    static func customer(_ id: String) -> JSON { ["id": .string(id), "object": "customer"] }

    static func subscription(
        _ id: String, _ customer: String, _ status: SubscriptionStatus, price: String = "price_plus",
        account: String? = nil, invoice: JSON = .null
    ) -> JSON {
        [
            "id": .string(id), "object": "subscription", "customer": .string(customer),
            "status": .string(status.rawValue), "latest_invoice": invoice,
            "metadata": account.map { ["account": .string($0)] } ?? [:],
            "items": ["data": [["price": ["id": .string(price)], "current_period_end": 2_000_000_000]]],
        ]
    }

    static func checkout(
        _ id: String, _ customer: String, reference: String?, subscription: String,
        payment: String = "paid", link: String? = nil
    ) -> JSON {
        [
            "id": .string(id), "object": "checkout.session", "customer": .string(customer),
            "subscription": .string(subscription), "payment_status": .string(payment),
            "client_reference_id": reference.map { .string($0) } ?? .null,
            "payment_link": link.map { .string($0) } ?? .null, "metadata": [:],
        ]
    }

    static func event(
        _ id: String, _ type: String, _ object: JSON, created: WallTime = .now(), isLive: Bool = false
    ) -> JSON {
        [
            "id": .string(id), "object": "event", "type": .string(type),
            "created": .integer(created.seconds), "livemode": .bool(isLive), "data": ["object": object],
        ]
    }
}
