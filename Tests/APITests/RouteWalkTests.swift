import Core
import Crypto
import Domain
import HTTP
import Reconcilers
import Testing

@testable import API

/// What every route refuses, and in which words. Made from the route table and its examples, so that a new route is
/// covered the day it appears.
@Suite struct RouteWalkTests {
    @Test func anUnknownCallerLearnsNothing() async throws {
        let walker = try await RouteWalker()
        let bearers: [String?] = [
            nil, "nonsense", TypedKey.generate(prefix: .agent).text, TypedKey.generate(prefix: .account).text,
            TypedKey.generate(prefix: .relay).text, TypedKey.generate(prefix: .operator).text,
            try AccessTokens(keys: SigningKeys(KeyRing(signing: try SigningKey.generate()))).issue(
                user: UserID(entropy: []), account: AccountID(entropy: []), signIn: SignInID(entropy: []),
                now: .now()),
        ]
        for route in RouteWalker.guarded {
            for bearer in bearers {
                let answer = try await walker.send(route, as: bearer)
                #expect(answer.status == 401, "\(route.name)")
                #expect(answer["detail"] == .string(Problem.unauthenticated.detail))
                #expect(answer.headers["www-authenticate"] == "Bearer")
            }
        }
    }

    @Test func everyCredentialOpensOnlyItsOwnRoutes() async throws {
        let walker = try await RouteWalker()
        #expect(Set(walker.bearers.keys) == Set(Caller.Kind.allCases))
        for route in RouteWalker.guarded {
            for (kind, bearer) in walker.bearers where !route.access.kinds.contains(kind) {
                let answer = try await walker.send(route, as: bearer)
                #expect(answer.status == 403, "\(kind) at \(route.name)")
            }
        }
    }

    @Test func anAPIKeyDoesWhatItsScopesSay() async throws {
        let walker = try await RouteWalker()
        for scope in Scope.allCases {
            let only = try await walker.apiKey(scopes: [scope])
            let others = try await walker.apiKey(scopes: Scope.all.subtracting([scope]))
            for route in RouteWalker.guarded
            where route.access.kinds.contains(.apiKey) && route.access.scope == scope {
                let refused = try await walker.send(route, as: others)
                #expect(refused.status == 403, "\(route.name) without \(scope.rawValue)")
                #expect(try refused.text("detail").contains(scope.rawValue))
                let passed = try await walker.sendNonsense(route, as: only)
                #expect(passed.status == 422, "\(route.name) with \(scope.rawValue) alone")
            }
        }
    }

    @Test(arguments: Role.allCases)
    func aMemberDoesWhatTheRoleSays(_ role: Role) async throws {
        let walker = try await RouteWalker()
        try await walker.become(role)
        for route in RouteWalker.guarded where route.access.kinds.contains(.user) {
            let mayPass = route.access.scope.map(role.scopes.contains) ?? true
            let answer = try await walker.sendNonsense(route, as: walker.bearers[.user])
            #expect(answer.status == (mayPass ? 422 : 403), "\(role) at \(route.name)")
        }
    }

    @Test func anOperatorDoesWhatTheRoleSays() async throws {
        let walker = try await RouteWalker()
        for own in OperatorRole.allCases {
            let key = try await walker.operatorKey(role: own)
            for route in RouteWalker.guarded {
                guard case .operators(let role) = route.access else { continue }
                let answer = try await walker.sendNonsense(route, as: key)
                #expect(answer.status == (own.includes(role) ? 422 : 403), "\(own) at \(route.name)")
            }
        }
    }

    @Test func noBodyIsLargerThanItsRouteTakes() async throws {
        let api = try await Fixture().api
        for route in RouteWalker.routes {
            for (bytes, isTaken) in [(route.maxBodyBytes, true), (route.maxBodyBytes + 1, false)] {
                let head = """
                    \(route.method) \(RouteWalker.path(route)) HTTP/1.1\r\nHost: a\r\nContent-Length: \(bytes)\r\n\r\n
                    """
                var parser = RequestParser(limits: HTTPHeadLimits())
                var consumed = 0
                let event = parser.feed(Array(head.utf8).span, consumed: &consumed) { api.maxBodyBytes($0) }
                if case .refused(let refusal)? = event {
                    #expect(!isTaken && refusal.status == 413, "\(route.name) of \(bytes) bytes")
                } else {
                    #expect(isTaken, "\(route.name) of \(bytes) bytes")
                }
            }
            #expect((route.takes?.example.bytes.count ?? 0) <= route.maxBodyBytes, "\(route.name)")
        }
    }

