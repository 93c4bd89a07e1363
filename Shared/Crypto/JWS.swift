import Core

/// Why a signed text is not believed. Nothing in it comes from the text.
public enum JWSError: Error, Sendable, Hashable, CustomStringConvertible {
    case tooLarge
    case malformed
    case wrongAlgorithm
    case wrongType
    case criticalExtension
    /// The signer's key is not among ours: it may be newer than our copy of the key set.
    case unknownKey
    case badSignature

    public var description: String {
        switch self {
        case .tooLarge: "the signed text is too large"
        case .malformed: "the signed text is malformed"
        case .wrongAlgorithm: "the signed text names an algorithm other than Ed25519"
        case .wrongType: "the signed text is of another type"
        case .criticalExtension: "the signed text needs an extension that is not known"
        case .unknownKey: "the signed text names a key that is not known"
        case .badSignature: "the signature is wrong"
        }
    }
}

/// Signed texts in compact form (RFC 7515), Ed25519 only (RFC 9864), each kind with its own `typ` (RFC 8725,
/// section 3.11).
public enum JWS {
    private static let maxHeaderBytes = 1024

    /// `header.payload.signature`.
    public static func sign(_ payload: [UInt8], type: String, key: Ed25519PrivateKey) -> String {
        let header: JSON = ["alg": "Ed25519", "typ": .string(type), "kid": .string(key.kid)]
        let input = Base64URL.encode(header.bytes) + "." + Base64URL.encode(payload)
        return input + "." + Base64URL.encode(key.sign(Array(input.utf8)))
    }

    /// The payload, once its signature holds. How it is checked follows from `keys` alone: the header's `alg`
    /// can only get the text refused.
    public static func verify(_ token: String, type: String, keys: VerificationKeys, maxBytes: Int)
        throws(JWSError) -> [UInt8]
    {
        guard token.utf8.count <= maxBytes else { throw .tooLarge }
        let parts = token.utf8.split(
            separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].count <= maxHeaderBytes else { throw .malformed }
        let key = try key(for: Substring(parts[0]), type: type, keys: keys)
        guard let signature = Base64URL.decode(Substring(parts[2])),
            let payload = Base64URL.decode(Substring(parts[1]))
        else { throw .malformed }
        let signed = Array(token.utf8.prefix(parts[0].count + 1 + parts[1].count))
        guard key.verify(signature, of: signed) else { throw .badSignature }
        return payload
    }

    private static func key(for text: Substring, type: String, keys: VerificationKeys) throws(JWSError)
        -> Ed25519PublicKey
    {
        guard let bytes = Base64URL.decode(text), let json = try? JSON.parse(bytes, maxDepth: 4),
            let header = json.objectValue
        else { throw .malformed }
        guard header["alg"] == "Ed25519" || header["alg"] == "EdDSA" else { throw .wrongAlgorithm }
        guard header["typ"] == .string(type) else { throw .wrongType }
        guard header["crit"] == nil else { throw .criticalExtension }
        guard let kid = header["kid"]?.stringValue, let key = keys[kid] else { throw .unknownKey }
        return key
    }
}
