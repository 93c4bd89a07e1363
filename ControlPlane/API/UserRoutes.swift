import Core
import Crypto
import Domain
import HTTP
import Store

/// Sign-up, login and staying signed in.
enum UserRoutes {
    static let all = [
        Route(
            "POST", "/v1/users", .anyone, limit: .signIn,
            takes: .body(["email": Schemas.email, "password": Schemas.newPassword]),
            gives: .accepted(Schemas.message),
            "Signs up. The answer does not tell whether the address is known: its owner gets a mail."
        ) {
            api, call in try await signUp(api, call)
        },
        Route(
            "POST", "/v1/users/verify", .anyone, limit: .signIn, takes: .body(["token": LinkToken.schema]),
            gives: .ok(Schemas.message), problems: [404: ["bad-link"]],
            "Confirms an e-mail address by the link of its mail: the account that was signed up for begins."
        ) { api, call in
            try await verify(api, call)
        },
        Route(
            "POST", "/v1/sessions", .anyone, limit: .signIn,
            takes: .body(
                ["email": Schemas.email, "password": Schemas.password],
                optional: ["account_id": .id(AccountID.self)]),
            gives: .created(Schemas.session),
            problems: [401: ["wrong-credentials"], 403: ["no-member", "email-unverified"]],
            "Signs in with e-mail and password; to the account that was joined first, or the one that is named."
        ) {
            api, call in
            try await signIn(api, call)
        },
        Route(
            "POST", "/v1/sessions/refresh", .anyone, limit: .signIn,
            takes: .body(["refresh_token": .text("mcr_c2lu", 1...128)]), gives: .ok(Schemas.session),
            problems: [401: ["invalid-refresh-token"]],
            """
            Renews a sign-in. Each refresh token is good for one use; the one before it is answered with the present \
            one again, an older one ends the sign-in.
            """
        ) {
            api, call in try await refresh(api, call)
        },
        Route(
            "POST", "/v1/sessions/switch", .anyone, limit: .signIn,
            takes: .body([
                "refresh_token": .text("mcr_c2lu", 1...128), "account_id": .id(AccountID.self),
            ]), gives: .ok(Schemas.session),
            problems: [401: ["invalid-refresh-token"], 403: ["no-member"]],
            "Renews a sign-in for another of the person's accounts: see GET /v1/accounts."
        ) {
            api, call in try await switchAccount(api, call)
        },
    ]

    static let sessionLifetime_s: Int64 = 30 * 24 * 3600

    private static func signUp(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let email = fields.email("email")
        let password = fields.newPassword("password", email: email)
        try fields.finish()
        let hash = try await api.passwords.hash(password)
        let token = LinkToken.generate()
        let mails = api.mails {
            (
                welcome: Mail.verification(to: email, link: token.link(to: "verify", $0)),
                known: Mail.signUpOfKnownAddress(to: email, link: token.link(to: "reset", $0))
            )
        }
        try await api.store.signUp(
            SignUp(
                email: email, passwordHash: hash, mode: api.settings.signUp, tokenHash: token.hash,
                mails: mails), address: call.client)
        switch api.settings.signUp {
        case .verified:
            return .json(
                202, ["message": "A mail is on its way to this address: follow its link, then sign in."])
        case .open:
            return .json(
                202,
                [
                    "message":
                        "If this address was not known yet, its account is ready: sign in at /v1/sessions."
                ])
        }
    }

    private static func verify(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let token = fields.linkToken("token")
        try fields.finish()
        guard let token, try await api.store.verify(tokenHash: token.hash, address: call.client) else {
            throw Problem.badLink
        }
        return .json(200, ["message": "Your e-mail address is confirmed: you can sign in now."])
    }

