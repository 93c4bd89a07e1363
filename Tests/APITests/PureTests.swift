import Core
import Crypto
import Domain
import IO
import Reconcilers
import Store
import Testing

@testable import API

private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: 1 << 40) + Milliseconds(milliseconds) }

@Suite struct RateLimitTests {
    private let limit = RateLimit("test", quota: 3, window_s: 3)

    @Test func aBurstPassesThenOneEachStep() {
        var cells = RateCells()
        for left in [2, 1, 0] {
            guard case .pass(let remaining, _) = cells.take(limit, caller: "a", now: at(0)) else {
                Issue.record("refused")
                return
            }
            #expect(remaining == left)
        }
        #expect(cells.take(limit, caller: "a", now: at(0)) == .refuse(retryAfter_s: 1))
        #expect(cells.take(limit, caller: "b", now: at(0)) == .pass(remaining: 2, reset_s: 1))
        #expect(cells.take(limit, caller: "a", now: at(1000)) == .pass(remaining: 0, reset_s: 3))
        #expect(cells.take(limit, caller: "a", now: at(1500)) == .refuse(retryAfter_s: 1))
    }

    @Test func manyCallersDoNotGrowItWithoutEnd() {
        var cells = RateCells(maxCallers: 100)
        for caller in 0..<1000 { _ = cells.take(limit, caller: "\(caller)", now: at(caller)) }
        #expect(cells.count <= 101)
    }
}

@Suite struct TrustedProxiesTests {
    private func address(_ text: String) throws -> SocketAddress { try #require(SocketAddress(text)) }

    @Test func aStrangersHeaderIsIgnored() throws {
        let proxies = try #require(TrustedProxies("10.0.0.0/8"))
        let peer = try address("203.0.113.9:5")
        #expect(proxies.client(peer: peer, forwarded: ["1.2.3.4"]).host == "203.0.113.9")
    }

    @Test func theLastHopThatIsNoProxyOfOursIsTheClient() throws {
        let proxies = try #require(TrustedProxies("10.0.0.0/8, fd00::/8"))
        let peer = try address("10.1.2.3:5")
        #expect(
            proxies.client(peer: peer, forwarded: ["6.6.6.6, 203.0.113.7", "10.9.9.9"]).host == "203.0.113.7")
        #expect(proxies.client(peer: peer, forwarded: []).host == "10.1.2.3")
        #expect(proxies.client(peer: peer, forwarded: ["2001:db8::1, fd00::2"]).host == "2001:db8::1")
        #expect(proxies.client(peer: peer, forwarded: ["nonsense"]).host == "10.1.2.3")
    }

    @Test(arguments: ["10.0.0.0/33", "x", "10.0.0.0/8/8", "fd00::/129", "1.2.3"])
    func badRangesAreRefused(_ text: String) { #expect(TrustedProxies(text) == nil) }

    @Test func rangesEndWithinABytes() throws {
        let proxies = try #require(TrustedProxies("172.16.0.0/12"))
        #expect(proxies.contains(try address("172.31.255.1:1")))
        #expect(!proxies.contains(try address("172.32.0.1:1")))
    }
}

@Suite struct RefreshTokenTests {
    private let signIn = SignInID(entropy: Array(1...16))
    private let key = [UInt8](repeating: 7, count: 32)

    @Test func aTokenReadsBackAndOnlyItsKeyProvesIt() throws {
        let text = RefreshToken(signIn: signIn, counter: 300).text(key: key)
        let token = try #require(RefreshToken(text))
        #expect(token == RefreshToken(signIn: signIn, counter: 300))
        #expect(token.isGenuine(text, key: key))
        #expect(!token.isGenuine(text, key: [UInt8](repeating: 8, count: 32)))
        #expect(!RefreshToken(signIn: signIn, counter: 301).isGenuine(text, key: key))
    }

    @Test(arguments: ["", "x", "AAAA", String(repeating: "A", count: 100)])
    func whatIsNoTokenIsNone(_ text: String) { #expect(RefreshToken(text) == nil) }

    @Test func theNewestRenewsTheOneBeforeRepeatsAnOlderOneEndsAll() {
        #expect(RefreshToken.decide(given: 5, current: 5) == .advance)
        #expect(RefreshToken.decide(given: 4, current: 5) == .repeatCurrent)
        #expect(RefreshToken.decide(given: 3, current: 5) == .end)
        #expect(RefreshToken.decide(given: 6, current: 5) == .refuse)
    }
}

@Suite struct AccessTokenTests {
    private let user = UserID(entropy: [1])
    private let account = AccountID(entropy: [2])
    private let signIn = SignInID(entropy: [3])

    @Test func aTokenNamesItsUserUntilItExpires() async throws {
        func tokensOfANewKey() throws -> AccessTokens {
            AccessTokens(keys: SigningKeys(KeyRing(signing: try SigningKey.generate())))
        }
        let tokens = try tokensOfANewKey()
        let now = WallTime(seconds: 1_000_000)
        let text = try tokens.issue(user: user, account: account, signIn: signIn, now: now)
        #expect(try await tokens.verify(text, now: now)?.signIn == signIn)
        #expect(try await tokens.verify(text, now: now + AccessTokens.lifetime_s + 6) == nil)
        #expect(try await tokensOfANewKey().verify(text, now: now) == nil)
    }
}

@Suite struct SignInThrottleTests {
    @Test func wrongPasswordsCostGrowingPausesForThatClientOnly() throws {
        let throttle = SignInThrottle()
        for _ in 0..<4 { throttle.failed(email: "A@b.c", client: "1.1.1.1", now: at(0)) }
        try throttle.check(email: "a@b.c", client: "1.1.1.1", now: at(0))
        throttle.failed(email: "a@b.c", client: "1.1.1.1", now: at(0))
        #expect(throws: Problem.self) { try throttle.check(email: "a@b.c", client: "1.1.1.1", now: at(500)) }
        try throttle.check(email: "a@b.c", client: "2.2.2.2", now: at(500))
        try throttle.check(email: "a@b.c", client: "1.1.1.1", now: at(1000))
        throttle.failed(email: "a@b.c", client: "1.1.1.1", now: at(1000))
        #expect(throws: Problem.self) { try throttle.check(email: "a@b.c", client: "1.1.1.1", now: at(2500)) }
        throttle.succeeded(email: "a@b.c", client: "1.1.1.1")
        try throttle.check(email: "a@b.c", client: "1.1.1.1", now: at(2500))
    }
}
