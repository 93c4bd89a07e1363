import Core
import Crypto
import Domain
import Postgres
import Support
import Testing
import Wire

@testable import Store

@Suite struct AccountTests {
    @Test func signingUpTwiceKeepsTheFirstAndDoesNotTell() async throws {
        let store = try await Fixture().store
        for (email, hash) in [("Bob@Example.test", "first"), ("bob@example.TEST", "second")] {
            try await store.signUp(
                SignUp(email: email, passwordHash: hash, mode: .open, tokenHash: [], mails: nil))
        }
        let credentials = try #require(try await store.credentials(email: "BOB@example.test"))
        #expect(credentials.passwordHash == "first")
        #expect(try await store.credentials(email: "nobody@example.test")?.passwordHash == nil)
    }

    @Test func operatorsAreToldThatAnAddressIsTakenOrAPlanUnknown() async throws {
        let store = try await Fixture().store
        await #expect(throws: StoreError.emailTaken) {
            try await store.createAccount(
                email: "ANNA@example.test", passwordHash: "x", plan: "free", apiKeyHash: SHA256.hash([3]),
                agentKeyHash: SHA256.hash([4]), actor: "test")
        }
        await #expect(throws: StoreError.unknownPlan("gold")) {
            try await store.createAccount(
                email: "c@example.test", passwordHash: "x", plan: "gold", apiKeyHash: SHA256.hash([3]),
                agentKeyHash: SHA256.hash([4]), actor: "test")
        }
    }

    @Test func aSignInIsRenewedRepeatedRefusedOrEnded() async throws {
        let fixture = try await Fixture()
        let store = fixture.store
        let user = try #require(try await store.credentials(email: "anna@example.test"))
        let id = SignInID(entropy: [1])
        try await store.openSession(id, user: user, refreshKey: [1, 2, 3], lifetime_s: 600)
        let renewed = try #require(
            try await store.renewSession(id) { key, counter in
                key == [1, 2, 3] && counter == 0 ? .advance : .refuse
            })
        #expect(renewed.counter == 1)
        #expect(renewed.account == fixture.account)
        #expect(try await store.renewSession(id) { _, _ in .repeatCurrent }?.counter == 1)
        #expect(try await store.renewSession(id) { _, _ in .refuse }?.counter == nil)
        #expect(try await store.renewSession(id) { _, _ in .end }?.counter == nil)
        #expect(try await store.renewSession(id) { _, _ in .advance }?.counter == nil)
    }

    @Test func anExpiredSignInIsGone() async throws {
        let store = try await Fixture().store
        let user = try #require(try await store.credentials(email: "anna@example.test"))
        let id = SignInID(entropy: [1])
        try await store.openSession(id, user: user, refreshKey: [1], lifetime_s: 0)
        #expect(try await store.renewSession(id) { _, _ in .advance }?.counter == nil)
    }

    @Test func everyKindOfKeyNamesItsHolder() async throws {
        let fixture = try await Fixture()
        let store = fixture.store
        let agent = TypedKey.generate(prefix: .agent)
        let api = TypedKey.generate(prefix: .account)
        let relay = TypedKey.generate(prefix: .relay)
        let `operator` = TypedKey.generate(prefix: .operator)
        let agentID = AgentKeyID(entropy: [1])
        _ = try await store.createAgentKey(
            agentID, account: fixture.account, name: "home", hash: agent.hash, actor: "test")
        try await store.createAPIKey(
            APIKeyID(entropy: [2]), account: fixture.account, name: "ci", hash: api.hash, actor: "test")
        try await store.createRelayKey(RelayKeyID(entropy: [3]), name: "eu", hash: relay.hash, actor: "test")
        try await store.createOperatorKey(
            OperatorKeyID(entropy: [4]), name: "ops", hash: `operator`.hash, actor: "test")
        #expect(try await store.keyHolder(agent) == .agent(agentID, fixture.account, true))
        #expect(
            try await store.keyHolder(api)
                == .account(APIKeyID(entropy: [2]), fixture.account, Scope.all))
        #expect(try await store.keyHolder(relay) == .relay(RelayKeyID(entropy: [3])))
        #expect(try await store.keyHolder(`operator`) == .operator(OperatorKeyID(entropy: [4]), .operator))
        #expect(try await store.keyHolder(.generate(prefix: .agent)) == nil)
        #expect(try await store.revokeAgentKey(agentID, account: fixture.account, actor: "test") == true)
        #expect(try await store.keyHolder(agent) == nil)
    }

    @Test func anIdempotencyKeyIsGoodForOneRequest() async throws {
        let store = try await Fixture().store
        func begin(_ key: String, _ body: UInt8 = 1) async throws -> IdempotencyState {
            try await store.beginIdempotent(scope: "a", key: key, fingerprint: [body])
        }
        #expect(try await begin("k") == .first)
        #expect(try await begin("k") == .inFlight)
        #expect(try await begin("k", 2) == .mismatch)
        try await store.finishIdempotent(scope: "a", key: "k", status: 201, body: "{}", resource: nil)
        #expect(try await begin("k") == .done(status: 201, body: "{}"))
        #expect(try await begin("s") == .first)
        try await store.finishIdempotent(scope: "a", key: "s", status: 201, body: nil, resource: "agk_1")
        #expect(try await begin("s") == .doneWithSecret(resource: "agk_1"))
        #expect(try await begin("x") == .first)
        try await store.abandonIdempotent(scope: "a", key: "x")
        #expect(try await begin("x") == .first)
    }
}

