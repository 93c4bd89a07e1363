import Core
import Testing

@testable import API

@Suite struct OperatorTests {
    private func make(_ fixture: Fixture, _ email: String, plan: JSON = "unlimited") async throws
        -> Fixture.Answer
    {
        try await fixture.call(
            "POST", "/v1/ops/accounts",
            ["email": .string(email), "password": .string(Fixture.password), "plan": plan],
            as: Fixture.operatorKey)
    }

    @Test func anOperatorMakesAWholeAccount() async throws {
        let fixture = try await Fixture()
        let made = try await make(fixture, "a@mail.example")
        #expect(made.status == 201)
        #expect(try await fixture.call("GET", "/v1/tunnels", as: try made.text("api_key")).status == 200)
        #expect(try await fixture.call("GET", "/v1/tunnels", as: try made.text("agent_key")).status == 200)
        #expect(try await make(fixture, "A@mail.example").code == "email-taken")
        #expect(try await make(fixture, "b@mail.example", plan: "golden").pointers == ["/plan"])
        let session = try await fixture.call(
            "POST", "/v1/sessions",
            ["email": "a@mail.example", "password": .string(Fixture.password)])
        #expect(session["account_id"] == made["account_id"])
    }

    @Test func aRelayKeyBringsItsRegionIntoBeing() async throws {
        let fixture = try await Fixture()
        let answer = try await fixture.call(
            "POST", "/v1/ops/relay-keys", ["region": "ap"], as: Fixture.operatorKey)
        #expect(answer.status == 201)
        #expect(try answer.text("id").hasPrefix("rlk_"))
        let registered = try await fixture.call(
            "POST", "/v1/relay/registrations", Fixture.registration("a1", region: "ap"),
            as: try answer.text("key"))
        #expect(registered.status == 200)
        let bad = try await fixture.call(
            "POST", "/v1/ops/relay-keys", ["region": "No Way"], as: Fixture.operatorKey)
        #expect(bad.pointers == ["/region"])
    }

    @Test func plansLimitTunnelsAndNames() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account(plan: "free")
        let chosen = try await fixture.call(
            "POST", "/v1/tunnels", ["region": "eu", "name": "mine-own"], as: account.apiKey)
        #expect(chosen.code == "plan-limit")
        _ = try await fixture.tunnel(account)
        let second = try await fixture.call("POST", "/v1/tunnels", ["region": "eu"], as: account.apiKey)
        #expect(second.status == 403)
        let large = try await fixture.account()
        let named = try await fixture.call(
            "POST", "/v1/tunnels", ["region": "eu", "name": "Mine-Own"], as: large.apiKey)
        #expect(named["hostname"] == "mine-own.eu.mine.example")
        let again = try await fixture.call(
            "POST", "/v1/tunnels", ["region": "eu", "name": "mine-own"], as: large.apiKey)
        #expect(again.code == "name-taken")
    }
}
