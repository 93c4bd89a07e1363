import Core
import Crypto
import Domain
import HTTP
import Postgres
import Store
import Support
import Testing

@testable import API

/// Members of an account: who may change whom, and what goes with a membership.
@Suite struct MemberTests {
    private func setRole(
        _ fixture: Fixture, _ person: Person, _ role: Role, as bearer: String, password: String? = nil
    ) async throws -> Fixture.Answer {
        var body: JSONObject = ["role": .string(role.rawValue)]
        if let password { body["password"] = .string(password) }
        return try await fixture.call("PATCH", "/v1/members/\(person.user)", .object(body), as: bearer)
    }

    private func remove(
        _ fixture: Fixture, _ person: Person, as bearer: String, query: String = ""
    ) async throws -> Fixture.Answer {
        try await fixture.call("DELETE", "/v1/members/\(person.user)\(query)", as: bearer)
    }

    @Test func membersAreListedWithTheirRoles() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let viewer = try await fixture.join(try await fixture.person("viewer"), owner, as: .viewer)
        let list = try await fixture.call("GET", "/v1/members", as: viewer)
        let members = list["data"]?.arrayValue ?? []
        #expect(members.map { $0["email"] } == ["owner@mail.example", "viewer@mail.example"])
        #expect(members.map { $0["role"] } == ["owner", "viewer"])
        #expect(members.map { $0["surplus"] } == [false, false])
        let one = try await fixture.call("GET", "/v1/members/\(owner.user)", as: viewer)
        #expect(one.json == members.first)
    }

    @Test func anotherAccountsMemberIsNotThere() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let stranger = try await fixture.person("stranger")
        let path = "/v1/members/\(owner.user)"
        #expect(try await fixture.call("GET", path, as: stranger.bearer).status == 404)
        #expect(try await setRole(fixture, owner, .viewer, as: stranger.bearer).status == 404)
        #expect(try await remove(fixture, owner, as: stranger.bearer).status == 404)
    }

    @Test func nobodyGivesOrTakesMoreThanTheyHave() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let helper = try await fixture.person("helper")
        let admin = try await fixture.join(try await fixture.person("admin"), owner, as: .admin)
        try await fixture.join(helper, owner, as: .viewer)
        #expect(try await setRole(fixture, helper, .admin, as: admin).status == 200)
        #expect(try await setRole(fixture, helper, .support, as: admin).status == 200)
        #expect(try await setRole(fixture, helper, .owner, as: admin).status == 403)
        #expect(try await setRole(fixture, owner, .viewer, as: admin).status == 403)
        #expect(try await remove(fixture, owner, as: admin).status == 403)
        let key = try await fixture.call(
            "POST", "/v1/api-keys", ["scopes": ["members:write", "account:read"]], as: owner.bearer
        ).text("key")
        #expect(try await setRole(fixture, helper, .viewer, as: key).status == 403)
        let invited = try await fixture.call(
            "POST", "/v1/invitations", ["email": "x@mail.example", "role": "viewer"], as: key)
        #expect(invited.status == 403)
    }

    @Test func ownersAreMadeWithAPasswordAndByNoKey() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let heir = try await fixture.person("heir")
        try await fixture.join(heir, owner, as: .admin)
        #expect(try await setRole(fixture, heir, .owner, as: owner.apiKey).status == 403)
        #expect(try await setRole(fixture, heir, .owner, as: owner.bearer).pointers == ["/password"])
        let wrong = try await setRole(fixture, heir, .owner, as: owner.bearer, password: "wrong")
        #expect(wrong.status == 403 && wrong.code == "wrong-password")
        let made = try await setRole(
            fixture, heir, .owner, as: owner.bearer, password: Fixture.password)
        #expect(made["role"] == "owner")
        let told = try await fixture.sql(
            "SELECT recipient AS v FROM mail_outbox WHERE kind = 'owners-changed' ORDER BY recipient")
        #expect(told == ["heir@mail.example", "owner@mail.example"])
        #expect(try await remove(fixture, heir, as: owner.bearer).code == "is-owner")
        let stepped = try await setRole(fixture, owner, .viewer, as: owner.bearer)
        #expect(stepped["role"] == "viewer")
    }

    @Test func theLastOwnerStays() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        try await fixture.join(try await fixture.person("admin"), owner, as: .admin)
        #expect(try await setRole(fixture, owner, .admin, as: owner.bearer).code == "last-owner")
        #expect(try await fixture.call("POST", "/v1/account/leave", as: owner.bearer).code == "last-owner")
        #expect(try await remove(fixture, owner, as: owner.bearer).code == "last-owner")
    }

    @Test func ownersWhoAllStepDownAtOnceLeaveOne() async throws {
        let fixture = try await Fixture()
        for round in 0..<5 {
            let first = try await fixture.person("first\(round)")
            var bearers = [first.bearer]
            var people = [first]
            for number in 0..<3 {
                let person = try await fixture.person("other\(round)-\(number)")
                people.append(person)
                bearers.append(try await fixture.join(person, first, as: .owner))
            }
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for (index, bearer) in bearers.enumerated() {
                    let person = people[index]
                    group.addTask {
                        index.isMultiple(of: 2)
                            ? try await setRole(fixture, person, .viewer, as: bearer).status
                            : try await fixture.call("POST", "/v1/account/leave", as: bearer).status
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.filter { $0 == 409 }.count == 1)
            let owners = try await fixture.sql(
                "SELECT user_id AS v FROM members WHERE account_id = $1 AND role = 'owner'",
                first.account.text)
            #expect(owners.count == 1)
        }
    }

    @Test func anAccountIsHandedOver() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let heir = try await fixture.person("heir")
        try await fixture.join(heir, owner, as: .viewer)
        func transfer(_ password: String, to user: UserID = heir.user) async throws -> Fixture.Answer {
            try await fixture.call(
                "POST", "/v1/account/transfer",
                ["member_id": .string(user.text), "password": .string(password)], as: owner.bearer)
        }
        let stranger = try await fixture.person("stranger")
        #expect(try await transfer("wrong").code == "wrong-password")
        #expect(try await transfer(Fixture.password, to: stranger.user).status == 404)
        #expect(try await transfer(Fixture.password, to: owner.user).pointers == ["/member_id"])
        let done = try await transfer(Fixture.password)
        #expect(done["role"] == "owner")
        let roles = try await fixture.sql(
            "SELECT role AS v FROM members WHERE account_id = $1 ORDER BY seq", owner.account.text)
        #expect(roles == ["admin", "owner"])
        #expect(try await transfer(Fixture.password).status == 403)
        let audit = try await fixture.sql(
            """
            SELECT concat_ws(' ', actor = $2, address, before->>'role', after->>'role') AS v FROM audit_log
            WHERE account_id = $1 AND action = 'account.transfer' ORDER BY id
            """, owner.account.text, owner.user.text)
        #expect(audit == ["t 127.0.0.1 viewer owner", "t 127.0.0.1 owner admin"])
    }

    @Test func aRemovedMemberIsOutAtOnceWithKeysAndInvitations() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let admin = try await fixture.person("admin")
        let bearer = try await fixture.join(admin, owner, as: .admin)
        let made = try await fixture.call(
            "POST", "/v1/api-keys", ["scopes": ["tunnels:read", "keys:write"]], as: bearer)
        let key = try made.text("key")
        // A key that a key made is its first maker's.
        let second = try await fixture.call(
            "POST", "/v1/api-keys", ["scopes": ["tunnels:read"]], as: key
        ).text("key")
        let agent = try await fixture.call("POST", "/v1/agent-keys", [:], as: bearer).text("key")
        let invited = try await fixture.call(
            "POST", "/v1/invitations", ["email": "friend@mail.example", "role": "admin"], as: bearer)
        #expect(invited.status == 201)
        for credential in [bearer, key, second, agent] {
            #expect(try await fixture.call("GET", "/v1/tunnels", as: credential).status == 200)
        }
        #expect(try await remove(fixture, admin, as: owner.bearer).status == 204)
        for credential in [bearer, key, second, agent] {
            #expect(try await fixture.call("GET", "/v1/tunnels", as: credential).status == 401)
        }
        #expect(try await fixture.call("GET", "/v1/tunnels", as: admin.bearer).status == 200)
        let token = try await fixture.mailedToken("friend@mail.example")
        let accepted = try await fixture.call(
            "POST", "/v1/invitations/accept",
            ["token": .string(token), "password": .string(Fixture.password)])
        #expect(accepted.status == 404)
        #expect(try await remove(fixture, admin, as: owner.bearer).status == 404)
        let actions = try await fixture.sql(
            "SELECT action AS v FROM audit_log WHERE account_id = $1 AND actor = $2 ORDER BY id",
            owner.account.text, owner.user.text)
        #expect(
            actions == [
                "user.sign_in", "member.remove", "invitation.withdraw", "api_key.revoke", "api_key.revoke",
                "agent_key.revoke",
            ])
        let told = try await fixture.sql(
            "SELECT recipient AS v FROM mail_outbox WHERE kind = 'member-removed'")
        #expect(told == ["admin@mail.example"])
    }

    @Test func theKeysOfARemovedMemberCanBeKept() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let admin = try await fixture.person("admin")
        let bearer = try await fixture.join(admin, owner, as: .admin)
        let key = try await fixture.call("POST", "/v1/api-keys", [:], as: bearer).text("key")
        #expect(try await remove(fixture, admin, as: owner.bearer, query: "?keys=perhaps").status == 422)
        #expect(try await remove(fixture, admin, as: owner.bearer, query: "?keys=keep").status == 204)
        #expect(try await fixture.call("GET", "/v1/tunnels", as: key).status == 200)
        let makers = try await fixture.sql(
            "SELECT made_by AS v FROM api_keys WHERE account_id = $1 AND made_by IS NOT NULL",
            owner.account.text)
        #expect(makers == [owner.user.text])
    }

    @Test func aDemotionEndsWhatTheNewRoleCouldNotHaveMade() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let admin = try await fixture.person("admin")
        let bearer = try await fixture.join(admin, owner, as: .admin)
        func key(_ scopes: JSON) async throws -> String {
            try await fixture.call("POST", "/v1/api-keys", ["scopes": scopes], as: bearer).text("key")
        }
        let reader = try await key(["tunnels:read"])
        let writer = try await key(["tunnels:read", "keys:write"])
        let agent = try await fixture.call("POST", "/v1/agent-keys", [:], as: bearer).text("key")
        #expect(try await setRole(fixture, admin, .viewer, as: owner.bearer).status == 200)
        #expect(try await fixture.call("GET", "/v1/tunnels", as: reader).status == 200)
        #expect(try await fixture.call("GET", "/v1/tunnels", as: writer).status == 401)
        #expect(try await fixture.call("GET", "/v1/tunnels", as: agent).status == 401)
        // The sign-in goes on with what the new role may.
        #expect(try await fixture.call("GET", "/v1/tunnels", as: bearer).status == 200)
        #expect(try await fixture.call("GET", "/v1/api-keys", as: bearer).status == 403)
    }

    @Test func afterADowngradeSurplusMembersMayOnlyLookAtTheAccount() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let admin = try await fixture.join(try await fixture.person("admin"), owner, as: .admin)
        // Who came later goes before, as an owner.
        let second = try await fixture.join(try await fixture.person("second"), owner, as: .owner)
        func take(_ plan: String) async throws {
            _ = try await fixture.store.setPlan(plan, account: owner.account, actor: "test")
        }
        func statuses(_ bearer: String) async throws -> [Int] {
            try await ["/v1/account", "/v1/tunnels"].asyncMap {
                try await fixture.call("GET", $0, as: bearer).status
            }
        }
        try await take("free")
        #expect(try await statuses(owner.bearer) == [200, 200])
        #expect(try await statuses(admin) == [200, 403])
        #expect(try await statuses(second) == [200, 403])
        let list = try await fixture.call("GET", "/v1/members", as: second)
        #expect(list["data"]?.arrayValue?.map { $0["surplus"] } == [false, true, true])
        try await fixture.sql("UPDATE plans SET max_members = 2 WHERE id = 'free'")
        #expect(try await statuses(admin) == [200, 403])
        #expect(try await statuses(second) == [200, 200])
        try await take("team")
        #expect(try await statuses(admin) == [200, 200])
    }

    @Test func whoLeavesIsOutAndNobodyIsLeftWithoutAnAccount() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let guest = try await fixture.person("guest")
        let bearer = try await fixture.join(guest, owner, as: .support)
        try await fixture.sql("DELETE FROM accounts WHERE id = $1", guest.account.text)
        #expect(try await fixture.call("POST", "/v1/account/leave", as: bearer).status == 204)
        #expect(try await fixture.call("GET", "/v1/account", as: bearer).status == 401)
        let credentials = try #require(try await fixture.store.credentials(email: guest.email))
        let own = try await fixture.signIn(guest.email, account: credentials.account).bearer
        let account = try await fixture.call("GET", "/v1/account", as: own)
        #expect(account["plan"]?["id"] == "free")
        #expect(account["usage"]?["members"] == 1)
    }

    @Test func aKeyIsNotMadeByWhoHasBeenRemovedMeanwhile() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let gone = try await fixture.person("gone")
        await #expect(throws: StoreError.membership(.noMember)) {
            try await fixture.store.createAPIKey(
                APIKeyID.new(), account: owner.account, name: "late", hash: SHA256.hash([1]),
                actor: Actor(gone.user.text))
        }
        await #expect(throws: StoreError.membership(.noMember)) {
            try await fixture.store.createAgentKey(
                AgentKeyID.new(), account: owner.account, name: "late", hash: SHA256.hash([2]),
                actor: Actor(APIKeyID.new().text))
        }
    }

    @Test func anAccountHasManyKeysButNotAnyNumber() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        try await fixture.sql(
            """
            INSERT INTO api_keys (id, account_id, name, hash)
            SELECT 'apk_' || n, $1, 'many', sha256(convert_to('a' || n, 'UTF8')) FROM generate_series(1, 99) n
            """, owner.account.text)
        try await fixture.sql(
            """
            INSERT INTO agent_keys (id, account_id, name, hash)
            SELECT 'agk_' || n, $1, 'many', sha256(convert_to('b' || n, 'UTF8')) FROM generate_series(1, 499) n
            """, owner.account.text)
        for path in ["/v1/api-keys", "/v1/agent-keys"] {
            let refused = try await fixture.call("POST", path, [:], as: owner.bearer)
            #expect(refused.status == 409 && refused.code == "too-many-keys")
            #expect(try refused.text("detail").contains("revoke one"))
        }
        try await fixture.sql("UPDATE api_keys SET revoked_at = now() WHERE id = 'apk_1'")
        #expect(try await fixture.call("POST", "/v1/api-keys", [:], as: owner.bearer).status == 201)
    }

    @Test func anAgentKeyIsNotMadeByAKeyThatMayNotTouchTunnels() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let key = try await fixture.call(
            "POST", "/v1/api-keys", ["scopes": ["keys:write", "tunnels:read"]], as: owner.bearer
        ).text("key")
        let refused = try await fixture.call("POST", "/v1/agent-keys", [:], as: key)
        #expect(refused.status == 403)
        #expect(try refused.text("detail").contains("you lack tunnels:write"))
    }
}

