import Core
import Crypto
import Testing

@Suite struct JWTTests {
    let key: Ed25519PrivateKey
    let keys: VerificationKeys
    let now = WallTime(seconds: 1_800_000_000)

    init() throws {
        key = try RFC8037.key()
        keys = VerificationKeys([key.publicKey])
    }

    func claims(_ changes: JSONObject = [:]) -> JSONObject {
        var claims: JSONObject = [
            "iss": "minecart", "aud": "rly_1", "sub": "tun_1", "iat": .integer(now.seconds),
            "exp": .integer(now.seconds + 300),
        ]
        for (name, value) in changes.members { claims[name] = value.isNull ? nil : value }
        return claims
    }

    func verify(_ claims: JSONObject, at later_s: Int64 = 0, leeway_s: Int64 = 0, grace_s: Int64 = 0)
        throws(JWTError) -> JSONObject
    {
        let token = JWT.sign(claims: claims, type: "minecart-ticket+jwt", key: key)
        return try JWT.verify(
            token, type: "minecart-ticket+jwt", issuer: "minecart", audience: "rly_1", keys: keys,
            now: now + later_s, leeway_s: leeway_s, grace_s: grace_s)
    }

    @Test func aGoodTicketGivesItsClaims() throws {
        #expect(try verify(claims()) == claims())
        #expect(try verify(claims())["sub"] == "tun_1")
    }

    @Test func aTicketEndsAtItsExpiry() throws {
        #expect(try verify(claims(), at: 299) == claims())
        #expect(throws: JWTError.expired) { try verify(claims(), at: 300) }
        #expect(throws: JWTError.expired) { try verify(claims(), at: 1_000_000) }
    }

    @Test func leewayAndGracePutOffExpiryByTheirLength() throws {
        #expect(try verify(claims(), at: 329, leeway_s: 30) == claims())
        #expect(throws: JWTError.expired) { try verify(claims(), at: 330, leeway_s: 30) }
        #expect(try verify(claims(), at: 300 + 86_399, grace_s: 86_400) == claims())
        #expect(throws: JWTError.expired) { try verify(claims(), at: 300 + 86_400, grace_s: 86_400) }
    }

    @Test(arguments: ["nbf", "iat"])
    func aTicketFromTheFutureWaits(name: String) throws {
        let early = claims([name: .integer(now.seconds + 60)])
        #expect(throws: JWTError.notYetValid) { try verify(early) }
        #expect(throws: JWTError.notYetValid) { try verify(early, leeway_s: 59) }
        #expect(throws: JWTError.notYetValid) { try verify(early, grace_s: 86_400) }
        #expect(try verify(early, leeway_s: 60) == early)
        #expect(try verify(early, at: 60) == early)
    }

    @Test(arguments: [.null, "", "Minecart", "minecart ", 1, ["minecart"]] as [JSON])
    func anotherIssuerIsRefused(issuer: JSON) {
        #expect(throws: JWTError.wrongIssuer) { try verify(claims(["iss": issuer])) }
    }

    @Test(arguments: [.null, "", "rly_2", "rly_1 ", 1, [], ["rly_2", 1], ["name": "rly_1"]] as [JSON])
    func anotherAudienceIsRefused(audience: JSON) {
        #expect(throws: JWTError.wrongAudience) { try verify(claims(["aud": audience])) }
    }

    @Test func oneOfSeveralAudiencesIsEnough() throws {
        let several = claims(["aud": ["rly_2", "rly_1"]])
        #expect(try verify(several) == several)
    }

    @Test func timesMustBeWholeNumbers() {
        for value: JSON in [.null, "1800000300", .number(1_800_000_300.5), true, []] {
            #expect(throws: JWTError.malformed) { try verify(claims(["exp": value])) }
        }
        for value: JSON in ["1", .number(1.5), false] {
            #expect(throws: JWTError.malformed) { try verify(claims(["nbf": value])) }
            #expect(throws: JWTError.malformed) { try verify(claims(["iat": value])) }
        }
    }

    @Test func extremeTimesDoNotCrash() throws {
        let forever = claims(["exp": .integer(.max)])
        #expect(try verify(forever, leeway_s: 30, grace_s: 86_400) == forever)
        #expect(throws: JWTError.expired) { try verify(claims(["exp": .integer(.min)]), leeway_s: 30) }
        #expect(throws: JWTError.notYetValid) { try verify(claims(["nbf": .integer(.max)]), leeway_s: 30) }
    }

    @Test func aTokenOfAnotherTypeIsRefused() {
        let token = JWT.sign(claims: claims(), type: "at+jwt", key: key)
        #expect(throws: JWTError.signature(.wrongType)) {
            try JWT.verify(
                token, type: "minecart-ticket+jwt", issuer: "minecart", audience: "rly_1", keys: keys,
                now: now)
        }
    }

    @Test(arguments: ["", "null", "[]", "7", "{", "{}x", #"{"iss":"a","iss":"minecart"}"#])
    func aPayloadThatIsNoObjectIsRefused(payload: String) {
        let token = JWS.sign(Array(payload.utf8), type: "at+jwt", key: key)
        #expect(throws: JWTError.malformed) {
            try JWT.verify(token, type: "at+jwt", issuer: "minecart", audience: "rly_1", keys: keys, now: now)
        }
    }

    @Test func anOversizeTokenIsRefused() {
        let large = claims(["padding": .string(String(repeating: "a", count: 9000))])
        #expect(throws: JWTError.signature(.tooLarge)) { try verify(large) }
    }

    @Test func noErrorRepeatsTheToken() {
        let token = JWT.sign(claims: claims(["iss": "evil\u{1B}[31m"]), type: "at+jwt", key: key)
        let error = #expect(throws: JWTError.self) {
            try JWT.verify(token, type: "at+jwt", issuer: "minecart", audience: "rly_1", keys: keys, now: now)
        }
        #expect(error.map { "\($0)" } == "the token is from another issuer")
    }
}
