import Core

/// The public keys whose signatures we believe, found by id.
public struct VerificationKeys: Sendable, Hashable {
    /// A key set larger than this is not one of ours.
    public static let maxKeys = 32

    public let keys: [Ed25519PublicKey]
    /// Equal for equal sets, in any order.
    public let fingerprint: String
    private let byID: [String: Ed25519PublicKey]

    public init(_ keys: [Ed25519PublicKey]) {
        self.keys = keys
        let kids = Set(keys.map(\.kid)).sorted().joined(separator: " ")
        fingerprint = Base64URL.encode(Array(SHA256.hash(Array(kids.utf8)).prefix(16)))
        byID = Dictionary(keys.map { ($0.kid, $0) }) { first, _ in first }
    }

    /// From a JWK set (RFC 7517): keys of other kinds are skipped, a malformed Ed25519 key is an error, and so
    /// is a set without any.
    public init(jwks: JSON) throws(CryptoError) {
        guard let entries = jwks["keys"]?.arrayValue else {
            throw CryptoError("a key set is an object with an array named keys")
        }
        guard entries.count <= Self.maxKeys else {
            throw CryptoError("the key set has more than \(Self.maxKeys) keys")
        }
        var found: [Ed25519PublicKey] = []
        for entry in entries where Ed25519PublicKey.isEd25519(entry) {
            found.append(try Ed25519PublicKey(jwk: entry))
        }
        guard !found.isEmpty else { throw CryptoError("the key set has no Ed25519 key") }
        self.init(found)
    }

    public subscript(kid: String) -> Ed25519PublicKey? { byID[kid] }

    public var jwks: JSON { ["keys": .array(keys.map(\.jwk))] }
}