    @Test func aBodyThatIsNoObjectIsMalformed() async throws {
        let walker = try await RouteWalker()
        let bodies = [
            "{", "nonsense", "[]", "\"text\"", "null", #"{"a":1,"a":2}"#, "{} {}",
            String(repeating: #"{"a":"#, count: 100), "{\"a\":\"\u{1}\"}",
        ]
        for route in RouteWalker.withMembers {
            for body in bodies.map({ Array($0.utf8) }) + [[0x22, 0xFF, 0x22]] {
                let answer = try await walker.send(route, body: body, as: walker.bearer(for: route))
                #expect(answer.status == 400 && answer.code == "malformed", "\(route.name)")
            }
        }
    }

    @Test func aMemberOfAnotherTypeIsRefused() async throws {
        let walker = try await RouteWalker()
        let values: [JSON] = [nil, true, 7, .number(0.5), "x", [true], ["nonsense": true]]
        for route in RouteWalker.withMembers {
            for member in route.takes?.members ?? [] {
                for value in values where member.schema.isOfAnotherType(value) {
                    var body = route.takes?.example.objectValue ?? JSONObject()
                    body[member.name] = value
                    let answer = try await walker.send(
                        route, body: JSON.object(body).bytes, as: walker.bearer(for: route))
                    #expect(answer.status == 422, "\(route.name) with \(member.name) = \(value.text)")
                }
            }
        }
    }

    @Test func aMemberThatIsMissingIsRefused() async throws {
        let walker = try await RouteWalker()
        for route in RouteWalker.withMembers {
            for member in route.takes?.members ?? [] where member.isRequired {
                var body = route.takes?.example.objectValue ?? JSONObject()
                body[member.name] = nil
                let answer = try await walker.send(
                    route, body: JSON.object(body).bytes, as: walker.bearer(for: route))
                #expect(answer.status == 422, "\(route.name) without \(member.name)")
            }
        }
    }

    @Test func whatNobodyAskedForIsRefused() async throws {
        let walker = try await RouteWalker()
        for route in RouteWalker.routes where route.takesNothingElse {
            let answer = try await walker.sendNonsense(route, as: walker.bearer(for: route))
            #expect(answer.status == 422, "\(route.name)")
            #expect(answer.pointers == [route.method == "GET" ? "?nonsense" : "/nonsense"], "\(route.name)")
        }
    }

    @Test func aQueryOfAnotherTypeOrGivenTwiceIsRefused() async throws {
        let walker = try await RouteWalker()
        for route in RouteWalker.routes {
            for member in route.query?.members ?? [] {
                let example = member.schema.example.stringValue ?? member.schema.example.text
                let others = RouteWalker.query(route).filter { $0.0 != member.name }
                var wrong = [[(member.name, example), (member.name, example)]]
                if member.schema.isOfAnotherType("x") { wrong += [[(member.name, "x")]] }
                for query in wrong {
                    let answer = try await walker.send(
                        route, query: others + query, as: walker.bearer(for: route))
                    #expect(answer.status == 422, "\(route.name) with \(query)")
                    #expect(answer.pointers == ["?\(member.name)"], "\(route.name)")
                }
            }
        }
    }

    /// Routes whose example does nothing by itself; their own tests send twice.
    static let moreThanAnExample: Set<String> = [
        "POST /v1/billing/checkout", "POST /v1/tunnels/{id}/domains",
    ]

    @Test func whatIsSentTwiceIsDoneOnce() async throws {
        for route in RouteWalker.routes
        where route.idempotency != .none && !Self.moreThanAnExample.contains(route.name) {
            let walker = try await RouteWalker()
            let bearer = walker.bearer(for: route)
            let first = try await walker.send(route, as: bearer, headers: ["Idempotency-Key": "\"walk\""])
            #expect(
                first.status == route.gives?.status,
                "\(route.name) does not go by its example: name it in moreThanAnExample, with a test of its own"
            )
            let again = try await walker.send(route, as: bearer, headers: ["Idempotency-Key": "walk"])
            switch route.idempotency {
            case .none: break
            case .replayed:
                #expect(again.status == first.status, "\(route.name)")
                #expect(again.text == first.text, "\(route.name)")
                #expect(again.headers["idempotency-replayed"] == "true", "\(route.name)")
                #expect(again.headers["location"] == first.headers["location"], "\(route.name)")
            case .holdsSecret:
                #expect(again.status == 409 && again.code == "already-done", "\(route.name)")
                #expect(again["id"] == first["id"], "\(route.name)")
            }
            let other = try await walker.send(
                route, body: Array("{}".utf8), as: bearer, headers: ["Idempotency-Key": "walk"])
            #expect(other.status == 422 && other.code == "idempotency-mismatch", "\(route.name)")
        }
    }
}

extension Schema {
    /// Wrong by its type alone, whatever the value.
    fileprivate func isOfAnotherType(_ value: JSON) -> Bool {
        misfits(value).contains { $0.contains("is of another type") }
    }
}

extension Route {
    /// Whether more than what its schemas name is to be refused.
    fileprivate var takesNothingElse: Bool {
        guard !access.kinds.isEmpty || takes != nil else { return false }
        guard let takes, method != "GET" else { return true }
        if case .object(_, others: .none) = takes.shape { return true }
        return false
    }
}