    private static func signIn(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let email = fields.email("email")
        let password = fields.password("password")
        let wanted: AccountID? = fields.optionalID("account_id")
        try fields.finish()
        let wrong = Problem(401, "wrong-credentials", "E-mail address or password is wrong.")
        let candidate = try await api.store.signInCandidate(email: email)
        guard
            try await api.isRight(
                password, for: email, hash: candidate?.passwordHash, from: call), let candidate
        else { throw wrong }
        guard case .user(var user) = candidate else {
            throw Problem(
                403, "email-unverified",
                """
                Your e-mail address is not confirmed yet: follow the link in the mail that we sent you. If it is \
                lost, sign up again and you get a new one.
                """)
        }
        if let wanted {
            guard try await api.store.member(user.user, of: wanted) != nil else { throw noMember }
            user.account = wanted
        }
        let key = SecureRandom.bytes(SHA256.byteCount)
        let signIn = SignInID.new()
        let isOpen = try await api.store.openSession(
            signIn, user: user, refreshKey: key, lifetime_s: sessionLifetime_s, place: call.place)
        // The password was changed while we looked at the one before.
        guard isOpen else { throw wrong }
        return try tokens(
            api, user: user.user, account: user.account, RefreshToken(signIn: signIn, counter: 0), key, 201)
    }

    private static func refresh(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let text = fields.text("refresh_token", length: 1...128)
        try fields.finish()
        guard let token = RefreshToken(text) else { throw refused }
        let outcome = try await api.store.renewSession(token.signIn, place: call.place) { key, counter in
            guard token.isGenuine(text, key: key) else { return .refuse }
            return RefreshToken.decide(given: token.counter, current: counter)
        }
        guard let session = outcome else { throw refused }
        return try tokens(
            api, user: session.user, account: session.account,
            RefreshToken(signIn: token.signIn, counter: session.counter), session.refreshKey, 200)
    }

    private static let refused = Problem(
        401, "invalid-refresh-token",
        "This refresh token is not valid any more: sign in again at /v1/sessions.")
    private static let noMember = Problem(
        403, "no-member", "You do not belong to this account: GET /v1/accounts lists those you belong to.")

    /// By the refresh token, since an access token must not be worth a longer sign-in.
    private static func switchAccount(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let text = fields.text("refresh_token", length: 1...128)
        let account: AccountID? = fields.id("account_id")
        try fields.finish()
        guard let account, let token = RefreshToken(text) else { throw refused }
        let outcome = try await api.store.switchSession(token.signIn, to: account, address: call.client) {
            key, counter in
            guard token.isGenuine(text, key: key) else { return .refuse }
            return RefreshToken.decide(given: token.counter, current: counter)
        }
        switch outcome {
        case .refused: throw refused
        case .noMember: throw noMember
        case .done(let session):
            return try tokens(
                api, user: session.user, account: session.account,
                RefreshToken(signIn: token.signIn, counter: session.counter), session.refreshKey, 200)
        }
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

extension API {
    /// What to post: nothing where no mail is sent at all.
    func mails<Value>(_ make: (APISettings) -> Value) -> Value? {
        settings.sendsMail ? make(settings) : nil
    }

    /// One hash, whatever is known; wrong ones make the next try wait.
    func isRight(
        _ password: String, for email: String, hash: String?, from call: Call
    ) async throws -> Bool {
        let right: Bool? = try await asSignIn(email, from: call) {
            try await passwords.verify(password, against: hash) ? true : nil
        }
        return right ?? false
    }

    /// The one who is signed in, once the password is right: before what cannot be undone, a device that was left
    /// open is not enough.
    func confirmed(_ call: Call, password: String) async throws -> PersonView {
        guard let person = try await store.person(try call.person.user) else {
            throw Problem.unauthenticated
        }
        guard
            try await isRight(
                password, for: person.email, hash: person.passwordHash, from: call)
        else { throw Problem(403, "wrong-password", "This is not your password.") }
        return person
    }
}

extension Call {
    private static let maxUserAgentCharacters = 200

    var place: SignInPlace {
        let agent = (request.headers["user-agent"] ?? "").unicodeScalars
            .filter { $0.value >= 0x20 && $0.value != 0x7F }.prefix(Self.maxUserAgentCharacters)
        return SignInPlace(
            address: client, userAgent: agent.isEmpty ? nil : String(String.UnicodeScalarView(agent)))
    }
}
