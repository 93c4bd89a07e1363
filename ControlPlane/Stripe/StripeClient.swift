import Core
import Crypto
import HTTP
import HTTPCalls

/// Makes one HTTP request: the answer, whatever its status, or an error, within `deadline`.
public protocol StripeTransport: Sendable {
    func send(_ request: HTTPClientRequest, deadline: Milliseconds) async throws -> HTTPResponse
}

extension HTTPCaller: StripeTransport {}

/// Calls Stripe's API under a pinned version. Every call has one deadline over all its tries, and every POST an
/// idempotency key, so that trying again does nothing twice.
public struct StripeClient: Sendable {
    public static let version = "2026-07-29.dahlia"
    public static let standardBase = "https://api.stripe.com"
    static let maxAnswerBytes = 8 * 1024 * 1024
    static let maxIdempotencyKeyCharacters = 255

    private let base: String
    private let key: String
    private let transport: any StripeTransport
    private let retry: StripeRetry
    private let deadline: Milliseconds
    private let log = Log("stripe")

    /// `base` without a path, `key` the secret key; `deadline` bounds a call with all its tries.
    public init(
        base: HTTPURL, key: String, transport: any StripeTransport, retry: StripeRetry = StripeRetry(),
        deadline: Milliseconds = .seconds(20)
    ) {
        let text = base.description
        self.base = text.hasSuffix("/") ? String(text.dropLast()) : text
        self.key = key
        self.transport = transport
        self.retry = retry
        self.deadline = deadline
    }

    /// The same client with another patience.
    public func with(deadline: Milliseconds, maxRetries: Int) -> StripeClient {
        StripeClient(base, key, transport, StripeRetry(maxRetries: maxRetries), deadline)
    }

    /// Whether the key is for real money; nil when it does not show that.
    public var isLive: Bool? {
        let parts = key.split(separator: "_")
        guard parts.count >= 3 else { return nil }
        return parts[1] == "live" ? true : parts[1] == "test" ? false : nil
    }

    private init(
        _ base: String, _ key: String, _ transport: any StripeTransport, _ retry: StripeRetry,
        _ deadline: Milliseconds
    ) {
        self.base = base
        self.key = key
        self.transport = transport
        self.retry = retry
        self.deadline = deadline
    }

    /// `path` begins with `/v1/`; ids in it go through `segment`.
    public func get(_ path: String, _ parameters: JSONObject = [:]) async throws(StripeError) -> JSON {
        let query = parameters.count == 0 ? "" : "?" + StripeForm.encode(parameters)
        return try await call("GET", path + query, body: [], idempotencyKey: nil)
    }

    /// The same `idempotencyKey` (at most 255 characters) with the same parameters gives the first one's answer for
    /// a day; without one the call gets its own.
    public func post(
        _ path: String, _ parameters: JSONObject, idempotencyKey: String? = nil
    ) async throws(StripeError) -> JSON {
        try await call(
            "POST", path, body: Array(StripeForm.encode(parameters).utf8),
            idempotencyKey: idempotencyKey ?? Hex.encode(SecureRandom.bytes(16)))
    }

    public func delete(_ path: String) async throws(StripeError) -> JSON {
        try await call("DELETE", path, body: [], idempotencyKey: nil)
    }

    /// An id as one segment of a path, whoever made it.
    public static func segment(_ id: String) -> String { StripeForm.escaped(id) }

    private func call(
        _ method: String, _ target: String, body: [UInt8], idempotencyKey: String?
    ) async throws(StripeError) -> JSON {
        guard let url = HTTPURL(base + target) else {
            throw .refused(
                status: 400, code: "bad_request", message: "the request has no valid address", requestID: nil)
        }
        var request = HTTPClientRequest(method, url, headers: headers(idempotencyKey), body: body)
        request.maxResponseBytes = Self.maxAnswerBytes
        let end = Instant.now() + deadline
        var retries = 0
        var mayHaveArrived = false
        while true {
            let (result, outcome) = await attempt(request, left: end.since(.now()))
            guard case .failure(var error) = result else { return try result.get() }
            if case .unsent(let reason) = error, mayHaveArrived { error = .unreachable(reason) }
            if case .unsent = error {} else { mayHaveArrived = true }
            let pause = retry.pause(
                after: outcome, retries: retries, left: end.since(.now()),
                chance: Double.random(in: 0..<1))
            guard let pause, (try? await Task.sleep(for: .milliseconds(pause.count))) != nil else {
                throw error
            }
            log.debug("\(error); trying again", ["path": url.target, "retry": String(retries + 1)])
            retries += 1
        }
    }

    private func headers(_ idempotencyKey: String?) -> HTTPHeaders {
        var headers: HTTPHeaders = [
            "Authorization": "Bearer \(key)", "Stripe-Version": Self.version,
            "Accept": "application/json", "User-Agent": "minecart",
        ]
        if let idempotencyKey {
            headers.add(
                "Idempotency-Key", String(idempotencyKey.prefix(Self.maxIdempotencyKeyCharacters)))
            headers.add("Content-Type", "application/x-www-form-urlencoded")
        }
        return headers
    }

    private func attempt(_ request: HTTPClientRequest, left: Milliseconds) async -> (
        Result<JSON, StripeError>, StripeRetry.Outcome
    ) {
        guard left.count > 0 else { return (.failure(.unsent("it took too long")), .noAnswer) }
        let response: HTTPResponse
        do {
            response = try await transport.send(request, deadline: left)
        } catch {
            let isUnsent = (error as? HTTPCallError)?.isCertainlyUnsent == true
            let reason = clean("\(error)")
            return (.failure(isUnsent ? .unsent(reason) : .unreachable(reason)), .noAnswer)
        }
        let isGood = (200..<300).contains(response.status)
        guard let json = try? response.json(), json.objectValue != nil else {
            let error: StripeError =
                isGood
                ? .nonsense("status \(response.status) without a JSON object")
                : .refused(
                    status: response.status, code: nil, message: "without a reason", requestID: nil)
            return (.failure(error), isGood ? .noAnswer : outcome(response, code: nil))
        }
        if isGood { return (.success(json), outcome(response, code: nil)) }
        let code = json["error"]?["code"]?.stringValue ?? json["error"]?["type"]?.stringValue
        let error = StripeError.refused(
            status: response.status, code: code.map { clean($0) },
            message: clean(json["error"]?["message"]?.stringValue ?? "without a reason"),
            requestID: response.headers["request-id"].map { clean($0) })
        return (.failure(error), outcome(response, code: code))
    }

    private func outcome(_ response: HTTPResponse, code: String?) -> StripeRetry.Outcome {
        let said: Bool? =
            switch response.headers["stripe-should-retry"] {
            case "true": true
            case "false": false
            default: nil
            }
        return .answer(status: response.status, shouldRetry: said, code: code)
    }

    /// Somebody else's words for our log: short, of one line, without our key.
    private func clean(_ text: String) -> String {
        let plain = text.replacing(key, with: "***").unicodeScalars.prefix(300).map {
            $0.value < 0x20 || $0.value == 0x7F ? " " : $0
        }
        return String(String.UnicodeScalarView(plain))
    }
}
