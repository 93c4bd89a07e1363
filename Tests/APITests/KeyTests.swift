import Core
import Domain
import HTTP
import Testing

@testable import API

/// Made from the route table, so that a new route is covered the day it appears.
@Suite struct APIKeyTests {
    private func make(_ fixture: Fixture, _ body: JSON, as bearer: String) async throws -> Fixture.Answer {
        try await fixture.call("POST", "/v1/api-keys", body, as: bearer)
    }

    private func path(_ route: Route) -> String {
        RouteWalker.path(route)
    }

    @Test func aKeyWithoutTheRoutesScopeIsToldWhichOneItLacks() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        for scope in Scope.allCases {
            let others = Scope.all.subtracting([scope])
            let made = try await make(
                fixture,
                ["scopes": .array(Scope.allCases.filter(others.contains).map { .string($0.rawValue) })],
                as: account.apiKey)
            let key = try made.text("key")
            for route in RouteTable.standard.routes
            where route.access.scope == scope && route.access.kinds.contains(.apiKey) {
                let answer = try await fixture.call(route.method, path(route), as: key)
                #expect(answer.status == 403, "\(route.name)")
                #expect(try answer.text("detail").contains("the scope \(scope.rawValue),"))
            }
        }
    }

    @Test func aKeyWithNothingButTheRoutesScopeIsLetIn() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let made = try await make(fixture, ["scopes": ["tunnels:read"]], as: account.apiKey)
        #expect(made["scopes"] == ["tunnels:read"])
        let key = try made.text("key")
        #expect(try await fixture.call("GET", "/v1/tunnels", as: key).status == 200)
        let refused = try await fixture.call("POST", "/v1/tunnels", ["region": "eu"], as: key)
        #expect(refused.status == 403)
    }

    @Test func aKeyCannotMakeOneThatMayDoMore() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let maker = try await make(fixture, ["scopes": ["keys:write", "tunnels:read"]], as: account.apiKey)
            .text("key")
        let refused = try await make(fixture, ["scopes": ["tunnels:read", "billing:write"]], as: maker)
        #expect(refused.status == 403)
        #expect(try refused.text("detail").contains("billing:write"))
        let made = try await make(fixture, ["name": "same"], as: maker)
        #expect(made["scopes"] == ["tunnels:read", "keys:write"])
        let none = try await make(fixture, ["scopes": []], as: maker)
        #expect(none["scopes"] == [])
        #expect(try await fixture.call("GET", "/v1/tunnels", as: try none.text("key")).status == 403)
        #expect(try await make(fixture, ["scopes": ["everything"]], as: maker).pointers == ["/scopes"])
    }

    @Test func aRevokedKeyOpensNothingAndOthersCannotRevokeIt() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let other = try await fixture.account()
        let made = try await make(fixture, ["name": "ci"], as: account.apiKey)
        let (key, id) = (try made.text("key"), try made.text("id"))
        let list = try await fixture.call("GET", "/v1/api-keys", as: key)
        #expect(list["data"]?.arrayValue?.count == 2)
        #expect(!list.text.contains(key))
        #expect(try await fixture.call("DELETE", "/v1/api-keys/\(id)", as: other.apiKey).status == 404)
        #expect(try await fixture.call("DELETE", "/v1/api-keys/\(id)", as: account.apiKey).status == 204)
        #expect(try await fixture.call("GET", "/v1/api-keys", as: key).status == 401)
        #expect(try await fixture.call("DELETE", "/v1/api-keys/\(id)", as: account.apiKey).status == 404)
    }

    @Test func aKeyIsShownOnce() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        func make() async throws -> Fixture.Answer {
            try await fixture.call(
                "POST", "/v1/api-keys", [:], as: account.apiKey, headers: ["Idempotency-Key": "k1"])
        }
        let first = try await make()
        #expect(first.status == 201)
        let again = try await make()
        #expect(again.status == 409)
        #expect(again["id"] == first["id"])
    }
}
