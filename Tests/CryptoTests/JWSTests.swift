import Core
import Crypto
import Testing

/// A compact text with any header, signed by any function: what an attacker can make.
func forge(header: JSON, payload: [UInt8], sign: ([UInt8]) -> [UInt8]) -> String {
    let input = Base64URL.encode(header.bytes) + "." + Base64URL.encode(payload)
    return input + "." + Base64URL.encode(sign(Array(input.utf8)))
}

@Suite struct JWSTests {
    let key: Ed25519PrivateKey
    let keys: VerificationKeys
    let payload = Array(#"{"kind":"beacon"}"#.utf8)
    let type = "minecart-assignments+jws"

    init() throws {
        key = try RFC8037.key()
        keys = VerificationKeys([key.publicKey])
    }

    func verify(_ token: String, maxBytes: Int = 4096) throws(JWSError) -> [UInt8] {
        try JWS.verify(token, type: type, keys: keys, maxBytes: maxBytes)
    }

    func header(_ changes: JSONObject = [:]) -> JSON {
        var header: JSONObject = ["alg": "Ed25519", "typ": .string(type), "kid": .string(key.kid)]
        for (name, value) in changes.members { header[name] = value }
        return .object(header)
    }

    @Test func whatWasSignedIsRead() throws {
        let token = JWS.sign(payload, type: type, key: key)
        #expect(try verify(token) == payload)
        #expect(try verify(JWS.sign([], type: type, key: key)) == [])
        let first = try #require(token.split(separator: ".").first)
        #expect(
            String(decoding: try #require(Base64URL.decode(first)), as: UTF8.self)
                == #"{"alg":"Ed25519","typ":"minecart-assignments+jws","kid":"\#(key.kid)"}"#)
    }

    @Test func theOldNameOfTheAlgorithmIsTaken() throws {
        let token = forge(header: header(["alg": "EdDSA"]), payload: payload, sign: key.sign)
        #expect(try verify(token) == payload)
    }

    @Test(arguments: ["none", "None", "HS256", "RS256", "ES256", "Ed448", "ed25519", ""])
    func anyOtherAlgorithmIsRefusedEvenWithAGoodSignature(name: String) {
        let token = forge(header: header(["alg": .string(name)]), payload: payload, sign: key.sign)
        #expect(throws: JWSError.wrongAlgorithm) { try verify(token) }
    }

    @Test func anUnsignedTextIsRefused() {
        let none = forge(header: header(["alg": "none"]), payload: payload) { _ in [] }
        #expect(throws: JWSError.wrongAlgorithm) { try verify(none) }
        let empty = forge(header: header(), payload: payload) { _ in [] }
        #expect(throws: JWSError.badSignature) { try verify(empty) }
    }

    @Test func thePublicKeyIsNoSharedSecret() {
        let mac = { (input: [UInt8]) in HMACSHA256.authenticate(input, key: key.publicKey.rawValue) }
        #expect(throws: JWSError.wrongAlgorithm) {
            try verify(forge(header: header(["alg": "HS256"]), payload: payload, sign: mac))
        }
        #expect(throws: JWSError.badSignature) {
            try verify(forge(header: header(), payload: payload, sign: mac))
        }
    }

