import Core
import Domain
import Testing

@testable import API

@Suite struct OperatorKeyTests {
    private func make(_ fixture: Fixture, _ role: OperatorRole) async throws -> Fixture.Answer {
        try await fixture.call(
            "POST", "/v1/ops/operator-keys", ["name": "alex", "role": .string(role.rawValue)],
            as: Fixture.operatorKey)
    }

    @Test(arguments: OperatorRole.allCases)
    func everyOperatorRouteIsOpenToItsRoleAndThoseThatIncludeIt(_ role: OperatorRole) async throws {
        let fixture = try await Fixture()
        let key = try await make(fixture, role).text("key")
        for route in RouteTable.standard.routes {
            guard case .operators(let wanted) = route.access else { continue }
            let answer = try await fixture.call(route.method, RouteWalker.path(route), as: key)
            #expect((answer.status == 403) == !role.includes(wanted), "\(role) at \(route.name)")
            #expect(answer.status != 401 && answer.status < 500, "\(role) at \(route.name)")
            if route.method != "GET" { #expect(wanted != .readOnly, "\(route.name) changes something") }
        }
    }

    @Test func aRevokedOperatorKeyOpensNothing() async throws {
        let fixture = try await Fixture()
        let made = try await make(fixture, .operator)
        let (key, id) = (try made.text("key"), try made.text("id"))
        let list = try await fixture.call("GET", "/v1/ops/operator-keys", as: key)
        #expect(list["data"]?.arrayValue?.first?["id"] == .string(id))
        #expect(list["data"]?.arrayValue?.first?["role"] == "operator")
        #expect(!list.text.contains(key))
        let path = "/v1/ops/operator-keys/\(id)"
        #expect(try await fixture.call("DELETE", path, as: Fixture.operatorKey).status == 204)
        #expect(try await fixture.call("GET", "/v1/ops/relays", as: key).status == 401)
        #expect(try await fixture.call("DELETE", path, as: Fixture.operatorKey).status == 404)
    }

    @Test func aRoleThatDoesNotExistIsRefused() async throws {
        let fixture = try await Fixture()
        let answer = try await fixture.call(
            "POST", "/v1/ops/operator-keys", ["name": "x", "role": "king"], as: Fixture.operatorKey)
        #expect(answer.pointers == ["/role"])
    }
}

@Suite struct SuspensionTests {
    @Test func aSuspendedAccountMakesNoTunnelsUntilItIsTakenBack() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let tunnel = try await fixture.tunnel(account)
        let path = "/v1/ops/accounts/\(account.id)/suspension"
        let suspended = try await fixture.call("PUT", path, as: Fixture.operatorKey)
        #expect(suspended.status == 200)
        #expect(suspended["suspended"] == true)
        let shown = try await fixture.call("GET", "/v1/tunnels/\(tunnel)", as: account.apiKey)
        #expect(shown["state"] == "suspended")
        let refused = try await fixture.call("POST", "/v1/tunnels", ["region": "eu"], as: account.apiKey)
        #expect(refused.code == "suspended")
        #expect(try await fixture.call("DELETE", path, as: Fixture.operatorKey)["suspended"] == false)
        _ = try await fixture.tunnel(account)
    }
}
