import Core
import Crypto
import Domain
import Store

/// Sign-up, login and staying signed in.
enum UserRoutes {
    static let all = [
        Route(
            "POST", "/v1/users", .anyone, limit: .signIn,
            takes: .body(["email": Schemas.email, "password": Schemas.newPassword]),
            gives: .accepted(Schemas.message),
            "Signs up. The answer does not tell whether the address is known."
        ) {
            api, call in try await signUp(api, call)
        },
        Route(
            "POST", "/v1/sessions", .anyone, limit: .signIn,
            takes: .body(["email": Schemas.email, "password": .text("correct horse battery", 1...256)]),
            gives: .created(Schemas.session), problems: [401: ["wrong-credentials"]],
            "Signs in with e-mail and password."
        ) {
            api, call in
            try await signIn(api, call)
        },
        Route(
            "POST", "/v1/sessions/refresh", .anyone, limit: .signIn,
            takes: .body(["refresh_token": .text("mcr_c2lu", 1...128)]), gives: .ok(Schemas.session),
            problems: [401: ["invalid-refresh-token"]],
            "Renews a sign-in. Each refresh token is good for one use."
        ) {
            api, call in try await refresh(api, call)
        },
        Route(
            "DELETE", "/v1/sessions/current", .people(nil), gives: .nothing,
            "Signs out: the refresh token is void."
        ) { api, call in try await signOut(api, call) },
    ]

    static let sessionLifetime_s: Int64 = 30 * 24 * 3600

    private static func signUp(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let email = fields.email("email")
        let password = fields.newPassword("password", email: email)
        try fields.finish()
        let hash = try await api.passwords.hash(password)
        try await api.store.signUp(email: email, passwordHash: hash, address: call.client)
        return .json(
            202,
            ["message": "If this address was not known yet, its account is ready: sign in at /v1/sessions."])
    }

    private static func signIn(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let email = fields.email("email")
        let password = fields.text("password", length: 1...256)
        try fields.finish()
        let found = try await api.asSignIn(email, from: call) {
            let user = try await api.store.credentials(email: email)
            let isRight = try await api.passwords.verify(password, against: user?.passwordHash)
            return isRight ? user : nil
        }
        guard let user = found else {
            throw Problem(401, "wrong-credentials", "E-mail address or password is wrong.")
        }
        let key = SecureRandom.bytes(SHA256.byteCount)
        let signIn = SignInID.new()
        try await api.store.openSession(
            signIn, user: user, refreshKey: key, lifetime_s: sessionLifetime_s, address: call.client)
        return try tokens(
            api, user: user.user, account: user.account, RefreshToken(signIn: signIn, counter: 0), key, 201)
    }

    private static func refresh(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let text = fields.text("refresh_token", length: 1...128)
        try fields.finish()
        let refused = Problem(
            401, "invalid-refresh-token",
            "This refresh token is not valid any more: sign in again at /v1/sessions.")
        guard let token = RefreshToken(text) else { throw refused }
        let outcome = try await api.store.renewSession(token.signIn, address: call.client) { key, counter in
            guard token.isGenuine(text, key: key) else { return .refuse }
            return RefreshToken.decide(given: token.counter, current: counter)
        }
        guard let session = outcome else { throw refused }
        return try tokens(
            api, user: session.user, account: session.account,
            RefreshToken(signIn: token.signIn, counter: session.counter), session.refreshKey, 200)
    }

    private static func signOut(_ api: API, _ call: Call) async throws -> Reply {
        let person = try call.person
        try call.refuseInput()
        try await api.store.closeSession(person.signIn, user: person.user, address: call.client)
        return .noContent
    }

    private static func tokens(
        _ api: API, user: UserID, account: AccountID, _ refresh: RefreshToken, _ key: [UInt8], _ status: Int
    ) throws -> Reply {
        let access = try api.tokens.issue(user: user, account: account, signIn: refresh.signIn, now: .now())
        return .json(
            status,
            [
                "access_token": .string(access), "refresh_token": .string(refresh.text(key: key)),
                "token_type": "Bearer", "expires_in_s": .integer(AccessTokens.lifetime_s),
                "account_id": .string(account.text),
            ])
    }
}
