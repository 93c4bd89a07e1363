import Core
import Crypto
import Domain
import Reconcilers
import Store

/// Makes and checks the short-lived tokens of people who are signed in (JWT, `typ: at+jwt`, RFC 9068).
struct AccessTokens: Sendable {
    static let lifetime_s: Int64 = 900
    private static let type = "at+jwt"
    private static let issuer = "minecart"
    private static let audience = "minecart-api"

    private let keys: SigningKeys

    init(keys: SigningKeys) { self.keys = keys }

    func issue(
        user: UserID, account: AccountID, signIn: SignInID, now: WallTime
    ) throws(StoreError) -> String {
        JWT.sign(
            claims: [
                "iss": .string(Self.issuer), "aud": .string(Self.audience), "sub": .string(user.text),
                "account": .string(account.text), "sid": .string(signIn.text), "iat": .integer(now.seconds),
                "exp": .integer(now.seconds + Self.lifetime_s),
            ], type: Self.type, key: try keys.ring.signing)
    }

    /// Whose token it is and for which account; whether the sign-in still lasts, and is still for it, is for the
    /// database to say.
    func verify(
        _ token: String, now: WallTime
    ) async throws(StoreError) -> (signIn: SignInID, account: AccountID)? {
        guard
            let claims = try await claims(of: token, now: now),
            let signIn = claims["sid"]?.stringValue.flatMap({ SignInID($0) }),
            let account = claims["account"]?.stringValue.flatMap({ AccountID($0) })
        else { return nil }
        return (signIn, account)
    }

    /// A key that another control plane signs with may be news here.
    private func claims(of token: String, now: WallTime) async throws(StoreError) -> JSONObject? {
        do throws(JWTError) {
            return try Self.claims(of: token, by: try? keys.ring, now: now)
        } catch .signature(.unknownKey) {
            let ring = try await keys.ringAfterSurprise()
            return try? Self.claims(of: token, by: ring, now: now)
        } catch {
            return nil
        }
    }

    private static func claims(of token: String, by ring: KeyRing?, now: WallTime) throws(JWTError)
        -> JSONObject
    {
        guard let ring else { throw .signature(.unknownKey) }
        return try JWT.verify(
            token, type: type, issuer: issuer, audience: audience, keys: ring.keys, now: now, leeway_s: 5)
    }
}
