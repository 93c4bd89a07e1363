import HTTP
import Testing

@testable import API

@Suite struct RouteTableTests {
    private func match(_ method: String, _ path: String) -> RouteTable.Match {
        RouteTable.standard.match(method: method, path: path)
    }

    @Test func aPathWithAnIdentifierFindsItsRoute() throws {
        guard case .route(let route, let values) = match("GET", "/v1/tunnels/tun_1") else {
            Issue.record("no route")
            return
        }
        #expect(route.path.description == "/v1/tunnels/{id}")
        #expect(values == ["id": "tun_1"])
    }

    @Test func aWrittenPathIsNoPlaceForAnIdentifier() {
        guard case .wrongMethod(let allowed) = match("DELETE", "/v1/invitations/accept") else {
            Issue.record("not refused")
            return
        }
        #expect(allowed == ["POST"])
    }

    @Test func anotherMethodIsToldWhatIsAllowed() {
        guard case .wrongMethod(let allowed) = match("PUT", "/v1/tunnels") else {
            Issue.record("not refused")
            return
        }
        #expect(Set(allowed) == ["GET", "HEAD", "POST"])
    }

    @Test(arguments: [
        "/", "/v1", "/v1/tunnels/", "/v1/tunnels//placements", "/v2/tunnels", "/v1/tunnels/a/b/c", "*",
    ])
    func unknownPathsAreUnknown(_ path: String) {
        guard case .unknown = match("GET", path) else {
            Issue.record("\(path) leads somewhere")
            return
        }
    }

    @Test func headGoesWhereGetGoes() {
        guard case .route(let route, _) = match("HEAD", "/v1/regions") else {
            Issue.record("no route")
            return
        }
        #expect(route.method == "GET")
    }

    @Test func noRouteIsThereTwice() {
        let names = RouteTable.standard.routes.map { "\($0.method) \($0.path)" }
        #expect(Set(names).count == names.count)
    }

    @Test func onlyTheseRoutesAreOpenToAnyone() {
        let open = RouteTable.standard.routes.filter { $0.access == .anyone }.map {
            "\($0.method) \($0.path)"
        }
        #expect(
            Set(open) == [
                "GET /healthz", "GET /readyz", "GET /.well-known/jwks.json", "GET /openapi.json",
                "POST /v1/users",
                "POST /v1/sessions", "POST /v1/sessions/refresh", "POST /v1/sessions/switch",
                "GET /v1/pages/billing",
                "POST /v1/invitations/lookup", "POST /v1/invitations/accept", "POST /v1/invitations/decline",
                "GET /v1/pages/invitation",
                "POST /v1/users/verify",
                "POST /v1/password-resets", "POST /v1/password-resets/confirm",
                "POST /v1/email-changes/confirm", "GET /v1/pages/verify", "GET /v1/pages/forgot",
                "GET /v1/pages/reset", "GET /v1/pages/change-email", "POST /v1/webhooks/stripe",
            ])
    }

    @Test func everyOperatorRouteTakesOperatorsOnly() {
        for route in RouteTable.standard.routes {
            #expect(route.path.description.hasPrefix("/v1/ops/") == (route.access.kinds == [.operator]))
            #expect(route.path.description.hasPrefix("/v1/relay/") == (route.access == .relays))
        }
    }
}