    @Test func aTextOfAnotherTypeIsRefused() {
        let ticket = JWS.sign(payload, type: "minecart-ticket+jwt", key: key)
        #expect(throws: JWSError.wrongType) { try verify(ticket) }
        let missing: JSON = ["alg": "Ed25519", "kid": .string(key.kid)]
        #expect(throws: JWSError.wrongType) {
            try verify(forge(header: missing, payload: payload, sign: key.sign))
        }
    }

    @Test func anUnknownKeyIsRefused() throws {
        let stranger = try Ed25519PrivateKey.generate()
        #expect(throws: JWSError.unknownKey) { try verify(JWS.sign(payload, type: type, key: stranger)) }
        let borrowed = forge(header: header(), payload: payload, sign: stranger.sign)
        #expect(throws: JWSError.badSignature) { try verify(borrowed) }
        for kid: JSON in [.null, 7, "", [.string(key.kid)]] {
            let token = forge(header: header(["kid": kid]), payload: payload, sign: key.sign)
            #expect(throws: JWSError.unknownKey) { try verify(token) }
        }
    }

    @Test func aKeyInTheHeaderIsNotBelieved() throws {
        let stranger = try Ed25519PrivateKey.generate()
        let token = forge(
            header: header(["jwk": stranger.publicKey.jwk, "kid": .string(stranger.kid)]),
            payload: payload, sign: stranger.sign)
        #expect(throws: JWSError.unknownKey) { try verify(token) }
    }

    @Test func criticalExtensionsAreRefused() {
        let token = forge(
            header: header(["crit": ["b64"], "b64": false]), payload: payload, sign: key.sign)
        #expect(throws: JWSError.criticalExtension) { try verify(token) }
    }

    @Test func aLargerTextThanAllowedIsRefused() throws {
        let token = JWS.sign(payload, type: type, key: key)
        #expect(try verify(token, maxBytes: token.utf8.count) == payload)
        #expect(throws: JWSError.tooLarge) { try verify(token, maxBytes: token.utf8.count - 1) }
        let padded = forge(
            header: header(["x": .string(String(repeating: "a", count: 2000))]), payload: payload,
            sign: key.sign)
        #expect(throws: JWSError.malformed) { try verify(padded) }
    }

    @Test func thereIsOneTextForEachSignature() throws {
        let token = JWS.sign(payload, type: type, key: key)
        let last = try #require(token.utf8.last)
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        let value = try #require(alphabet.firstIndex(of: last))
        #expect(value % 16 == 0, "the last character holds two bits")
        for spare in 1..<16 {
            let changed = token.dropLast() + String(UnicodeScalar(alphabet[value + spare]))
            #expect(throws: JWSError.malformed) { try verify(String(changed)) }
        }
        for changed in [token + "=", token + " ", " " + token, token + "\n"] {
            #expect(throws: JWSError.malformed) { try verify(changed) }
        }
    }

    @Test(arguments: [
        "", ".", "..", "...", "a", "a.b", "a.b.c", "a.b.c.d", "e30.e30.", "bnVsbA.e30.AA", "eyJ9.e30.AA",
        "é.é.é", "é",
    ])
    func aMalformedTextIsRefused(token: String) {
        #expect(throws: JWSError.self) { try verify(token) }
    }

    @Test func partsTooManyOrTooFewAreRefused() {
        let token = JWS.sign(payload, type: type, key: key)
        #expect(throws: JWSError.malformed) { try verify(token + ".") }
        #expect(throws: JWSError.malformed) { try verify(token + "." + token) }
        #expect(throws: JWSError.malformed) { try verify(String(token.prefix { $0 != "." })) }
    }

    @Test func everyChangedCharacterIsRefused() {
        let token = Array(JWS.sign(payload, type: type, key: key).utf8)
        for index in token.indices {
            for other in [UInt8(ascii: "A"), UInt8(ascii: "."), token[index] ^ 1] where other != token[index]
            {
                var changed = token
                changed[index] = other
                #expect(throws: JWSError.self) { try verify(String(decoding: changed, as: UTF8.self)) }
            }
        }
    }

    @Test func aHeaderThatNamesAMemberTwiceIsRefused() {
        let text =
            #"{"alg":"none","alg":"Ed25519","typ":"\#(type)","kid":"\#(key.kid)"}"#
        let input = Base64URL.encode(text.utf8) + "." + Base64URL.encode(payload)
        let token = input + "." + Base64URL.encode(key.sign(Array(input.utf8)))
        #expect(throws: JWSError.malformed) { try verify(token) }
    }
}
