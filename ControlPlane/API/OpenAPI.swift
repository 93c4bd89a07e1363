import Core
import Domain
import HTTP

/// The description of the API (OpenAPI 3.1), made from the route table.
public enum OpenAPI {
    /// Made once: anybody may ask for it.
    public static let text: String = document(of: .standard).text

    public static func document(of table: RouteTable) -> JSON {
        var schemas = JSONObject()
        var paths = JSONObject()
        for route in table.routes {
            var path = paths[route.path.description]?.objectValue ?? JSONObject()
            path[route.method.lowercased()] = operation(route, &schemas)
            paths[route.path.description] = .object(path)
        }
        let problem = Schemas.problem.json(&schemas)
        var tags: [String] = []
        for route in table.routes where !tags.contains(route.tag) { tags.append(route.tag) }
        return [
            "openapi": "3.1.0",
            "info": [
                "title": "Minecart", "version": "1",
                "description": .string(introduction),
            ],
            "servers": [["url": "/"]],
            "tags": .array(tags.map { ["name": .string($0)] }),
            "paths": .object(paths),
            "components": [
                "securitySchemes": .object(securitySchemes), "headers": headers,
                "responses": .object(commonAnswers(problem)), "schemas": .object(schemas),
            ],
        ]
    }

    private static let introduction = """
        Public addresses for Minecraft servers at home. Refusals are problems (RFC 9457): the last part of `type` is a \
        stable code, `detail` says what to do. Lists have `data` and `next_cursor`. Members that are not described here \
        are refused in requests. An object of another account is not found (404).
        """

    // MARK: One route

    private static func operation(_ route: Route, _ schemas: inout JSONObject) -> JSON {
        var operation: JSONObject = [
            "operationId": .string(route.operationID), "summary": .string(route.summary),
            "tags": [.string(route.tag)],
        ]
        let parameters = parameters(of: route, &schemas)
        if !parameters.isEmpty { operation["parameters"] = .array(parameters) }
        if let body = route.takes {
            operation["requestBody"] = [
                "required": .bool(!body.smallestExample.isEmptyObject),
                "content": [
                    "application/json": ["schema": body.json(&schemas), "example": body.example]
                ],
            ]
        }
        operation["security"] = security(of: route.access)
        if let scope = route.access.scope { operation["x-scope"] = .string(scope.rawValue) }
        if case .operators(let role) = route.access { operation["x-operator-role"] = .string(role.rawValue) }
        operation["responses"] = .object(answers(of: route, &schemas))
        return .object(operation)
    }

    private static func parameters(of route: Route, _ schemas: inout JSONObject) -> [JSON] {
        var parameters = route.path.parameters.map { name in
            parameter(
                name, in: "path", PathSchemas.schema(of: name, in: route.path) ?? .text("x", 1...128), true,
                &schemas)
        }
        for (place, schema) in [("query", route.query), ("header", route.fields)] {
            parameters += (schema?.members ?? []).map {
                parameter($0.name, in: place, $0.schema, $0.isRequired, &schemas)
            }
        }
        if route.idempotency != .none {
            parameters.append(parameter("Idempotency-Key", in: "header", idempotencyKey, false, &schemas))
        }
        return parameters
    }

    private static func parameter(
        _ name: String, in place: String, _ schema: Schema, _ isRequired: Bool, _ schemas: inout JSONObject
    ) -> JSON {
        var parameter: JSONObject = [
            "name": .string(name), "in": .string(place), "required": .bool(isRequired),
            "schema": schema.json(&schemas), "example": schema.example,
        ]
        if let about = schema.about { parameter["description"] = .string(about) }
        return .object(parameter)
    }

    private static let idempotencyKey = Schema.text("order-1", 1...128, pattern: "^[!#-~]+$").about(
        "Send the same key with the same body again after a lost answer: it is done once. Good for 24 hours.")

    // MARK: Who may

    private static let securitySchemes: JSONObject = {
        var schemes = JSONObject()
        for kind in Caller.Kind.allCases {
            schemes[kind.schemeName] = [
                "type": "http", "scheme": "bearer", "description": .string(kind.about),
            ]
        }
        schemes["metricsToken"] = ["type": "http", "scheme": "bearer", "description": "METRICS_TOKEN."]
        return schemes
    }()

