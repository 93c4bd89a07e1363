import Core
import HTTP
import Stripe
import Synchronization

/// A Stripe in memory, as far as buying and metering ask for it, with its bad days.
final class StripeFake: StripeTransport {
    struct Broken: Error {}

    /// What becomes of the next request to a path.
    enum Fault: Sendable {
        /// Nothing is done.
        case status(Int)
        /// It is done, and the answer is 500, also when asked again under the same key.
        case failsAfterDoing
        /// It is done, and no answer comes.
        case loses
        /// Nothing is done, no answer comes.
        case hangsUp
        case nonsense
    }

    struct Request: Sendable {
        let method: String
        let path: String
        let form: [String: String]
        let key: String?
    }

    private struct State {
        var objects: [JSONObject] = []
        var meterEvents: [[String: String]] = []
        var replies: [String: HTTPResponse] = [:]
        var faults: [(method: String?, path: String, fault: Fault, count: Int)] = []
        var asked: [Request] = []
        var count = 0
    }

    private let state = Mutex(State())

    var client: StripeClient {
        get throws {
            guard let base = HTTPURL("http://stripe.example") else { throw Broken() }
            return StripeClient(base: base, key: "sk_test_fake", transport: self)
        }
    }

    var asked: [Request] { state.withLock { $0.asked } }
    var meterEvents: [[String: String]] { state.withLock { $0.meterEvents } }

    func all(_ kind: String) -> [JSONObject] {
        state.withLock { $0.objects.filter { $0["object"]?.stringValue == kind } }
    }

    func fail(_ path: String, _ fault: Fault, count: Int = 1) {
        state.withLock { $0.faults.append((nil, path, fault, count)) }
    }

    /// The next request that asks for a change there.
    func failPosts(_ path: String, _ fault: Fault, count: Int = 1) {
        state.withLock { $0.faults.append(("POST", path, fault, count)) }
    }

    func clearFaults() { state.withLock { $0.faults = [] } }

    @discardableResult
    func add(_ object: JSONObject) -> String {
        state.withLock { Self.add(object, &$0) }
    }

    func change(_ id: String, _ name: String, _ value: JSON) {
        state.withLock { state in
            guard let index = state.objects.firstIndex(where: { $0["id"]?.stringValue == id }) else { return }
            state.objects[index][name] = value
        }
    }

    func forget(_ id: String) {
        state.withLock { $0.objects.removeAll { $0["id"]?.stringValue == id } }
    }

    private static func add(_ object: JSONObject, _ state: inout State) -> String {
        state.count += 1
        var object = object
        let id = "\(object["object"]?.stringValue ?? "x")_\(state.count)"
        object["id"] = .string(id)
        object["created"] = .integer(Int64(state.count))
        state.objects.append(object)
        return id
    }

    // MARK: Answers

    func send(_ request: HTTPClientRequest, deadline: Milliseconds) async throws -> HTTPResponse {
        let parts = request.url.target.split(separator: "?", maxSplits: 1).map(String.init)
        let isPost = request.method == "POST"
        let asked = Request(
            method: request.method, path: parts[0],
            form: Self.form(
                isPost ? String(decoding: request.body, as: UTF8.self) : parts.count > 1 ? parts[1] : ""),
            key: request.headers["idempotency-key"])
        let answer = state.withLock { Self.answer(asked, &$0) }
        guard let answer else { throw Broken() }
        return answer
    }

    private static func answer(_ request: Request, _ state: inout State) -> HTTPResponse? {
        state.asked.append(request)
        var fault: Fault?
        if let index = state.faults.firstIndex(where: {
            $0.path == request.path && $0.count > 0 && ($0.method ?? request.method) == request.method
        }) {
            state.faults[index].count -= 1
            fault = state.faults[index].fault
        }
        switch fault {
        case .hangsUp: return nil
        case .status(let status): return problem(status, "Something went wrong on our end.")
        case .nonsense: return HTTPResponse(status: 200, body: Array("<html>".utf8))
        case .failsAfterDoing, .loses, nil: break
        }
        if let key = request.key, let kept = state.replies[key] { return kept }
        var answer = work(request, &state)
        if case .failsAfterDoing? = fault { answer = problem(500, "Something went wrong on our end.") }
        if let key = request.key { state.replies[key] = answer }
        if case .loses? = fault { return nil }
        return answer
    }

