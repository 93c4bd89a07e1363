import Core
import Domain
import Store

/// What people do about themselves: look, choose a new password, move to another address.
enum PersonRoutes {
    static let all = [
        Route(
            "GET", "/v1/user", .people(nil), gives: .ok(Schemas.person), "Shows the one who is signed in."
        ) {
            api, call in try await show(api, call)
        },
        Route(
            "PUT", "/v1/user/password", .people(nil), limit: .signIn,
            takes: .body(["password": Schemas.password, "new_password": Schemas.newPassword]),
            gives: .nothing, problems: [403: ["wrong-password"], 409: ["changed-meanwhile"]],
            "Changes the password: other sign-ins end, and a mail tells of it."
        ) { api, call in
            try await changePassword(api, call)
        },
        Route(
            "POST", "/v1/password-resets", .anyone, limit: .signIn, takes: .body(["email": Schemas.email]),
            gives: .accepted(Schemas.message),
            "Asks for a new password. The answer does not tell whether the address is known."
        ) { api, call in
            try await askForReset(api, call)
        },
        Route(
            "POST", "/v1/password-resets/confirm", .anyone, limit: .signIn,
            takes: .body(["token": LinkToken.schema, "password": Schemas.newPassword]),
            gives: .ok(Schemas.message), problems: [404: ["bad-link"]],
            "Sets a new password by the link of a mail: every sign-in ends, and a mail tells of it."
        ) { api, call in
            try await reset(api, call)
        },
        Route(
            "POST", "/v1/email-changes", .people(nil), limit: .signIn,
            takes: .body(["email": Schemas.email.like("alex@new.example"), "password": Schemas.password]),
            gives: .accepted(Schemas.message), problems: [403: ["wrong-password"], 409: ["no-mail"]],
            "Asks to use another e-mail address: it is confirmed by a mail to it. The one before gets a notice."
        ) { api, call in
            try await askForEmailChange(api, call)
        },
        Route(
            "POST", "/v1/email-changes/confirm", .anyone, limit: .signIn,
            takes: .body(["token": LinkToken.schema]), gives: .ok(Schemas.message),
            problems: [404: ["bad-link"], 409: ["email-taken"]],
            "Changes the e-mail address by the link of a mail. The one before gets a notice."
        ) { api, call in
            try await changeEmail(api, call)
        },
    ]

    private static func show(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        let signedIn = try call.person
        guard let person = try await api.store.person(signedIn.user) else { throw Problem.notFound }
        return .json(
            200,
            [
                "id": .string(person.id.text), "email": .string(person.email),
                "verified_at": person.verifiedAt.map { .string($0.rfc3339) } ?? .null,
                "created_at": .string(person.createdAt.rfc3339),
                "account_id": .string(signedIn.account.text), "role": .string(signedIn.role.rawValue),
            ])
    }

    // MARK: Passwords

    private static func changePassword(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let password = fields.password("password")
        let new = fields.newPassword("new_password", email: "")
        try fields.finish()
        let person = try await api.confirmed(call, password: password)
        if let problem = PasswordRule.problem(new, email: person.email) {
            throw Problem.invalid([.init("/new_password", problem)])
        }
        let isChanged = try await api.store.changePassword(
            of: person, to: try await api.passwords.hash(new), keeping: try call.person.signIn,
            actor: call.actor,
            mail: api.mails { .passwordChanged(to: person.email, forgotten: $0.forgottenPage) })
        guard isChanged else {
            throw Problem.conflict("changed-meanwhile", "The password was changed meanwhile: try again.")
        }
        return .noContent
    }

    private static func askForReset(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let email = fields.email("email")
        try fields.finish()
        // The same work as elsewhere, so that this is no cheaper way to try addresses or to send mails.
        _ = try await api.passwords.verify("", against: nil)
        let token = LinkToken.generate()
        try await api.store.askForReset(
            email: email, tokenHash: token.hash,
            mail: api.mails { .passwordReset(to: email, link: token.link(to: "reset", $0)) })
        return .json(
            202,
            [
                "message": api.settings.sendsMail
                    ? "If there is an account with this address, a mail with a link is on its way."
                    : "This Minecart sends no mails: ask those who run it for a new password."
            ])
    }

    private static func reset(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let token = fields.linkToken("token")
        let password = fields.newPassword("password", email: "")
        try fields.finish()
        guard let token, try await api.store.isGood(tokenHash: token.hash, for: .reset) else {
            throw Problem.badLink
        }
        let settings = api.settings
        let isDone = try await api.store.resetPassword(
            tokenHash: token.hash, passwordHash: try await api.passwords.hash(password), address: call.client
        ) { .passwordChanged(to: $0, forgotten: settings.forgottenPage) }
        guard isDone else { throw Problem.badLink }
        return .json(
            200, ["message": "Your new password is set, and every sign-in has ended: sign in again."])
    }

    // MARK: E-mail addresses

    private static func askForEmailChange(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let email = fields.email("email")
        let password = fields.password("password")
        try fields.finish()
        let person = try await api.confirmed(call, password: password)
        if email.lowercased() == person.email.lowercased() {
            throw Problem.invalid([.init("/email", "is your address already")])
        }
        let token = LinkToken.generate()
        let mails = api.mails {
            (
                link: Mail.emailChange(to: email, link: token.link(to: "change-email", $0)),
                known: Mail.emailChangeToKnownAddress(to: email),
                notice: Mail.emailChangeAsked(to: person.email, new: email, forgotten: $0.forgottenPage)
            )
        }
        guard let mails else {
            throw Problem.conflict("no-mail", "This Minecart sends no mails, so no address can be confirmed.")
        }
        try await api.store.askForEmailChange(
            of: person, to: email, tokenHash: token.hash, mails: mails, actor: call.actor)
        return .json(
            202, ["message": "A mail is on its way to this address: it is yours once you follow its link."])
    }

    private static func changeEmail(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let token = fields.linkToken("token")
        try fields.finish()
        guard let token else { throw Problem.badLink }
        switch try await api.store.changeEmail(
            tokenHash: token.hash, address: call.client, mail: { .emailChanged(to: $0, new: $1) })
        {
        case .badToken: throw Problem.badLink
        case .taken:
            throw Problem.conflict("email-taken", "Somebody has an account with this address by now.")
        case .done: return .json(200, ["message": "Your new e-mail address is confirmed: sign in with it."])
        }
    }
}

extension APISettings {
    /// Where a reset of the password begins.
    var forgottenPage: String { "\(publicURL)/v1/pages/forgot" }
}