    private static func security(of access: Access) -> JSON {
        switch access {
        case .anyone: []
        case .metrics: [["metricsToken": []], [:]]
        case .account, .accountOrAgents, .people, .agents, .relays, .operators:
            .array(access.kinds.map { .object([$0.schemeName: []]) })
        }
    }

    // MARK: Answers

    private static func answers(of route: Route, _ schemas: inout JSONObject) -> JSONObject {
        var answers = JSONObject()
        if let success = route.gives {
            answers[String(success.status)] = answer(success, of: route, &schemas)
        }
        for (status, codes) in route.allProblems.sorted(by: { $0.key < $1.key }) {
            let own = codes.filter { !Problem.isCommon($0, status: status) }
            answers[String(status)] =
                own.isEmpty
                ? ["$ref": .string("#/components/responses/\(Problem.componentName(status))")]
                : problems(status, codes, Schemas.problem.json(&schemas))
        }
        return answers
    }

    private static func answer(_ success: Success, of route: Route, _ schemas: inout JSONObject) -> JSON {
        var headers: JSONObject = ["X-Request-Id": reference("X-Request-Id")]
        if route.limit != nil {
            for name in ["RateLimit", "RateLimit-Policy"] { headers[name] = reference(name) }
        }
        if route.idempotency == .replayed {
            headers["Idempotency-Replayed"] = reference("Idempotency-Replayed")
        }
        for name in success.headers { headers[name] = reference(name) }
        var answer: JSONObject = [
            "description": .string(HTTPStatus.name(success.status)), "headers": .object(headers),
        ]
        switch success.body {
        case .none: break
        case .json(let schema):
            answer["content"] = [
                "application/json": ["schema": schema.json(&schemas), "example": schema.example]
            ]
        case .text(let example, let type):
            answer["content"] = .object([
                type: ["schema": ["type": "string"], "example": .string(example)]
            ])
        }
        return .object(answer)
    }

    /// An answer with examples of all its codes.
    private static func problems(_ status: Int, _ codes: [String], _ schema: JSON) -> JSON {
        var examples = JSONObject()
        for code in codes {
            examples[code] = [
                "value": [
                    "type": .string(Problem.type(of: code)), "title": .string(HTTPStatus.name(status)),
                    "status": .integer(Int64(status)), "detail": .string(Problem.exampleDetail(of: code)),
                    "request_id": .string(Problem.exampleRequestID),
                ]
            ]
        }
        var answer: JSONObject = [
            "description": .string(codes.joined(separator: ", ")),
            "content": .object([
                Problem.contentType: ["schema": schema, "examples": .object(examples)]
            ]),
        ]
        switch status {
        case 429:
            answer["headers"] = [
                "Retry-After": reference("Retry-After"), "RateLimit": reference("RateLimit"),
                "RateLimit-Policy": reference("RateLimit-Policy"),
            ]
        case 503: answer["headers"] = ["Retry-After": reference("Retry-After")]
        case 401: answer["headers"] = ["WWW-Authenticate": reference("WWW-Authenticate")]
        default: break
        }
        return .object(answer)
    }

    private static func commonAnswers(_ problem: JSON) -> JSONObject {
        var answers = JSONObject()
        for (status, codes) in Problem.common.sorted(by: { $0.key < $1.key }) {
            answers[Problem.componentName(status)] = problems(status, codes, problem)
        }
        return answers
    }

    private static func reference(_ header: String) -> JSON {
        ["$ref": .string("#/components/headers/\(header)")]
    }

    private static let headers: JSON = [
        "X-Request-Id": header("Names this request in our logs.", "req_1"),
        "RateLimit": header(
            "What is left: r requests, and t seconds until all are there again.", "\"calls\";r=59999;t=1"),
        "RateLimit-Policy": header(
            "How many requests (q) in how many seconds (w).", "\"calls\";q=60000;w=60"),
        "Retry-After": header("Seconds to wait before the next try.", "1"),
        "WWW-Authenticate": header("How to send a credential.", "Bearer"),
        "Content-Disposition": header(
            "Under which name to keep it.", "attachment; filename=\"minecart-account.json\""),
        "Location": header("Where the new thing is.", "/v1/tunnels/tun_1"),
        "Idempotency-Replayed": header(
            "true: the answer of an earlier request with this Idempotency-Key.", "true"),
    ]

    private static func header(_ about: String, _ example: String) -> JSON {
        ["description": .string(about), "schema": ["type": "string"], "example": .string(example)]
    }
}

