import COpenSSL
import Core

/// Owns an EVP_PKEY. Unchecked because the key never changes after it is made, and OpenSSL lets threads share
/// such a key as long as each signs or verifies through a context of its own.
private final class KeyHandle: @unchecked Sendable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { EVP_PKEY_free(pointer) }
}

/// What an installation signs tickets, access tokens and assignments with (RFC 8032).
public struct Ed25519PrivateKey: Sendable, CustomStringConvertible, CustomReflectable {
    public static let seedByteCount = 32

    public let seed: [UInt8]
    public let publicKey: Ed25519PublicKey
    private let handle: KeyHandle

    /// `seed` is the 32-byte private key of RFC 8032.
    public init(seed: [UInt8]) throws(CryptoError) {
        guard seed.count == Self.seedByteCount else {
            throw CryptoError("an Ed25519 private key has 32 bytes, this one has \(seed.count)")
        }
        guard let key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, seed, seed.count) else {
            ERR_clear_error()
            throw CryptoError("OpenSSL does not take this Ed25519 private key")
        }
        handle = KeyHandle(key)
        var raw = [UInt8](repeating: 0, count: Ed25519PublicKey.byteCount)
        var count = raw.count
        guard EVP_PKEY_get_raw_public_key(key, &raw, &count) == 1 else {
            ERR_clear_error()
            throw CryptoError("OpenSSL cannot derive the Ed25519 public key")
        }
        publicKey = try Ed25519PublicKey(rawValue: raw)
        self.seed = seed
    }

    /// From the form in which SIGNING_KEY holds it: the seed in base64url, 43 characters.
    public init(text: String) throws(CryptoError) {
        guard let seed = Base64URL.decode(text), seed.count == Self.seedByteCount else {
            throw CryptoError("a signing key is 32 bytes in base64url without padding, 43 characters")
        }
        try self.init(seed: seed)
    }

    public static func generate() throws(CryptoError) -> Ed25519PrivateKey {
        try Ed25519PrivateKey(seed: SecureRandom.bytes(seedByteCount))
    }

    public var text: String { Base64URL.encode(seed) }

    /// The id under which others find the public key.
    public var kid: String { publicKey.kid }

    /// The signature, 64 bytes.
    public func sign(_ message: [UInt8]) -> [UInt8] {
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        var signature = [UInt8](repeating: 0, count: Ed25519PublicKey.signatureByteCount)
        var count = signature.count
        let done =
            EVP_DigestSignInit(context, nil, nil, nil, handle.pointer) == 1
            && EVP_DigestSign(context, &signature, &count, message, message.count) == 1
        precondition(done && count == signature.count, "OpenSSL cannot sign with Ed25519")
        return signature
    }

    /// The seed stays out of logs and dumps.
    public var description: String { "Ed25519PrivateKey(kid: \(kid))" }
    public var customMirror: Mirror { Mirror(self, children: ["kid": kid]) }
}

/// The installation's signing key; its id comes with it.
public typealias SigningKey = Ed25519PrivateKey

/// A key that signatures are checked with.
public struct Ed25519PublicKey: Sendable, Hashable {
    public static let byteCount = 32
    public static let signatureByteCount = 64

    public let rawValue: [UInt8]
    /// The JWK thumbprint (RFC 7638, SHA-256).
    public let kid: String
    private let handle: KeyHandle

    public init(rawValue: [UInt8]) throws(CryptoError) {
        guard rawValue.count == Self.byteCount else {
            throw CryptoError("an Ed25519 public key has 32 bytes, this one has \(rawValue.count)")
        }
        guard let key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, rawValue, rawValue.count) else {
            ERR_clear_error()
            throw CryptoError("OpenSSL does not take this Ed25519 public key")
        }
        handle = KeyHandle(key)
        self.rawValue = rawValue
        let required: JSON = ["crv": "Ed25519", "kty": "OKP", "x": .string(Base64URL.encode(rawValue))]
        kid = Base64URL.encode(SHA256.hash(required.bytes))
    }

    /// From a JWK (RFC 8037). One that holds a private key, or names another use, algorithm or id, is refused.
    public init(jwk: JSON) throws(CryptoError) {
        guard Self.isEd25519(jwk) else { throw CryptoError("the JWK is not an Ed25519 key") }
        guard jwk["d"] == nil else {
            throw CryptoError("the JWK holds a private key: publish only kty, crv, x, kid, alg and use")
        }
        guard jwk["use"] == nil || jwk["use"] == "sig" else {
            throw CryptoError("the JWK is not for signatures")
        }
        guard jwk["alg"] == nil || jwk["alg"] == "Ed25519" || jwk["alg"] == "EdDSA" else {
            throw CryptoError("the JWK names another algorithm")
        }
        guard let x = jwk["x"]?.stringValue, let raw = Base64URL.decode(x) else {
            throw CryptoError("the JWK's x is not base64url")
        }
        try self.init(rawValue: raw)
        guard jwk["kid"] == nil || jwk["kid"] == .string(kid) else {
            throw CryptoError("the JWK's kid is not its RFC 7638 thumbprint")
        }
    }

    static func isEd25519(_ jwk: JSON) -> Bool { jwk["kty"] == "OKP" && jwk["crv"] == "Ed25519" }

    /// As published: RFC 8037 with kid, alg (RFC 9864) and use.
    public var jwk: JSON {
        [
            "kty": "OKP", "crv": "Ed25519", "x": .string(Base64URL.encode(rawValue)), "kid": .string(kid),
            "alg": "Ed25519", "use": "sig",
        ]
    }

    public func verify(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        guard signature.count == Self.signatureByteCount else { return false }
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        let genuine =
            EVP_DigestVerifyInit(context, nil, nil, nil, handle.pointer) == 1
            && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
        if !genuine { ERR_clear_error() }
        return genuine
    }

    public static func == (left: Ed25519PublicKey, right: Ed25519PublicKey) -> Bool {
        left.rawValue == right.rawValue
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(rawValue) }
}
