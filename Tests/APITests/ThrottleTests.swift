import Core
import Crypto
import Domain
import HTTP
import IO
import Redis
import Store
import Support
import Testing

@testable import API
@testable import Reconcilers

extension SignInPolicies {
    /// So long that no test, however slow, outlasts a pause.
    static let pausesLong = SignInPolicies(
        pair: StrikePolicy(
            "wrong-passwords", free: 5, firstPause_ms: 3_600_000, maxPause_ms: 3_600_000, decay_ms: 36_000_000
        ),
        network: StrikePolicy(
            "wrong-passwords-of-address", free: 1000, maxPause_ms: 3_600_000, decay_ms: 36_000_000),
        account: StrikePolicy(
            "wrong-passwords-of-account", free: 1000, maxPause_ms: 3_600_000, decay_ms: 36_000_000),
        known_ms: 36_000_000)
}

/// A Redis of its own, with clients on one loop.
private struct Parts: Sendable {
    let redis: PrivateRedis
    let thread: LoopThread
    let url: RedisURL

    init() throws {
        redis = try PrivateRedis()
        thread = try LoopThread.start(name: "throttles")
        url = try #require(RedisURL(redis.url))
    }

    func client() async -> RedisClient { await RedisClient.start(url: url, on: thread.mailbox) }

    func end() {
        thread.stop()
        redis.end()
    }
}

private func guess(_ fixture: Fixture, _ password: String, peer: String = "203.0.113.5:1") async throws
    -> Fixture.Answer
{
    try await fixture.call(
        "POST", "/v1/sessions", ["email": "anna@mail.example", "password": .string(password)], peer: peer)
}

private func signUp(_ fixture: Fixture) async throws {
    _ = try await fixture.store.createAccount(
        email: "anna@mail.example", passwordHash: Scrypt.hash(password: Fixture.password), plan: "free",
        apiKeyHash: SecureRandom.bytes(32), agentKeyHash: SecureRandom.bytes(32), actor: "test")
}

