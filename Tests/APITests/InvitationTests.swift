import Core
import Crypto
import Domain
import HTTP
import Store
import Testing

@testable import API

/// Asking people into an account, and their answers.
@Suite struct InvitationTests {
    private func invite(
        _ fixture: Fixture, _ email: String, _ role: String = "support", as bearer: String
    ) async throws -> Fixture.Answer {
        try await fixture.call(
            "POST", "/v1/invitations", ["email": .string(email), "role": .string(role)], as: bearer)
    }

    private func answer(
        _ fixture: Fixture, _ verb: String, _ token: String, password: String? = nil
    ) async throws -> Fixture.Answer {
        var body: JSONObject = ["token": .string(token)]
        if let password { body["password"] = .string(password) }
        return try await fixture.call("POST", "/v1/invitations/\(verb)", .object(body))
    }

    @Test func aKnownAddressJoinsByTheLinkOfItsMail() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let guest = try await fixture.person("guest", plan: "free")
        _ = try await fixture.call("PATCH", "/v1/account", ["name": "Castle Crew"], as: owner.bearer)
        let made = try await invite(fixture, "GUEST@mail.example", as: owner.bearer)
        #expect(made.status == 201)
        #expect(made["invited_by"] == .string(owner.email))
        let token = try await fixture.mailedToken("GUEST@mail.example")
        let seen = try await answer(fixture, "lookup", token)
        #expect(seen["account_name"] == "Castle Crew")
        #expect(seen["needs_password"] == false)
        let accepted = try await answer(fixture, "accept", token)
        #expect(accepted["user_id"] == .string(guest.user.text))
        #expect(accepted["role"] == "support")
        let bearer = try await fixture.signIn(guest.email, account: owner.account).bearer
        #expect(try await fixture.call("POST", "/v1/tunnels", ["region": "eu"], as: bearer).status == 201)
        for verb in ["lookup", "accept", "decline"] {
            #expect(try await answer(fixture, verb, token).status == 404)
        }
        let list = try await fixture.call("GET", "/v1/invitations", as: owner.bearer)
        #expect(list["data"] == [])
        let audit = try await fixture.sql(
            """
            SELECT concat_ws(' ', actor, address, after->>'role') AS v FROM audit_log
            WHERE account_id = $1 AND action = 'member.join'
            """, owner.account.text)
        #expect(audit == ["\(guest.user) 127.0.0.1 support"])
    }

    @Test func someoneNewChoosesAPasswordAndHasAnAccountOfTheirOwnToo() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        _ = try await invite(fixture, "new@mail.example", as: owner.bearer)
        let token = try await fixture.mailedToken("new@mail.example")
        #expect(try await answer(fixture, "lookup", token)["needs_password"] == true)
        #expect(try await answer(fixture, "accept", token).pointers == ["/password"])
        let same = try await answer(fixture, "accept", token, password: "new@mail.example")
        #expect(same.pointers == ["/password"])
        let accepted = try await answer(fixture, "accept", token, password: Fixture.password)
        #expect(accepted["account_id"] == .string(owner.account.text))
        let session = try await fixture.call(
            "POST", "/v1/sessions",
            ["email": "new@mail.example", "password": .string(Fixture.password)])
        let accounts = try await fixture.call(
            "GET", "/v1/accounts", as: try session.text("access_token"))
        #expect(accounts["data"]?.arrayValue?.map { $0["role"] } == ["owner", "support"])
        #expect(accounts["data"]?.arrayValue?.map { $0["plan"] } == ["free", "team"])
    }

    @Test func whoSignedUpWithAnAddressWithoutProvingItDoesNotJoinByItsMail() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let squatter = try await fixture.person("victim", plan: "free")
        try await fixture.sql(
            "UPDATE users SET verified_at = NULL, password_hash = 'other' WHERE id = $1", squatter.user.text)
        _ = try await invite(fixture, squatter.email, as: owner.bearer)
        let token = try await fixture.mailedToken(squatter.email)
        #expect(try await answer(fixture, "accept", token).pointers == ["/password"])
        #expect(try await answer(fixture, "accept", token, password: Fixture.password).status == 200)
        #expect(try await fixture.call("GET", "/v1/account", as: squatter.bearer).status == 401)
        let session = try await fixture.call(
            "POST", "/v1/sessions",
            ["email": .string(squatter.email), "password": .string(Fixture.password)])
        #expect(session.status == 201)
    }

    @Test func theInviterDoesNotLearnWhetherAnAddressIsKnown() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        _ = try await fixture.person("known")
        var answers: [JSON] = []
        for name in ["known", "unknown"] {
            let made = try await invite(fixture, "\(name)@mail.example", as: owner.bearer)
            var object = try #require(made.json.objectValue)
            for member in ["id", "email", "created_at", "expires_at"] { object[member] = nil }
            answers.append(.object(object))
        }
        #expect(answers[0] == answers[1])
        let mails = try await fixture.sql(
            "SELECT split_part(body, '#', 1) AS v FROM mail_outbox WHERE kind = 'invitation'")
        #expect(mails.count == 2 && Set(mails).count == 1)
    }

    @Test func aLinkEndsByWithdrawalRefusalResendingAndTime() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let stranger = try await fixture.person("stranger")
        func invited(_ name: String) async throws -> (path: String, token: String) {
            let made = try await invite(fixture, "\(name)@mail.example", as: owner.bearer)
            return (
                "/v1/invitations/\(try made.text("id"))",
                try await fixture.mailedToken("\(name)@mail.example")
            )
        }
        let withdrawn = try await invited("a")
        #expect(try await fixture.call("DELETE", withdrawn.path, as: stranger.bearer).status == 404)
        #expect(try await fixture.call("DELETE", withdrawn.path, as: owner.bearer).status == 204)
        #expect(try await fixture.call("DELETE", withdrawn.path, as: owner.bearer).status == 404)
        #expect(try await answer(fixture, "lookup", withdrawn.token).status == 404)

        let declined = try await invited("b")
        #expect(try await answer(fixture, "decline", declined.token).status == 204)
        #expect(try await answer(fixture, "lookup", declined.token).status == 404)

        let resent = try await invited("c")
        let path = "\(resent.path)/resend"
        let hurried = try await fixture.call("POST", path, as: owner.bearer)
        #expect(hurried.status == 429 && hurried.headers["retry-after"] != nil)
        try await fixture.sql("UPDATE invitations SET mailed_at = now() - interval '1 hour'")
        #expect(try await fixture.call("POST", path, as: stranger.bearer).status == 404)
        #expect(try await fixture.call("POST", path, as: owner.bearer).status == 200)
        #expect(try await answer(fixture, "lookup", resent.token).status == 404)
        let newer = try await fixture.mailedToken("c@mail.example")
        #expect(try await answer(fixture, "lookup", newer).status == 200)
        try await fixture.sql("UPDATE invitations SET mailed_at = now() - interval '1 hour', mails = 5")
        #expect(try await fixture.call("POST", path, as: owner.bearer).code == "too-many-mails")

        try await fixture.sql("UPDATE invitations SET expires_at = now()")
        #expect(try await answer(fixture, "accept", newer).status == 404)
        let list = try await fixture.call("GET", "/v1/invitations", as: owner.bearer)
        #expect(list["data"]?.arrayValue?.map { $0["state"] } == ["expired"])
        #expect(try await invite(fixture, "c@mail.example", as: owner.bearer).status == 201)
    }

    @Test func whoIsThereOrInvitedIsNotInvitedAgain() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        #expect(try await invite(fixture, "OWNER@mail.example", as: owner.bearer).code == "already-member")
        #expect(try await invite(fixture, "a@mail.example", as: owner.bearer).status == 201)
        #expect(try await invite(fixture, "A@mail.example", as: owner.bearer).code == "already-invited")
        let asOwner = try await invite(fixture, "b@mail.example", "owner", as: owner.bearer)
        #expect(asOwner.pointers == ["/role"])
    }

    @Test func thePlanHasRoomForSoManyInvitedOnesIncluded() async throws {
        let fixture = try await Fixture()
        let alone = try await fixture.person("alone", plan: "plus")
        let refused = try await invite(fixture, "a@mail.example", as: alone.bearer)
        #expect(refused.status == 403 && refused.code == "plan-limit")
        let owner = try await fixture.person("owner")
        try await fixture.sql("UPDATE plans SET max_members = 2 WHERE id = 'team'")
        let first = try await invite(fixture, "a@mail.example", as: owner.bearer)
        #expect(first.status == 201)
        #expect(try await invite(fixture, "b@mail.example", as: owner.bearer).code == "plan-limit")
        let token = try await fixture.mailedToken("a@mail.example")
        try await fixture.sql("UPDATE plans SET max_members = 1 WHERE id = 'team'")
        let late = try await answer(fixture, "accept", token, password: Fixture.password)
        #expect(late.status == 403 && late.code == "plan-limit")
        // The link is not used up by that.
        try await fixture.sql("UPDATE plans SET max_members = 2 WHERE id = 'team'")
        #expect(try await answer(fixture, "accept", token, password: Fixture.password).status == 200)
    }

    @Test func theLastPlaceIsTakenOnce() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let second = try await fixture.person("second")
        _ = try await fixture.person("x")
        _ = try await fixture.person("y")
        for email in ["x@mail.example", "y@mail.example"] {
            _ = try await invite(fixture, email, as: owner.bearer)
        }
        try await fixture.join(second, owner, as: .viewer)
        try await fixture.sql("UPDATE plans SET max_members = 3 WHERE id = 'team'")
        let tokens = [
            try await fixture.mailedToken("x@mail.example"), try await fixture.mailedToken("y@mail.example"),
        ]
        async let one = answer(fixture, "accept", tokens[0])
        async let other = answer(fixture, "accept", tokens[1])
        #expect(try await [one.status, other.status].sorted() == [200, 403])
    }

    @Test func anAddressIsNotFloodedByManyAccounts() async throws {
        let fixture = try await Fixture()
        for number in 0..<12 {
            let owner = try await fixture.person("owner\(number)")
            let made = try await invite(fixture, "victim@mail.example", as: owner.bearer)
            #expect(made.status == 201)
        }
        let mails = try await fixture.sql(
            "SELECT id AS v FROM mail_outbox WHERE recipient = 'victim@mail.example'")
        #expect(mails.count < 12)
    }

    @Test func thePageUsesNothingFromElsewhereAndTheLinkReachesNoLog() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        _ = try await invite(fixture, "a@mail.example", as: owner.bearer)
        let mails = try await fixture.sql("SELECT body AS v FROM mail_outbox WHERE kind = 'invitation'")
        #expect(mails.first?.contains("\(Fixture.publicURL)/v1/pages/invitation#token=") == true)
        let page = try await fixture.call("GET", "/v1/pages/invitation?utm_source=mail")
        #expect(page.status == 200)
        let policy = try #require(page.headers["content-security-policy"])
        let script = try #require(
            page.text.split(separator: "<script>").last?.split(separator: "</script>").first)
        let digest = Base64URL.encode(SHA256.hash(Array(script.utf8)))
            .replacing("-", with: "+").replacing("_", with: "/")
        #expect(policy.contains("script-src 'sha256-\(digest)='"))
        #expect(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"))
        #expect(!page.text.contains("https://") && !page.text.contains("src="))
    }
}
