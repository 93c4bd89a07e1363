import Core
import Domain
import HTTP
import IO
import Store

/// One line of the route table: all that the server, the documents and the tests need to know about a route.
public struct Route: Sendable {
    public typealias Handler = @Sendable (API, Call) async throws -> Reply

    public let method: String
    public let path: PathPattern
    public let access: Access
    public let maxBodyBytes: Int
    public let limit: RateLimit?
    public let idempotency: Idempotency
    /// The body, the query and further header fields of a request; nil where none is taken.
    let takes: Schema?
    let query: Schema?
    let fields: Schema?
    /// nil fails a test: every route says what it answers.
    let gives: Success?
    /// Codes of problems by status, beyond those that every route may have.
    let problems: [Int: [String]]
    public let summary: String
    let handler: Handler

    init(
        _ method: String, _ path: String, _ access: Access, maxBodyBytes: Int = 16 * 1024,
        limit: RateLimit? = .calls, idempotency: Idempotency = .none, takes: Schema? = nil,
        query: Schema? = nil, fields: Schema? = nil, gives: Success? = nil, problems: [Int: [String]] = [:],
        _ summary: String, _ handler: @escaping Handler
    ) {
        self.method = method
        self.path = PathPattern(path)
        self.access = access
        self.maxBodyBytes = method == "GET" ? 0 : maxBodyBytes
        self.limit = limit
        self.idempotency = idempotency
        self.takes = takes
        self.query = query
        self.fields = fields
        self.gives = gives
        self.problems = problems
        self.summary = summary
        self.handler = handler
    }
}

/// `/v1/tunnels/{id}`: segments that must match and segments with a name.
public struct PathPattern: Sendable, Hashable, CustomStringConvertible {
    private enum Segment: Sendable, Hashable {
        case word(Substring)
        case parameter(String)
    }

    public let description: String
    private let segments: [Segment]

    init(_ text: String) {
        description = text
        segments = Self.split(text).map { part in
            part.hasPrefix("{") && part.hasSuffix("}")
                ? .parameter(String(part.dropFirst().dropLast())) : .word(part)
        }
    }

    /// Names of the named segments.
    var parameters: [String] {
        segments.compactMap { if case .parameter(let name) = $0 { name } else { nil } }
    }

    /// The values of the named segments; nil when `parts` is another path.
    func match(_ parts: [Substring]) -> [String: String]? {
        guard parts.count == segments.count else { return nil }
        var values: [String: String] = [:]
        for (segment, part) in zip(segments, parts) {
            switch segment {
            case .word(let word): if word != part { return nil }
            case .parameter(let name): if part.isEmpty { return nil } else { values[name] = String(part) }
            }
        }
        return values
    }

    static func split(_ path: String) -> [Substring] {
        path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    }
}

/// All routes, and the way from a request's method and path to one of them.
public struct RouteTable: Sendable {
    public let routes: [Route]

    enum Match {
        case route(Route, [String: String])
        case wrongMethod(allowed: [String])
        case unknown
    }

    public static let standard = RouteTable(
        SystemRoutes.all + UserRoutes.all + PersonRoutes.all + SessionRoutes.all + PageRoutes.all
            + AgentKeyRoutes.all + APIKeyRoutes.all + TunnelRoutes.all
            + PlacementRoutes.all + RelayRoutes.all + OperatorRoutes.all + OperatorKeyRoutes.all
            + PlanRoutes.all + AccountRoutes.all + UsageRoutes.all + SigningKeyRoutes.all + AuditRoutes.all
            + DomainRoutes.all + AccountLeavingRoutes.all + MemberRoutes.all + InvitationRoutes.all
            + StripeRoutes.all + BillingRoutes.all + MeterRoutes.all)

    init(_ routes: [Route]) { self.routes = routes }

    /// HEAD is answered by GET's route: the server leaves the body out. A path that is written out in the table is
    /// not a place for an identifier.
    func match(method: String, path: String) -> Match {
        let parts = PathPattern.split(path)
        let isWritten = routes.contains { $0.path.description == path }
        var allowed: [String] = []
        for route in routes where !isWritten || route.path.description == path {
            guard let values = route.path.match(parts) else { continue }
            if route.method == method || (method == "HEAD" && route.method == "GET") {
                return .route(route, values)
            }
            allowed += route.method == "GET" ? ["GET", "HEAD"] : [route.method]
        }
        return allowed.isEmpty ? .unknown : .wrongMethod(allowed: allowed)
    }
}

/// One request on its way through a handler.
public struct Call: Sendable {
    let request: HTTPRequest
    let requestID: String
    let parameters: [String: String]
    let caller: Caller
    /// The client's address without port, behind trusted proxies the one they name.
    let client: String
    /// What limits count instead of the address.
    let network: String
    /// Whether the client went away meanwhile.
    var isAbandoned: @Sendable () -> Bool = { false }

    /// The account of a caller that has one: the route's access promised it.
    var account: AccountID {
        get throws(Problem) {
            guard let account = caller.account else { throw .unauthenticated }
            return account
        }
    }

    /// Who did it and from where, for the audit log.
    var actor: Actor { Actor(caller.actor, address: client) }

    /// The one who is signed in: the route's access promised it.
    var person: SignedIn {
        get throws(Problem) {
            guard case .user(let person) = caller else { throw .unauthenticated }
            return person
        }
    }

    /// An identifier in the path. One that is malformed names nothing.
    func id<Kind: IdentifierKind>(_ name: String = "id") throws(Problem) -> Identifier<Kind> {
        guard let id = Identifier<Kind>(parameters[name] ?? "") else { throw .notFound }
        return id
    }

    func body() throws(Problem) -> Fields { try Fields(body: request.body) }
    func query() throws(Problem) -> Fields { try Fields(query: request.query.map { ($0.name, $0.value) }) }

    /// For routes that take neither.
    func refuseInput() throws(Problem) {
        try query().finish()
        try body().finish()
    }
}

/// What a handler answers.
public struct Reply: Sendable {
    enum Body: Sendable {
        case none
        case json(JSON)
        case text(String, contentType: String)
    }

    var status: Int
    var body: Body
    var headers: [(String, String)] = []

    static func json(_ status: Int, _ value: JSON) -> Reply { Reply(status: status, body: .json(value)) }
    var json: JSON? { if case .json(let json) = body { json } else { nil } }

    static let noContent = Reply(status: 204, body: .none)

    static func text(_ status: Int, _ text: String, contentType: String = "text/plain; charset=utf-8")
        -> Reply
    {
        Reply(status: status, body: .text(text, contentType: contentType))
    }

    /// A list in the form that all lists have.
    static func list(_ items: [JSON], nextCursor: String?) -> Reply {
        .json(200, ["data": .array(items), "next_cursor": nextCursor.map { .string($0) } ?? .null])
    }
}