extension JSON {
    fileprivate var isEmptyObject: Bool { objectValue?.count == 0 }
}

extension Route {
    /// Every problem that this route may answer with: codes by status.
    var allProblems: [Int: [String]] {
        var all: [Int: [String]] = [:]
        for status in commonStatuses { all[status] = Problem.common[status] }
        if idempotency != .none {
            all[409, default: []] += ["in-flight"] + (idempotency == .holdsSecret ? ["already-done"] : [])
            all[422, default: []] += ["idempotency-mismatch"]
        }
        return all.merging(problems) { $0 + $1 }
    }

    private var commonStatuses: [Int] {
        var statuses = [400, 408, 413, 414, 431, 500, 503]
        if path.description.hasPrefix("/v1/") { statuses.append(422) }
        if !path.parameters.isEmpty { statuses.append(404) }
        switch access {
        case .anyone: break
        case .metrics: statuses.append(401)
        case .account, .accountOrAgents, .people, .agents, .relays, .operators:
            statuses += [401, 403, 429]
        }
        if limit != nil, !statuses.contains(429) { statuses.append(429) }
        return statuses
    }

    /// What a group of routes is about: the first word of the path that says it.
    var tag: String {
        let words = path.description.split(separator: "/").map(String.init)
        guard words.first == "v1", words.count > 1 else { return "system" }
        return words[1]
    }

    /// `getTunnelsById` for `GET /v1/tunnels/{id}`.
    var operationID: String {
        var name = method.lowercased()
        for part in path.description.split(whereSeparator: { "/-._".contains($0) }) where part != "v1" {
            let isParameter = part.hasPrefix("{")
            let word = isParameter ? part.dropFirst().dropLast() : part
            name += (isParameter ? "By" : "") + word.prefix(1).uppercased() + word.dropFirst()
        }
        return name
    }
}

/// What stands in paths, found by the segment before it.
enum PathSchemas {
    private static let all: [String: Schema] = [
        "tunnels": .id(TunnelID.self), "agent-keys": .id(AgentKeyID.self), "accounts": .id(AccountID.self),
        "plans": Schemas.plan, "api-keys": .id(APIKeyID.self),
        "operator-keys": .id(OperatorKeyID.self), "signing-keys": Schemas.keyID,
        "domains": .id(DomainID.self), "relays": Schemas.word,
        "members": .id(UserID.self), "invitations": .id(InvitationID.self),
        "sessions": .id(SignInID.self),
        "stripe-events": .text("evt_1", 1...255, pattern: "^[0-9A-Za-z_]+$"),
    ]

    /// nil fails a test: the collection is to be added here.
    static func schema(of name: String, in path: PathPattern) -> Schema? {
        let parts = path.description.split(separator: "/")
        guard let index = parts.firstIndex(of: "{\(name)}"), index > 0 else { return nil }
        return all[String(parts[index - 1])]
    }
}

extension Caller.Kind {
    var schemeName: String {
        switch self {
        case .user: "accessToken"
        case .apiKey: "apiKey"
        case .agent: "agentKey"
        case .relay: "relayKey"
        case .operator: "operatorKey"
        }
    }

    var about: String {
        switch self {
        case .user: "Of a person who signed in at /v1/sessions; good for a quarter of an hour."
        case .apiKey: "Of an account's own programs."
        case .agent: "Of an agent beside a Minecraft server."
        case .relay: "Of our relays."
        case .operator: "Of those who run this Minecart."
        }
    }
}

extension Problem {
    /// Codes by status that any route may answer with.
    static let common: [Int: [String]] = [
        400: ["malformed"], 401: ["unauthenticated"], 403: ["forbidden"], 404: ["not-found"],
        408: ["too-slow"], 413: ["too-large"], 414: ["too-long"], 422: ["invalid"], 429: ["quota-exceeded"],
        431: ["too-many-fields"], 500: ["internal"], 503: ["unavailable"],
    ]

    static func isCommon(_ code: String, status: Int) -> Bool { common[status]?.contains(code) ?? false }

    static func componentName(_ status: Int) -> String {
        HTTPStatus.name(status).filter { $0 != " " && $0 != "-" }
    }

    static let exampleRequestID = RequestID(entropy: (1...16).map { $0 }).text

    static func exampleDetail(of code: String) -> String {
        let words = code.split(separator: "-").joined(separator: " ")
        return words.prefix(1).uppercased() + words.dropFirst() + "."
    }
}