/// Somebody who belongs to several accounts.
@Suite struct AccountSwitchTests {
    private func go(
        _ fixture: Fixture, _ token: String, to account: AccountID
    ) async throws -> Fixture.Answer {
        try await fixture.call(
            "POST", "/v1/sessions/switch",
            ["refresh_token": .string(token), "account_id": .string(account.text)])
    }

    @Test func accountsAreListedNamedAndSwitched() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let guest = try await fixture.person("guest", plan: "free")
        try await fixture.join(guest, owner, as: .support)
        let named = try await fixture.call(
            "PATCH", "/v1/account", ["name": "Castle Crew"], as: owner.bearer)
        #expect(named["name"] == "Castle Crew")
        let list = try await fixture.call("GET", "/v1/accounts", as: guest.bearer)
        let accounts = list["data"]?.arrayValue ?? []
        #expect(accounts.map { $0["id"]?.stringValue } == [guest.account.text, owner.account.text])
        #expect(accounts.map { $0["current"] } == [true, false])
        #expect(accounts.map { $0["name"] } == [.null, "Castle Crew"])
        #expect(accounts.map { $0["role"] } == ["owner", "support"])

        let switched = try await go(fixture, guest.refreshToken, to: owner.account)
        #expect(switched["account_id"] == .string(owner.account.text))
        let access = try switched.text("access_token")
        let account = try await fixture.call("GET", "/v1/account", as: access)
        #expect(account["id"] == .string(owner.account.text))
        // A tab that still shows the other account does not act on this one.
        #expect(try await fixture.call("GET", "/v1/account", as: guest.bearer).status == 401)
        // The answer was lost: the same once more.
        let again = try await go(fixture, guest.refreshToken, to: owner.account)
        #expect(again["refresh_token"] == switched["refresh_token"])
        let back = try await go(fixture, try switched.text("refresh_token"), to: guest.account)
        #expect(back["account_id"] == .string(guest.account.text))
        // Two behind: somebody else has a copy.
        #expect(try await go(fixture, guest.refreshToken, to: owner.account).status == 401)
        #expect(try await go(fixture, try back.text("refresh_token"), to: owner.account).status == 401)
    }

    @Test func nobodySwitchesToAnAccountOfOthers() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let stranger = try await fixture.person("stranger")
        let refused = try await go(fixture, stranger.refreshToken, to: owner.account)
        let unknown = try await go(fixture, stranger.refreshToken, to: AccountID.new())
        #expect(refused.status == 403 && refused.code == "no-member")
        #expect(unknown["detail"] == refused["detail"])
        // And is not signed out by trying.
        #expect(try await go(fixture, stranger.refreshToken, to: stranger.account).status == 200)
        #expect(try await go(fixture, "nonsense", to: stranger.account).status == 401)
    }

    @Test func aSignInNamesItsAccount() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        let guest = try await fixture.person("guest")
        try await fixture.join(guest, owner, as: .viewer)
        func signIn(_ account: AccountID?, _ password: String = Fixture.password) async throws
            -> Fixture.Answer
        {
            var body: JSONObject = ["email": .string(guest.email), "password": .string(password)]
            if let account { body["account_id"] = .string(account.text) }
            return try await fixture.call("POST", "/v1/sessions", .object(body))
        }
        #expect(try await signIn(nil)["account_id"] == .string(guest.account.text))
        #expect(try await signIn(owner.account)["account_id"] == .string(owner.account.text))
        #expect(try await signIn(AccountID.new()).code == "no-member")
        #expect(try await signIn(AccountID.new(), "wrong").code == "wrong-credentials")
    }

    @Test func aMemberWhoIsRemovedWhileSwitchingIsOut() async throws {
        let fixture = try await Fixture()
        let owner = try await fixture.person("owner")
        for round in 0..<5 {
            let guest = try await fixture.person("guest\(round)")
            try await fixture.join(guest, owner, as: .viewer)
            async let switched = go(fixture, guest.refreshToken, to: owner.account)
            async let removed = fixture.call("DELETE", "/v1/members/\(guest.user)", as: owner.bearer)
            #expect(try await removed.status == 204)
            if let access = try await switched["access_token"]?.stringValue {
                #expect(try await fixture.call("GET", "/v1/account", as: access).status == 401)
            }
            let left = try await fixture.sql(
                "SELECT id AS v FROM sessions WHERE account_id = $1 AND user_id = $2", owner.account.text,
                guest.user.text)
            #expect(left == [])
        }
    }
}

extension Sequence where Self: Sendable, Element: Sendable {
    fileprivate func asyncMap<Value>(_ transform: (Element) async throws -> Value) async rethrows -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await transform(element)) }
        return values
    }
}
