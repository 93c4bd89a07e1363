import Core
import Domain
import HTTP
import Reconcilers
import Testing

@testable import API

@Suite struct PeopleTests {
    private func credentials(_ email: String, _ password: String = Fixture.password) -> JSON {
        ["email": .string(email), "password": .string(password)]
    }

    @Test func signUpDoesNotTellWhetherAnAddressIsKnown() async throws {
        let fixture = try await Fixture()
        let first = try await fixture.call("POST", "/v1/users", credentials("a@mail.example"))
        let again = try await fixture.call(
            "POST", "/v1/users", credentials("A@mail.example", "another password"))
        #expect(first.status == 202)
        #expect(again.status == 202)
        #expect(first.text == again.text)
        let old = try await fixture.call("POST", "/v1/sessions", credentials("a@mail.example"))
        #expect(old.status == 201)
        let new = try await fixture.call(
            "POST", "/v1/sessions", credentials("a@mail.example", "another password"))
        #expect(new.status == 401)
    }

    @Test func aWrongPasswordAndAnUnknownAddressGetTheSameAnswer() async throws {
        let fixture = try await Fixture()
        _ = try await fixture.call("POST", "/v1/users", credentials("a@mail.example"))
        let wrong = try await fixture.call("POST", "/v1/sessions", credentials("a@mail.example", "wrong"))
        let unknown = try await fixture.call("POST", "/v1/sessions", credentials("b@mail.example", "wrong"))
        #expect(wrong.status == 401)
        #expect(unknown.status == 401)
        #expect(wrong["detail"] == unknown["detail"])
        #expect(wrong["type"] == unknown["type"])
    }

    @Test func aSignedInUserMakesTunnelsAndAgentKeys() async throws {
        let fixture = try await Fixture()
        _ = try await fixture.call("POST", "/v1/users", credentials("a@mail.example"))
        let session = try await fixture.call("POST", "/v1/sessions", credentials("a@mail.example"))
        let access = try session.text("access_token")
        #expect(session["expires_in_s"]?.integerValue == 900)
        let key = try await fixture.call("POST", "/v1/agent-keys", ["name": "home"], as: access)
        #expect(key.status == 201)
        let agent = try key.text("key")
        #expect(agent.hasPrefix("mca_"))
        let tunnel = try await fixture.call("POST", "/v1/tunnels", ["region": "eu"], as: agent)
        #expect(tunnel.status == 201)
        #expect(try tunnel.text("hostname").hasSuffix(".eu.mine.example"))
        #expect(tunnel["state"] == "offline")
        let list = try await fixture.call("GET", "/v1/tunnels", as: access)
        #expect(list["data"]?.arrayValue?.count == 1)
        #expect(list["next_cursor"] == .null)
    }

    @Test func eachRefreshTokenRenewsOnceAndReuseEndsTheSignIn() async throws {
        let fixture = try await Fixture()
        _ = try await fixture.call("POST", "/v1/users", credentials("a@mail.example"))
        let first = try await fixture.call("POST", "/v1/sessions", credentials("a@mail.example"))
        func renew(_ token: String) async throws -> Fixture.Answer {
            try await fixture.call("POST", "/v1/sessions/refresh", ["refresh_token": .string(token)])
        }
        let one = try first.text("refresh_token")
        let second = try await renew(one)
        let two = try second.text("refresh_token")
        #expect(second.status == 200)
        #expect(one != two)
        // The answer may have been lost: the one before gets the present one again.
        #expect(try await renew(one).text("refresh_token") == two)
        let three = try await renew(two).text("refresh_token")
        // Two behind: somebody else has a copy.
        #expect(try await renew(one).status == 401)
        #expect(try await renew(three).status == 401)
        #expect(try await renew("nonsense").status == 401)
    }

    @Test func signingOutVoidsTheRefreshToken() async throws {
        let fixture = try await Fixture()
        _ = try await fixture.call("POST", "/v1/users", credentials("a@mail.example"))
        let session = try await fixture.call("POST", "/v1/sessions", credentials("a@mail.example"))
        let out = try await fixture.call(
            "DELETE", "/v1/sessions/current", as: try session.text("access_token"))
        #expect(out.status == 204)
        let refresh = try await fixture.call(
            "POST", "/v1/sessions/refresh", ["refresh_token": .string(try session.text("refresh_token"))])
        #expect(refresh.status == 401)
    }

    @Test func everythingWrongWithASignUpIsToldAtOnce() async throws {
        let fixture = try await Fixture()
        let answer = try await fixture.call(
            "POST", "/v1/users", ["email": "nobody", "password": "short", "plan": "team"])
        #expect(answer.status == 422)
        #expect(answer.pointers == ["/email", "/password", "/plan"])
        #expect(answer.headers["content-type"] == "application/problem+json")
    }

    @Test func guessingPasswordsGetsSlowForTheGuesserOnly() async throws {
        let fixture = try await Fixture(signIns: SignInThrottle(policies: .pausesLong))
        _ = try await fixture.call("POST", "/v1/users", credentials("a@mail.example"))
        for _ in 0..<5 {
            _ = try await fixture.call(
                "POST", "/v1/sessions", credentials("a@mail.example", "wrong"), peer: "203.0.113.5:1")
        }
        let guesser = try await fixture.call(
            "POST", "/v1/sessions", credentials("a@mail.example", "wrong"), peer: "203.0.113.5:1")
        #expect(guesser.status == 429)
        #expect(guesser.headers["retry-after"] != nil)
        let owner = try await fixture.call("POST", "/v1/sessions", credentials("a@mail.example"))
        #expect(owner.status == 201)
    }
}
