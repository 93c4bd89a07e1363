import Core
import Crypto
import Domain
import HTTP
import Postgres
import Support
import Testing

@testable import API

/// A control plane with one good credential of every kind, and requests made from the routes' own examples.
struct RouteWalker: Sendable {
    static let routes = RouteTable.standard.routes
    static var guarded: [Route] { routes.filter { !$0.access.kinds.isEmpty } }
    /// Those that say of which members their bodies are.
    static var withMembers: [Route] { routes.filter { !($0.takes?.members ?? []).isEmpty } }

    let fixture: Fixture
    let pool: Pool
    let account: String
    let bearers: [Caller.Kind: String]

    init() async throws {
        fixture = try await Fixture()
        pool = Pool(url: fixture.url, maxConnections: 1, timeouts: Fixture.patient)
        let credentials: JSON = ["email": "walk@mail.example", "password": .string(Fixture.password)]
        var account = credentials.objectValue ?? JSONObject()
        account["plan"] = "unlimited"
        let made = try await fixture.call(
            "POST", "/v1/ops/accounts", .object(account), as: Fixture.operatorKey)
        self.account = try made.text("account_id")
        let session = try await fixture.call("POST", "/v1/sessions", credentials)
        bearers = [
            .user: try session.text("access_token"), .apiKey: try made.text("api_key"),
            .agent: try made.text("agent_key"), .relay: try await fixture.relayKey(),
            .operator: Fixture.operatorKey,
        ]
    }

    /// Good enough for the route; nil where none is needed.
    func bearer(for route: Route) -> String? { route.access.kinds.first.flatMap { bearers[$0] } }

    func apiKey(scopes: Set<Scope>) async throws -> String {
        let key = TypedKey.generate(prefix: .account)
        try await pool.transaction { [account] tx in
            _ = try tx.query(
                "INSERT INTO api_keys (id, account_id, name, hash, scopes) VALUES ($1, $2, 'walk', $3, $4)",
                APIKeyID.new(), account, key.hash, TextArray(scopes.map(\.rawValue)))
        }
        return key.text
    }

    func operatorKey(role: OperatorRole) async throws -> String {
        let key = TypedKey.generate(prefix: .operator)
        try await pool.transaction { tx in
            _ = try tx.query(
                "INSERT INTO operator_keys (id, name, hash, role) VALUES ($1, 'walk', $2, $3)",
                OperatorKeyID.new(), key.hash, role.rawValue)
        }
        return key.text
    }

    /// What the one who is signed in is from now on.
    func become(_ role: Role) async throws {
        try await pool.transaction { [account] tx in
            _ = try tx.query(
                "UPDATE members SET role = $1 WHERE account_id = $2", role.rawValue, account)
        }
    }

    /// A request by the route's examples, except for what is given. Each route has a client address of its own, so
    /// that limits count for each alone.
    func send(
        _ route: Route, body: [UInt8]? = nil, query: [(String, String)]? = nil, as bearer: String?,
        headers: HTTPHeaders = [:]
    ) async throws -> Fixture.Answer {
        var headers = headers
        for field in route.fields?.members ?? [] where field.isRequired {
            headers.add(field.name, field.schema.example.stringValue ?? field.schema.example.text)
        }
        let target = ([Self.path(route)] + [Self.text(query ?? Self.query(route))]).filter { !$0.isEmpty }
        return try await fixture.call(
            route.method, target.joined(separator: "?"), bytes: body ?? route.takes?.example.bytes ?? [],
            as: bearer, headers: headers, peer: "\(Self.address(route)):4000")
    }

    static func address(_ route: Route) -> String {
        let index = routes.firstIndex { $0.name == route.name } ?? 0
        return "198.51.\(index / 250).\(index % 250 + 1)"
    }

    /// What no route knows: it is refused once the caller has passed, and nothing is done.
    func sendNonsense(_ route: Route, as bearer: String?) async throws -> Fixture.Answer {
        guard route.method == "GET" else {
            return try await send(route, body: Self.nonsense(route), as: bearer)
        }
        return try await send(route, query: Self.query(route) + [("nonsense", "1")], as: bearer)
    }

    /// The example with one more member.
    private static func nonsense(_ route: Route) -> [UInt8] {
        var body = route.takes?.example.objectValue ?? JSONObject()
        body["nonsense"] = 1
        return JSON.object(body).bytes
    }

    static func path(_ route: Route) -> String {
        route.path.parameters.reduce(route.path.description) { path, name in
            let example = PathSchemas.schema(of: name, in: route.path)?.example.stringValue ?? "x"
            return path.replacing("{\(name)}", with: example)
        }
    }

    /// What must be there.
    static func query(_ route: Route) -> [(String, String)] {
        (route.query?.members ?? []).filter(\.isRequired).map {
            ($0.name, $0.schema.example.stringValue ?? $0.schema.example.text)
        }
    }

    private static func text(_ query: [(String, String)]) -> String {
        query.map { "\($0.0)=\($0.1.replacing(" ", with: "%20"))" }.joined(separator: "&")
    }
}