@Suite struct TunnelTests {
    @Test func aGeneratedNameIsAnAdjectiveAndANoun() async throws {
        let tunnel = try await Fixture().tunnel()
        #expect(tunnel.hostname == "\(tunnel.label).eu.example.test")
        #expect(tunnel.label.split(separator: "-").count == 2)
        #expect(tunnel.state == .offline)
        #expect(tunnel.generation == nil)
    }

    @Test func aNameIsUniqueInItsRegionAndFreeAfterDeletion() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel("My-World")
        #expect(tunnel.hostname == "my-world.eu.example.test")
        await #expect(throws: StoreError.labelTaken("my-world")) { try await fixture.tunnel("my-world") }
        try await fixture.store.ensureRegion("us", name: "America")
        let abroad = try await fixture.store.createTunnel(
            account: fixture.account, region: "us", label: "my-world", baseDomain: Fixture.baseDomain,
            actor: "test")
        #expect(abroad.hostname == "my-world.us.example.test")
        #expect(
            try await fixture.store.deleteTunnel(tunnel.id, account: fixture.account, actor: "test") == true)
        #expect(try await fixture.tunnel("my-world").id != tunnel.id)
    }

    @Test func badNamesAndUnknownRegionsAreRefused() async throws {
        let fixture = try await Fixture()
        await #expect(throws: StoreError.invalidLabel(.reserved)) { try await fixture.tunnel("www") }
        await #expect(throws: StoreError.unknownRegion("mars")) {
            try await fixture.store.createTunnel(
                account: fixture.account, region: "mars", label: nil, baseDomain: "x.test", actor: "test")
        }
    }

    @Test func thePlanBoundsTunnelsAndChosenNamesEvenWhenAskedAtOnce() async throws {
        let fixture = try await Fixture(plan: "free")
        await #expect(throws: StoreError.plan(.chosenName)) { try await fixture.tunnel("my-world") }
        let made = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 { group.addTask { (try? await fixture.tunnel()) != nil } }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(made == 1)
        await #expect(throws: StoreError.plan(.tunnels(1))) { try await fixture.tunnel() }
    }

    @Test func listsComeInPagesWithoutRepeatsOrGaps() async throws {
        let fixture = try await Fixture()
        var made: [TunnelID] = []
        for _ in 0..<7 { made.append(try await fixture.tunnel().id) }
        var seen: [TunnelID] = []
        var page = Page(limit: 3)
        while true {
            let listing = try await fixture.store.tunnels(of: fixture.account, page)
            seen += listing.items.map(\.id)
            guard let cursor = listing.nextCursor else { break }
            page = try #require(Page(limit: 3, cursor: cursor))
        }
        #expect(seen == made)
        #expect(Page(limit: 3, cursor: "nonsense") == nil)
        let all = try await fixture.store.allTunnels(Page(), hostname: nil)
        #expect(all.items.map(\.id) == made)
        let one = try await fixture.store.allTunnels(Page(), hostname: all.items[2].hostname.uppercased())
        #expect(one.items.map(\.id) == [made[2]])
    }

    @Test func limitsOfThePlanReachTheAssignment() async throws {
        let fixture = try await Fixture(plan: "free")
        let tunnel = try await fixture.tunnel()
        let placement = try #require(try await fixture.place(tunnel.id, "s1"))
        #expect(placement.limits.players == 10)
        let deltas = try await fixture.store.outbox("eu", after: 0, as: fixture.lease())
        #expect(deltas.last?.upserts.first?.limits == placement.limits)
    }

    @Test func everyChangeIsInTheAuditLog() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        _ = try await fixture.store.deleteTunnel(tunnel.id, account: fixture.account, actor: "usr_x")
        let actions: [String] = try await fixture.pool.transaction { tx in
            try tx.query("SELECT action FROM audit_log WHERE account_id = $1 ORDER BY id", fixture.account)
                .map { try $0["action"] }
        }
        #expect(actions == ["account.create", "tunnel.create", "tunnel.delete"])
    }
}
