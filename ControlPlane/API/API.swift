import Core
import Crypto
import Domain
import HTTP
import IO
import Reconcilers
import Store
import Stripe
import Synchronization

/// What the API needs to know about this installation.
public struct APISettings: Sendable {
    public var baseDomain: String
    /// SHA-256 of OPERATOR_KEY; nil refuses every operator.
    public var operatorKeyHash: [UInt8]?
    /// SHA-256 of METRICS_TOKEN.
    public var metricsTokenHash: [UInt8]?
    public var trustedProxies: TrustedProxies
    /// Where people reach this API, without a slash at its end: what links in mails begin with.
    public var publicURL: String
    public var signUp: SignUpMode
    /// Whether mails go anywhere.
    public var sendsMail: Bool
    /// What Stripe signs its events with; none takes no events.
    public var stripeWebhookSecrets: [String]
    /// Where people come back to from Stripe's pages.
    public var billingPage: String
    /// How fast agents get their places.
    public var placements: PlacementLine.Rules

    public init(
        baseDomain: String, operatorKey: String? = nil, metricsToken: String? = nil,
        trustedProxies: TrustedProxies = .none, publicURL: String = "http://localhost:8080",
        signUp: SignUpMode = .open, sendsMail: Bool = true, stripeWebhookSecrets: [String] = [],
        billingPage: String? = nil, placements: PlacementLine.Rules = PlacementLine.Rules()
    ) {
        self.baseDomain = baseDomain
        operatorKeyHash = operatorKey.map { SHA256.hash(Array($0.utf8)) }
        metricsTokenHash = metricsToken.map { SHA256.hash(Array($0.utf8)) }
        self.trustedProxies = trustedProxies
        self.publicURL = publicURL
        self.signUp = signUp
        self.sendsMail = sendsMail
        self.stripeWebhookSecrets = stripeWebhookSecrets
        self.placements = placements
        self.billingPage = billingPage ?? publicURL + "/v1/pages/billing"
    }
}

extension APISettings {
    /// Where Stripe's pages may lead back to.
    var returnURLs: ReturnURLs { ReturnURLs([publicURL, billingPage].compactMap { HTTPURL($0) }) }
}

/// The HTTP API: takes requests from the servers' loops, answers them from tasks.
public final class API: Sendable {
    let settings: APISettings
    let keys: SigningKeys
    let store: Store
    let loads: LoadBoard
    let watch: RegionWatch
    let domains: DomainChecker
    let metrics: Metrics
    /// nil when nothing is sold here.
    let stripe: StripeClient?
    let tokens: AccessTokens
    let passwords: PasswordWork
    let limiter: RateLimiter
    let signIns: SignInThrottle
    let admission: PlacementAdmission
    /// Placements that found no room, and no relay.
    let foundNoRoom: Counter
    let foundNoRelay: Counter
    let table: RouteTable
    let log = Log("api")

    private let isDraining = Atomic<Bool>(false)
    private let inFlight: Gauge
    private let answered: [Counter]
    private let worked_ms: Counter
    /// Requests beyond this are turned away instead of piling up behind a slow database.
    private static let maxInFlight = 4000

    public init(
        settings: APISettings, keys: SigningKeys, store: Store, loads: LoadBoard, watch: RegionWatch,
        domains: DomainChecker, metrics: Metrics, stripe: StripeClient? = nil,
        limiter: RateLimiter = RateLimiter(), signIns: SignInThrottle = SignInThrottle(),
        admission: PlacementAdmission? = nil, table: RouteTable = .standard
    ) {
        self.stripe = stripe
        self.settings = settings
        self.keys = keys
        self.store = store
        self.loads = loads
        self.watch = watch
        self.domains = domains
        self.metrics = metrics
        self.limiter = limiter
        self.signIns = signIns
        self.admission = admission ?? PlacementAdmission(settings.placements, metrics: metrics)
        (foundNoRoom, foundNoRelay) = PlacementAdmission.otherRefusals(metrics)
        self.table = table
        tokens = AccessTokens(keys: keys)
        passwords = PasswordWork(
            done: metrics.counter("minecart_password_hashes_total", "Passwords hashed, to check or to keep."))
        inFlight = metrics.gauge(
            "minecart_http_requests_in_flight", "Requests being worked on, held ones included.")
        answered = (1...5).map {
            metrics.counter("minecart_http_responses_total", "Answers by status class.", ["class": "\($0)xx"])
        }
        worked_ms = metrics.counter(
            "minecart_http_work_milliseconds_total", "Time from request to answer, summed.")
    }

    /// From now on `/readyz` says no and held requests are answered, so that the servers can stop.
    public func drain() {
        isDraining.store(true, ordering: .releasing)
        watch.close()
    }

    var draining: Bool { isDraining.load(ordering: .acquiring) }

