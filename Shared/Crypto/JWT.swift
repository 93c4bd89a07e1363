import Core

/// Why a token is refused. Nothing in it comes from the token.
public enum JWTError: Error, Sendable, Hashable, CustomStringConvertible {
    case signature(JWSError)
    case malformed
    case wrongIssuer
    case wrongAudience
    case expired
    case notYetValid

    public var description: String {
        switch self {
        case .signature(let error): error.description
        case .malformed: "the token's claims are malformed"
        case .wrongIssuer: "the token is from another issuer"
        case .wrongAudience: "the token is for somebody else"
        case .expired: "the token has expired"
        case .notYetValid: "the token is not valid yet: is the clock right?"
        }
    }
}

/// Signed claims (RFC 7519) by the rules of RFC 8725: algorithm, type, issuer, audience and times all checked.
public enum JWT {
    /// `claims` should hold iss, aud, exp and iat: `verify` insists on the first three.
    public static func sign(claims: JSONObject, type: String, key: Ed25519PrivateKey) -> String {
        JWS.sign(JSON.object(claims).bytes, type: type, key: key)
    }

    /// The claims of a token that holds at `now`. `leeway_s` is how far clocks may differ; `grace_s` is how long
    /// after `exp` the token still counts.
    public static func verify(
        _ token: String, type: String, issuer: String, audience: String, keys: VerificationKeys,
        now: WallTime, leeway_s: Int64 = 30, grace_s: Int64 = 0, maxBytes: Int = 8192
    ) throws(JWTError) -> JSONObject {
        let payload: [UInt8]
        do {
            payload = try JWS.verify(token, type: type, keys: keys, maxBytes: maxBytes)
        } catch {
            throw .signature(error)
        }
        guard let claims = (try? JSON.parse(payload, maxDepth: 8))?.objectValue else { throw .malformed }
        guard claims["iss"] == .string(issuer) else { throw .wrongIssuer }
        guard isMeant(claims["aud"], for: audience) else { throw .wrongAudience }
        guard let expiry = claims["exp"]?.integerValue else { throw .malformed }
        guard expiry > now.seconds - leeway_s - grace_s else { throw .expired }
        for name in ["nbf", "iat"] {
            guard let claim = claims[name] else { continue }
            guard let time = claim.integerValue else { throw .malformed }
            guard time <= now.seconds + leeway_s else { throw .notYetValid }
        }
        return claims
    }

    /// `aud` is one name or a list of names (RFC 7519, section 4.1.3).
    private static func isMeant(_ claim: JSON?, for audience: String) -> Bool {
        claim == .string(audience) || claim?.arrayValue?.contains(.string(audience)) == true
    }
}