@Suite struct SignInThrottleTests {
    @Test func guessesAtTheSameTimeCountOneByOne() async throws {
        let fixture = try await Fixture(signIns: SignInThrottle(policies: .pausesLong))
        try await signUp(fixture)
        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<12 { group.addTask { try await guess(fixture, "wrong password").status } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(statuses.sorted() == [Int](repeating: 401, count: 5) + [Int](repeating: 429, count: 7))
    }

    @Test func aRefusedTrySaysWhenToComeBack() async throws {
        let fixture = try await Fixture(signIns: SignInThrottle(policies: .pausesLong))
        for _ in 0..<5 { #expect(try await guess(fixture, "wrong password").status == 401) }
        let refused = try await guess(fixture, Fixture.password)
        #expect(refused.status == 429)
        #expect(refused["violated-policies"] == ["wrong-passwords"])
        let wait_s = try #require(refused.headers["retry-after"].flatMap { Int($0) })
        #expect((1...3600).contains(wait_s))
        #expect(refused.headers["ratelimit-policy"] == "\"wrong-passwords\";q=5;w=180000")
        #expect(refused.headers["ratelimit"] == "\"wrong-passwords\";r=0;t=\(wait_s)")
    }

    @Test func aRightPasswordGivesBackWhatItCost() async throws {
        let fixture = try await Fixture(signIns: SignInThrottle(policies: .pausesLong))
        try await signUp(fixture)
        for _ in 0..<3 {
            for _ in 0..<4 { #expect(try await guess(fixture, "wrong password").status == 401) }
            #expect(try await guess(fixture, Fixture.password).status == 201)
        }
    }

    @Test func twoControlPlanesCountTogether() async throws {
        let parts = try Parts()
        defer { parts.end() }
        func throttle() async -> SignInThrottle {
            SignInThrottle(redis: await parts.client(), policies: .pausesLong, patience: .seconds(30))
        }
        let one = try await Fixture(signIns: throttle())
        let two = try await Fixture(url: one.url, signIns: throttle())
        try await signUp(one)
        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<6 {
                for fixture in [one, two] {
                    group.addTask { try await guess(fixture, "wrong password").status }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(statuses.sorted() == [Int](repeating: 401, count: 5) + [Int](repeating: 429, count: 7))
        // Another address is not kept waiting, and its right password does not help the guesser.
        #expect(try await guess(two, Fixture.password, peer: "203.0.113.6:1").status == 201)
        #expect(try await guess(one, Fixture.password).status == 429)
    }

    @Test func aRightPasswordAtOneGivesBackAtTheOther() async throws {
        let parts = try Parts()
        defer { parts.end() }
        func throttle() async -> SignInThrottle {
            SignInThrottle(redis: await parts.client(), policies: .pausesLong, patience: .seconds(30))
        }
        let one = try await Fixture(signIns: throttle())
        let two = try await Fixture(url: one.url, signIns: throttle())
        try await signUp(one)
        for (here, there) in [(one, two), (two, one), (one, two)] {
            for _ in 0..<4 { #expect(try await guess(here, "wrong password").status == 401) }
            #expect(try await guess(there, Fixture.password).status == 201)
        }
    }

    /// Nobody waits for a Redis that does not answer, and guessers are counted all the same.
    @Test func signInsGoOnWhileRedisIsStoppedAndAreSharedAgainLater() async throws {
        let parts = try Parts()
        defer { parts.end() }
        let client = await parts.client()
        let fixture = try await Fixture(signIns: SignInThrottle(redis: client, policies: .pausesLong))
        try await signUp(fixture)
        _ = try await client.command("PING", timeout: .seconds(30))

        try parts.redis.freeze()
        #expect(try await guess(fixture, Fixture.password, peer: "203.0.113.6:1").status == 201)
        #expect(!fixture.api.signIns.isShared)
        for _ in 0..<5 { #expect(try await guess(fixture, "wrong password").status == 401) }
        #expect(try await guess(fixture, "wrong password").status == 429)
        #expect(try await guess(fixture, Fixture.password, peer: "203.0.113.6:1").status == 201)

        try parts.redis.thaw()
        try await eventually("the counts are shared") {
            _ = await fixture.api.signIns.attempt(email: "other@mail.example", network: "203.0.113.9")
            return fixture.api.signIns.isShared
        }
    }

    @Test func signInsGoOnWithoutRedis() async throws {
        let parts = try Parts()
        let client = await parts.client()
        let fixture = try await Fixture(signIns: SignInThrottle(redis: client, policies: .pausesLong))
        parts.redis.halt()
        for _ in 0..<5 { #expect(try await guess(fixture, "wrong password").status == 401) }
        #expect(try await guess(fixture, "wrong password").status == 429)
        client.close()
        parts.thread.stop()
    }

    /// The scripts in Redis and the value that stands in for them.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func redisDecidesAsTheValueDoes(_ seed: UInt64) async throws {
        let parts = try Parts()
        defer { parts.end() }
        let redis = RedisThrottles(await parts.client())
        let policies = SignInPolicies(
            pair: StrikePolicy("pair", free: 2, maxPause_ms: 60_000, decay_ms: 600_000),
            network: StrikePolicy("network", free: 5, maxPause_ms: 30_000, decay_ms: 700_000),
            account: StrikePolicy("account", free: 4, maxPause_ms: 90_000, decay_ms: 800_000),
            known_ms: 86_400_000)
        var value = SignInGuard(policies)
        var state = seed
        func random(_ below: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % below
        }
        var now_ms = 1_763_700_000_000
        var waits = 0
        for step in 0..<400 {
            now_ms += [0, 0, 500, 20_000, 400_000][random(5)]
            let subject = SignInSubject(
                email: "\(random(3))@mail.example", network: "203.0.113.\(random(3))")
            let expected = value.attempt(subject, now_ms: now_ms)
            let verdict = try await redis.attempt(
                subject, policies, now_ms: now_ms, timeout: .seconds(30))
            #expect(verdict == expected, "step \(step)")
            guard case .pass(let isKnown) = verdict else {
                waits += 1
                continue
            }
            guard random(3) == 0 else { continue }
            let end: SignInEnd = random(2) == 0 ? .rightPassword : .unchecked
            value.end(subject, end, wasKnown: isKnown, now_ms: now_ms)
            try await redis.end(
                subject, policies, end, wasKnown: isKnown, now_ms: now_ms, timeout: .seconds(30))
        }
        #expect(waits > 10)
    }

    @Test func everyKeyInRedisGoesByItself() async throws {
        let parts = try Parts()
        defer { parts.end() }
        let client = await parts.client()
        let signIns = SignInThrottle(redis: client, patience: .seconds(30))
        for end in [nil, SignInEnd.rightPassword] {
            for _ in 0..<3 {
                guard case .go(let attempt) = await signIns.attempt(email: "a@b.example", network: "1.2.3.4")
                else { continue }
                if let end { await signIns.end(attempt, end) }
            }
        }
        let limiter = RateLimiter(redis: client)
        _ = limiter.verdict(.calls, caller: "usr_1")
        await limiter.exchange()
        let keys = try #require(try await client.command("KEYS", "*", timeout: .seconds(30)).arrayValue)
        #expect(keys.count >= 3)
        for key in keys.compactMap(\.text) {
            let life_ms = try await client.command("PTTL", key, timeout: .seconds(30)).integerValue
            #expect((life_ms ?? 0) > 0, "\(key)")
            #expect(!key.contains("@"))
        }
    }
}

@Suite struct RateLimiterTests {
    /// One request in six minutes is refilled: no test takes so long.
    private let limit = RateLimit("test", quota: 10, window_s: 3600)

    private func passes(_ limiter: RateLimiter) -> Bool {
        if case .pass = limiter.verdict(limit, caller: "a") { true } else { false }
    }

    @Test func twoControlPlanesShareTheCounts() async throws {
        let parts = try Parts()
        defer { parts.end() }
        let one = RateLimiter(redis: await parts.client())
        let two = RateLimiter(redis: await parts.client())
        for _ in 0..<6 { #expect(passes(one)) }
        await one.exchange()
        #expect(one.isShared)
        #expect(passes(two))
        await two.exchange()
        for _ in 0..<3 { #expect(passes(two)) }
        #expect(!passes(two))
        await two.exchange()
        // Each learns of the others when it tells: one does so with its next request.
        #expect(passes(one))
        await one.exchange()
        #expect(!passes(one))
    }

    @Test func withoutRedisEachCountsAlone() async throws {
        let parts = try Parts()
        let client = await parts.client()
        let limiter = RateLimiter(redis: client)
        parts.redis.halt()
        for _ in 0..<10 { #expect(passes(limiter)) }
        await limiter.exchange()
        #expect(!limiter.isShared)
        #expect(!passes(limiter))
        client.close()
        parts.thread.stop()
    }

    @Test func anAccountsCredentialsShareItsQuota() async throws {
        let start = Instant.now()
        let fixture = try await Fixture(limiter: RateLimiter { start })
        let account = try await fixture.account()
        let answer = try await fixture.call("GET", "/v1/tunnels", as: account.apiKey)
        #expect(
            answer.headers["ratelimit-policy"] == "\"calls\";q=60000;w=60, \"account\";q=180000;w=60")
        let fields = try #require(answer.headers["ratelimit"]).split(separator: ", ")
        #expect(fields.map { $0.prefix { $0 != ";" } } == ["\"calls\"", "\"account\""])
        for _ in 0..<RateLimit.account.quota {
            _ = fixture.api.limiter.verdict(.account, caller: account.id)
        }
        for key in [account.apiKey, account.agentKey] {
            let refused = try await fixture.call("GET", "/v1/tunnels", as: key)
            #expect(refused.status == 429)
            #expect(refused["violated-policies"] == ["account"])
        }
    }

    @Test func anAddressOfIPv6CountsWithItsNetwork() throws {
        for (address, network) in [
            ("203.0.113.7", "203.0.113.7"), ("::ffff:203.0.113.7", "203.0.113.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("::1", "::/64"),
        ] {
            #expect(try #require(SocketAddress(host: address, port: 1)).network == network)
        }
    }
}
