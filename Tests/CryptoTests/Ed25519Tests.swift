import Core
import Crypto
import Testing

/// The key and signature of RFC 8037, appendix A.
enum RFC8037 {
    static let d = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
    static let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    static let kid = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    static let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    static let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"

    static func key() throws -> Ed25519PrivateKey { try Ed25519PrivateKey(text: d) }
}

@Suite struct Ed25519Tests {
    @Test func signsAsRFC8037Does() throws {
        let key = try RFC8037.key()
        #expect(Base64URL.encode(key.publicKey.rawValue) == RFC8037.x)
        let signature = key.sign(Array(RFC8037.input.utf8))
        #expect(Base64URL.encode(signature) == RFC8037.signature)
        #expect(key.publicKey.verify(signature, of: Array(RFC8037.input.utf8)))
    }

    @Test(arguments: [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ])
    func signsAsRFC8032Does(seed: String, message: String, signature: String) throws {
        let key = try Ed25519PrivateKey(seed: #require(Hex.decode(seed)))
        let bytes = try #require(Hex.decode(message))
        #expect(Hex.encode(key.sign(bytes)) == signature)
        #expect(key.publicKey.verify(try #require(Hex.decode(signature)), of: bytes))
    }

    @Test func theKeyIDIsTheThumbprintOfRFC7638() throws {
        #expect(try RFC8037.key().kid == RFC8037.kid)
    }

    @Test func anyChangeBreaksTheSignature() throws {
        let key = try Ed25519PrivateKey.generate()
        let message = Array("a placement".utf8)
        let signature = key.sign(message)
        for index in signature.indices {
            var changed = signature
            changed[index] ^= 1
            #expect(!key.publicKey.verify(changed, of: message))
        }
        for index in message.indices {
            var changed = message
            changed[index] ^= 0x80
            #expect(!key.publicKey.verify(signature, of: changed))
        }
        #expect(!key.publicKey.verify([], of: message))
        #expect(!key.publicKey.verify(signature + [0], of: message))
        #expect(!(try Ed25519PrivateKey.generate()).publicKey.verify(signature, of: message))
    }

    @Test func keysOfAnotherLengthAreRefused() {
        #expect(throws: CryptoError.self) { try Ed25519PrivateKey(seed: [1, 2, 3]) }
        #expect(throws: CryptoError.self) { try Ed25519PublicKey(rawValue: []) }
        #expect(throws: CryptoError.self) { try Ed25519PrivateKey(text: RFC8037.d + "=") }
        #expect(throws: CryptoError.self) { try Ed25519PrivateKey(text: "") }
    }

    @Test func aPublicKeySurvivesItsJWK() throws {
        let key = try Ed25519PrivateKey.generate()
        #expect(try Ed25519PublicKey(jwk: key.publicKey.jwk) == key.publicKey)
        #expect(try Ed25519PrivateKey(text: key.text).publicKey == key.publicKey)
        #expect(key.publicKey.jwk["d"] == nil)
    }

    @Test(
        arguments: [
            ["kty": "EC", "crv": "Ed25519", "x": .string(RFC8037.x)],
            ["kty": "OKP", "crv": "X25519", "x": .string(RFC8037.x)],
            ["kty": "OKP", "crv": "Ed25519"],
            ["kty": "OKP", "crv": "Ed25519", "x": "AAAA"],
            ["kty": "OKP", "crv": "Ed25519", "x": .string(RFC8037.x + "=")],
            ["kty": "OKP", "crv": "Ed25519", "x": .string(RFC8037.x), "d": .string(RFC8037.d)],
            ["kty": "OKP", "crv": "Ed25519", "x": .string(RFC8037.x), "alg": "HS256"],
            ["kty": "OKP", "crv": "Ed25519", "x": .string(RFC8037.x), "use": "enc"],
            ["kty": "OKP", "crv": "Ed25519", "x": .string(RFC8037.x), "kid": "another"],
            ["kty": "oct", "k": "c2VjcmV0"], [], "text",
        ] as [JSON])
    func aJWKOfAnotherKindIsRefused(jwk: JSON) {
        #expect(throws: CryptoError.self) { try Ed25519PublicKey(jwk: jwk) }
    }

    @Test func theSeedStaysOutOfTextAndDumps() throws {
        let key = try RFC8037.key()
        var dumped = ""
        dump(key, to: &dumped)
        for text in ["\(key)", String(reflecting: key), dumped] {
            #expect(text.contains(RFC8037.kid))
            #expect(!text.contains(RFC8037.d) && !text.contains("157"))
        }
    }

    @Test func aKeySetSkipsOtherKindsAndRefusesBrokenKeys() throws {
        let key = try RFC8037.key().publicKey
        let other: JSON = ["kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"]
        let keys = try VerificationKeys(jwks: ["keys": [other, key.jwk]])
        #expect(keys.keys == [key])
        #expect(keys[RFC8037.kid] == key)
        #expect(keys["another"] == nil)
        #expect(try VerificationKeys(jwks: keys.jwks) == keys)
        for broken: JSON in [
            [:], ["keys": []], ["keys": [other]], ["keys": [["kty": "OKP", "crv": "Ed25519", "x": "AA"]]],
            ["keys": .array([JSON](repeating: key.jwk, count: VerificationKeys.maxKeys + 1))],
        ] {
            #expect(throws: CryptoError.self) { try VerificationKeys(jwks: broken) }
        }
    }
}
