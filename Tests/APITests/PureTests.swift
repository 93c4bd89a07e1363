import Core
import Crypto
import Domain
import IO
import Reconcilers
import Store
import Testing

@testable import API

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
