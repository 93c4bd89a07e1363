import Core
import Crypto

/// Makes and checks the short-lived tokens of people who are signed in (JWT, `typ: at+jwt`, RFC 9068).
struct AccessTokens: Sendable {
    static let lifetime_s: Int64 = 900
    private static let type = "at+jwt"
    private static let issuer = "minecart"
    private static let audience = "minecart-api"

    private let key: SigningKey
    private let keys: VerificationKeys

    init(key: SigningKey) {
        self.key = key
        keys = VerificationKeys([key.publicKey])
    }

    func issue(user: UserID, account: AccountID, signIn: SignInID, now: WallTime) -> String {
        JWT.sign(
            claims: [
                "iss": .string(Self.issuer), "aud": .string(Self.audience), "sub": .string(user.text),
                "account": .string(account.text), "sid": .string(signIn.text), "iat": .integer(now.seconds),
                "exp": .integer(now.seconds + Self.lifetime_s),
            ], type: Self.type, key: key)
    }

    /// Whose token it is; whether the sign-in still lasts is for the database to say.
    func verify(_ token: String, now: WallTime) -> SignInID? {
        guard
            let claims = try? JWT.verify(
                token, type: Self.type, issuer: Self.issuer, audience: Self.audience, keys: keys, now: now,
                leeway_s: 5),
            let signIn = claims["sid"]?.stringValue.flatMap({ SignInID($0) })
        else { return nil }
        return signIn
    }
}
