import Core
import Domain
import HTTP
import Postgres
import Store
import Testing
import Wire

@testable import API

@Suite struct AccountExportTests {
    @Test func anOwnerTakesEverythingAlongButNoSecret() async throws {
        let people = try await People()
        try await people.signUp()
        let session = try await people.signIn()
        let bearer = try session.text("access_token")
        let key = try await people.call("POST", "/v1/api-keys", ["name": "ci"], as: bearer)
        let agent = try await people.call("POST", "/v1/agent-keys", ["name": "home"], as: bearer)
        let tunnel = try await people.call("POST", "/v1/tunnels", ["region": "eu"], as: bearer)

        let export = try await people.call("GET", "/v1/account/export", as: bearer)
        #expect(export.status == 200)
        #expect(export.headers["content-disposition"] == "attachment; filename=\"minecart-account.json\"")
        #expect(export["account"]?["plan"] == "free")
        func ids(_ section: String) -> [JSON] {
            (export[section]?.arrayValue ?? []).compactMap { $0["id"] }
        }
        #expect(export["members"]?.arrayValue?.first?["email"] == .string(People.anna))
        #expect(ids("api_keys") == [try #require(key["id"])])
        #expect(ids("agent_keys") == [try #require(agent["id"])])
        #expect(ids("tunnels") == [try #require(tunnel["id"])])
        #expect(export["sign_ins"]?.arrayValue?.first?["address"] == "203.0.113.7")
        #expect(export["cut"] == [])
        #expect(export.text.contains("tunnel.create"))
        for secret in [
            try key.text("key"), try agent.text("key"), bearer, try session.text("refresh_token"), "scrypt",
            "\\\\x",
        ] {
            #expect(!export.text.contains(secret))
        }
    }

    @Test func otherAccountsAreNotInIt() async throws {
        let people = try await People()
        try await people.signUp()
        try await people.signUp("bob@mail.example")
        let bob = try await people.bearer("bob@mail.example")
        _ = try await people.call("POST", "/v1/tunnels", ["region": "eu"], as: bob)
        let export = try await people.call("GET", "/v1/account/export", as: try await people.bearer())
        #expect(!export.text.contains("bob@mail.example"))
        #expect(export["tunnels"] == [])
    }
}

@Suite struct AccountDeletionTests {
    private func delete(_ people: People, as bearer: String, _ password: String = Fixture.password)
        async throws -> Fixture.Answer
    {
        try await people.call(
            "POST", "/v1/account/deletion", ["password": .string(password)], as: bearer)
    }

    @Test func aDeletedAccountLeavesNothingThatOpensOrNamesAnything() async throws {
        let people = try await People()
        let fixture = people.fixture
        try await people.signUp()
        let bearer = try await people.bearer()
        let key = try await people.call("POST", "/v1/api-keys", ["name": "ci"], as: bearer).text("key")
        let agent = try await people.call("POST", "/v1/agent-keys", ["name": "home"], as: bearer).text("key")
        let tunnel = try await people.call("POST", "/v1/tunnels", ["region": "eu"], as: bearer).text("id")
        try await fixture.relay("r1")
        let placed = try await people.call(
            "POST", "/v1/tunnels/\(tunnel)/placements", ["session": "ses_1"], as: agent)
        #expect(placed.status == 201)
        var relay = RegionState(region: "eu")
        func follow() async throws {
            _ = relay.apply(
                try await fixture.store.changes(region: "eu", since: relay.rev, epoch: relay.epoch),
                fromControlPlane: true)
        }
        try await follow()
        #expect(relay.assignments.count == 1)

        #expect(try await delete(people, as: bearer, People.other).code == "wrong-password")
        #expect(try await delete(people, as: bearer).status == 200)
        // Relays close the link and the players of a tunnel that is gone.
        try await follow()
        #expect(relay.assignments.isEmpty)
        for credential in [bearer, key, agent] {
            #expect(try await people.call("GET", "/v1/regions", as: credential).status == 401)
        }
        #expect(try await people.signIn().status == 401)
        for table in ["users", "members", "sessions", "api_keys", "agent_keys", "tunnels", "placements"] {
            #expect(try await people.count(table) == 0, "\(table)")
        }
        #expect(try await people.count("mail_tokens") == 0)
        #expect(try await people.mails("account-deleted").map(\.to) == [People.anna])
        #expect(try await people.audited().suffix(2) == ["tunnel.delete", "account.delete"])
        // The address is free again, for a new account.
        try await people.signUp()
        #expect(try await people.signIn().status == 201)
    }

    @Test(arguments: BillingState.allCases)
    func aBillThatIsOpenComesFirst(_ state: BillingState) async throws {
        let people = try await People()
        try await people.signUp()
        let bearer = try await people.bearer()
        try await people.run("UPDATE accounts SET billing_state = '\(state.rawValue)'")
        let answer = try await delete(people, as: bearer)
        if [.none, .revoked].contains(state) {
            #expect(answer.status == 200)
        } else {
            #expect(answer.status == 409 && answer.code == "bill-open")
            #expect(try await people.call("GET", "/v1/user", as: bearer).status == 200)
        }
    }

    @Test func otherOwnersKeepTheirAccountAndOtherMembersLoseIt() async throws {
        let people = try await People()
        try await people.signUp()
        try await people.signUp("bob@mail.example")
        let anna = try await people.bearer()
        let bob = try await people.bearer("bob@mail.example")
        let account = try await people.call("GET", "/v1/user", as: anna).text("account_id")
        let user = try await people.call("GET", "/v1/user", as: bob).text("id")
        try await people.run("INSERT INTO members VALUES ('\(account)', '\(user)', 'owner')")
        #expect(try await delete(people, as: anna).code == "other-owners")
        try await people.run(
            "UPDATE members SET role = 'viewer' WHERE account_id = '\(account)' AND user_id = '\(user)'")
        #expect(try await delete(people, as: anna).status == 200)
        // Bob has an account of his own, and stays.
        #expect(try await people.call("GET", "/v1/user", as: bob).status == 200)
        #expect(try await people.count("users") == 1)
        #expect(try await people.mails("membership-ended").map(\.to) == ["bob@mail.example"])
    }

    @Test func aUserOfAnotherAccountStays() async throws {
        let people = try await People()
        try await people.signUp()
        try await people.signUp("bob@mail.example")
        let anna = try await people.bearer()
        let user = try await people.call("GET", "/v1/user", as: anna).text("id")
        let bobs = try await people.call("GET", "/v1/user", as: try await people.bearer("bob@mail.example"))
            .text("account_id")
        try await people.run("INSERT INTO members VALUES ('\(bobs)', '\(user)', 'admin')")
        #expect(try await delete(people, as: anna).status == 200)
        #expect(try await people.signIn()["account_id"] == .string(bobs))
    }

    @Test func nothingNewBeginsInADeletedAccount() async throws {
        let people = try await People()
        try await people.signUp()
        let bearer = try await people.bearer()
        let account = try #require(
            AccountID(try await people.call("GET", "/v1/user", as: bearer).text("account_id")))
        #expect(try await delete(people, as: bearer).status == 200)
        let store = people.fixture.store
        #expect(try await store.account(account) == nil)
        #expect(try await store.setPlan("team", account: account, actor: "test") == nil)
        let limits = try await people.call(
            "PUT", "/v1/ops/accounts/\(account.text)/limits", ["players": 1], as: Fixture.operatorKey)
        #expect(limits.status == 404)
    }
}