    /// For the HTTP server: how large a request's body may be.
    public func maxBodyBytes(_ head: HTTPRequestHead) -> Int {
        guard case .route(let route, _) = table.match(method: head.method, path: head.path) else {
            return 16 * 1024
        }
        return route.maxBodyBytes
    }

    /// For the HTTP server: what it answers before there is a request to hand over.
    public func refuse(_ refusal: HTTPRefusal) -> HTTPResponse {
        respond(Problem(refusal), path: nil, RequestID.new().text)
    }

    /// For the HTTP server: called on its loop, never waits there.
    public func serve(_ request: HTTPRequest, _ responder: HTTPResponder) {
        if request.path == "/healthz", request.method == "GET" {
            return responder.respond(SystemRoutes.alive)
        }
        guard inFlight.current < Self.maxInFlight else {
            return responder.respond(
                respond(.unavailable("Too many requests at once."), path: request.path, RequestID.new().text))
        }
        inFlight.add(1)
        let start = Instant.now()
        Task {
            let response = await self.response(to: request) { responder.isAbandoned }
            inFlight.add(-1)
            answered[max(1, min(5, response.status / 100)) - 1].add()
            worked_ms.add(Instant.now().since(start).count)
            responder.respond(response)
        }
    }

    /// The answer to a request, whatever happens.
    public func response(
        to request: HTTPRequest, isAbandoned: @escaping @Sendable () -> Bool = { false }
    ) async -> HTTPResponse {
        let requestID = Self.requestID(request.headers["x-request-id"])
        do {
            let reply = try await reply(to: request, requestID, isAbandoned)
            return respond(reply, requestID)
        } catch {
            return respond(problem(error, request, requestID), path: request.path, requestID)
        }
    }

    private func reply(
        to request: HTTPRequest, _ requestID: String, _ isAbandoned: @escaping @Sendable () -> Bool
    ) async throws -> Reply {
        switch table.match(method: request.method, path: request.path) {
        case .unknown: throw Problem.notFound
        case .wrongMethod(let allowed): throw Problem.methodNotAllowed(allowed)
        case .route(let route, let parameters):
            let client = settings.trustedProxies.client(
                peer: request.peer, forwarded: request.headers.values("x-forwarded-for"))
            let caller = try await authenticate(request, route.access, client: client)
            let limits = route.limits(for: caller, network: client.network)
            let standing = limits.isEmpty ? [] : try limiter.take(limits)
            var reply = try await once(
                route,
                Call(
                    request: request, requestID: requestID, parameters: parameters, caller: caller,
                    client: client.host, network: client.network, isAbandoned: isAbandoned))
            reply.headers += standing
            return reply
        }
    }

    private func problem(_ error: any Error, _ request: HTTPRequest, _ requestID: String) -> Problem {
        if let problem = error as? Problem { return problem }
        if let error = error as? StoreError,
            let problem = Problem(storeError: error, isQuery: request.method == "GET")
        {
            // One line tells of an outage, not one for each request: the listener writes it.
            if problem.status >= 500 { log.debug("\(error)", ["request": requestID]) }
            return problem
        }
        log.error("\(request.method) \(request.path) failed: \(error)", ["request": requestID])
        return .internalError
    }

    private func respond(_ problem: Problem, path: String?, _ requestID: String) -> HTTPResponse {
        var headers: HTTPHeaders = ["Content-Type": Problem.contentType]
        for (name, value) in problem.headers { headers.add(name, value) }
        Self.addCommon(&headers, requestID)
        let body = problem.body(instance: path, requestID: requestID)
        return HTTPResponse(status: problem.status, headers: headers, body: body.bytes)
    }

    private func respond(_ reply: Reply, _ requestID: String) -> HTTPResponse {
        var headers = HTTPHeaders()
        var bytes: [UInt8] = []
        switch reply.body {
        case .none: break
        case .json(let json):
            headers.add("Content-Type", "application/json")
            bytes = json.bytes
        case .text(let text, let contentType):
            headers.add("Content-Type", contentType)
            bytes = Array(text.utf8)
        }
        for (name, value) in reply.headers { headers.add(name, value) }
        Self.addCommon(&headers, requestID)
        return HTTPResponse(status: reply.status, headers: headers, body: bytes)
    }

    private static func addCommon(_ headers: inout HTTPHeaders, _ requestID: String) {
        headers.add("X-Request-Id", requestID)
        if !headers.contains("Cache-Control") { headers.add("Cache-Control", "no-store") }
        headers.add("X-Content-Type-Options", "nosniff")
    }

    /// The client's own id when it is short and plain, else a new one.
    private static func requestID(_ given: String?) -> String {
        if let given, (1...128).contains(given.utf8.count),
            given.utf8.allSatisfy({ Base62.contains($0) || $0 == 0x2D || $0 == 0x5F || $0 == 0x2E })
        {
            return given
        }
        return RequestID.new().text
    }
}

extension Identifier {
    static func new() -> Identifier { Identifier(entropy: SecureRandom.bytes(entropyBytes)) }
}