    private static func work(_ request: Request, _ state: inout State) -> HTTPResponse {
        switch (request.method, request.path) {
        case ("GET", "/v1/customers"): return list("customer", "email", request, state)
        case ("GET", "/v1/subscriptions"):
            return unknown(request, state) ?? list("subscription", "customer", request, state)
        case ("GET", "/v1/checkout/sessions"):
            return unknown(request, state) ?? list("checkout.session", "customer", request, state)
        case ("POST", "/v1/customers"):
            return made(
                [
                    "object": "customer", "email": .string(request.form["email"] ?? ""),
                    "metadata": ["account": .string(request.form["metadata[account]"] ?? "")],
                ], &state)
        case ("POST", "/v1/checkout/sessions"):
            if let problem = unknown(request, state) { return problem }
            return made(
                [
                    "object": "checkout.session", "status": "open", "expires_at": 4_000_000_000,
                    "url": .string("https://checkout.stripe.com/\(state.count + 1)"),
                    "customer": .string(request.form["customer"] ?? ""),
                    "metadata": ["order": .string(request.form["metadata[order]"] ?? "")],
                ], &state)
        case ("POST", "/v1/billing_portal/sessions"):
            if let problem = unknown(request, state) { return problem }
            return made(
                ["object": "billing_portal.session", "url": "https://billing.stripe.com/p/1"], &state)
        case ("POST", "/v1/billing/meter_events"): return meter(request, &state)
        case ("POST", let path) where path.hasSuffix("/expire"):
            let id = path.split(separator: "/").dropLast().last.map(String.init) ?? ""
            guard let index = state.objects.firstIndex(where: { $0["id"]?.stringValue == id }) else {
                return problem(404, "No such session", code: "resource_missing")
            }
            state.objects[index]["status"] = "expired"
            return .json(200, .object(state.objects[index]))
        default: return problem(404, "Unrecognized request URL", code: "resource_missing")
        }
    }

    private static func made(_ object: JSONObject, _ state: inout State) -> HTTPResponse {
        let id = add(object, &state)
        return .json(200, .object(state.objects.first { $0["id"]?.stringValue == id } ?? object))
    }

    /// Newest first.
    private static func list(
        _ kind: String, _ filter: String, _ request: Request, _ state: State
    ) -> HTTPResponse {
        let found = state.objects.filter {
            $0["object"]?.stringValue == kind && $0[filter]?.stringValue == request.form[filter]
        }
        return .json(200, ["object": "list", "data": .array(found.reversed().map { .object($0) })])
    }

    private static func unknown(_ request: Request, _ state: State) -> HTTPResponse? {
        let customer = request.form["customer"] ?? ""
        guard !state.objects.contains(where: { $0["id"]?.stringValue == customer }) else { return nil }
        return problem(400, "No such customer: '\(customer)'", code: "resource_missing")
    }

    private static func meter(_ request: Request, _ state: inout State) -> HTTPResponse {
        let identifier = request.form["identifier"] ?? ""
        guard !state.meterEvents.contains(where: { $0["identifier"] == identifier }) else {
            return problem(400, "An event already exists with identifier \(identifier).")
        }
        state.meterEvents.append(request.form)
        return .json(200, ["object": "billing.meter_event", "identifier": .string(identifier)])
    }

    private static func problem(_ status: Int, _ message: String, code: String? = nil) -> HTTPResponse {
        var error: JSONObject = ["type": "invalid_request_error", "message": .string(message)]
        if let code { error["code"] = .string(code) }
        return .json(status, ["error": .object(error)])
    }

    private static func form(_ text: String) -> [String: String] {
        var form: [String: String] = [:]
        for pair in text.split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            form[plain(sides[0])] = sides.count > 1 ? plain(sides[1]) : ""
        }
        return form
    }

    private static func plain(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let first = rest.popFirst() {
            if first == UInt8(ascii: "%"), rest.count >= 2,
                let byte = Hex.decode(String(decoding: rest.prefix(2), as: UTF8.self))
            {
                bytes += byte
                rest = rest.dropFirst(2)
            } else {
                bytes.append(first)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
