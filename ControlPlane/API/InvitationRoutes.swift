import Core
import Domain
import Store

/// Asking people into an account, and their answers. Whoever holds the token of the mail answers: it proves the
/// address as well as a sign-up's mail does.
enum InvitationRoutes {
    static let all = [
        Route(
            "POST", "/v1/invitations", .account(.membersWrite), idempotency: .replayed,
            takes: .body(["email": Schemas.email, "role": Schemas.invitedRole]),
            gives: .created(Schemas.invitation),
            problems: [
                403: ["plan-limit"],
                409: ["already-member", "already-invited", "too-many-invitations", "no-mail"],
            ],
            "Invites somebody by mail, for 7 days. Whether the address has a user does not show."
        ) { api, call in
            try await invite(api, call)
        },
        Route(
            "GET", "/v1/invitations", .account(.accountRead), query: Schemas.page(),
            gives: .list(of: Schemas.invitation), "Lists invitations that were not answered."
        ) { api, call in
            try await list(api, call)
        },
        Route(
            "POST", "/v1/invitations/{id}/resend", .account(.membersWrite), gives: .ok(Schemas.invitation),
            problems: [403: ["plan-limit"], 409: ["too-many-invitations", "too-many-mails", "no-mail"]],
            "Mails an invitation again, with a new link for 7 more days."
        ) { api, call in
            try await resend(api, call)
        },
        Route(
            "DELETE", "/v1/invitations/{id}", .account(.membersWrite), gives: .nothing,
            "Withdraws an invitation: its link opens nothing any more."
        ) { api, call in
            try call.refuseInput()
            guard
                try await api.store.withdrawInvitation(
                    try call.id(), account: try call.account, actor: call.actor)
            else { throw Problem.notFound }
            return .noContent
        },
        Route(
            "POST", "/v1/invitations/lookup", .anyone, limit: .signIn, takes: token,
            gives: .ok(Schemas.receivedInvitation), problems: [404: ["bad-link"]],
            "Shows an invitation to the one who has its mail."
        ) { api, call in
            try await look(api, call)
        },
        Route(
            "POST", "/v1/invitations/accept", .anyone, limit: .signIn,
            takes: .body(
                ["token": LinkToken.schema],
                optional: ["password": Schemas.newPassword.about("For an address that nobody has yet.")]),
            gives: .ok(Schemas.acceptedInvitation), problems: [403: ["plan-limit"], 404: ["bad-link"]],
            "Accepts an invitation. Somebody new becomes a user, with an account of their own beside this one."
        ) { api, call in
            try await accept(api, call)
        },
        Route(
            "POST", "/v1/invitations/decline", .anyone, limit: .signIn, takes: token, gives: .nothing,
            problems: [404: ["bad-link"]],
            "Declines an invitation."
        ) { api, call in
            let hash = try token(call)
            guard try await api.store.declineInvitation(tokenHash: hash, address: call.client) else {
                throw gone
            }
            return .noContent
        },
        Route(
            "GET", "/v1/pages/invitation", .anyone,
            gives: .text("<!doctype html>", contentType: MailPage.contentType),
            "The page that the link of an invitation's mail opens."
        ) { _, _ in page.reply },
    ]

    private static let token = Schema.body(["token": LinkToken.schema])
    private static let gone = Problem(
        404, "bad-link",
        "This invitation is not good any more: it was answered, withdrawn, sent again or is older than 7 days. Ask for a new one."
    )

    private static let noMail = Problem.conflict(
        "no-mail", "This Minecart sends no mails, so nobody can be invited: ask those who run it.")

    private static func invite(_ api: API, _ call: Call) async throws -> Reply {
        let account = try call.account
        var fields = try call.body()
        let email = fields.email("email")
        let wanted = fields.word("role", of: Role.self, among: Membership.invitable)
        try fields.finish()
        guard api.settings.sendsMail else { throw noMail }
        let token = LinkToken.generate()
        guard let role = wanted,
            let made = try await api.store.invite(
                InvitationID.new(), account: account, email: email, role: role, tokenHash: token.hash,
                actor: call.actor, mail: mail(token, api))
        else { throw Problem.notFound }
        return .json(201, made.json)
    }

    private static func resend(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        guard api.settings.sendsMail else { throw noMail }
        let token = LinkToken.generate()
        guard
            let sent = try await api.store.resendInvitation(
                try call.id(), account: try call.account, tokenHash: token.hash, actor: call.actor,
                mail: mail(token, api))
        else { throw Problem.notFound }
        return .json(200, sent.json)
    }

    private static func list(_ api: API, _ call: Call) async throws -> Reply {
        let account = try call.account
        var fields = try call.query()
        let page = fields.page()
        try fields.finish()
        let invitations = try await api.store.invitations(of: account, page)
        return .list(invitations.items.map(\.json), nextCursor: invitations.nextCursor)
    }

    private static func look(_ api: API, _ call: Call) async throws -> Reply {
        guard let found = try await api.store.receivedInvitation(tokenHash: try token(call)) else {
            throw gone
        }
        return .json(
            200,
            [
                "email": .string(found.email), "role": .string(found.role.rawValue),
                "account_name": found.accountName.map { .string($0) } ?? .null,
                "invited_by": found.inviter.map { .string($0) } ?? .null,
                "expires_at": .string(found.expiresAt.rfc3339), "needs_password": .bool(found.isForNewUser),
            ])
    }

    private static func accept(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let token = fields.linkToken("token")
        let password = fields.optionalText("password", length: PasswordRule.length)
        try fields.finish()
        guard let token, let found = try await api.store.receivedInvitation(tokenHash: token.hash) else {
            throw gone
        }
        var passwordHash: String?
        if found.isForNewUser {
            guard let password else { throw StoreError.passwordNeeded }
            if let problem = PasswordRule.problem(password, email: found.email) {
                throw Problem.invalid([.init("/password", problem)])
            }
            passwordHash = try await api.passwords.hash(password)
        }
        let accepted: Accepted?
        do throws(StoreError) {
            accepted = try await api.store.acceptInvitation(
                tokenHash: token.hash, passwordHash: passwordHash, address: call.client)
        } catch .membership(.noRoom) {
            throw Problem(
                403, "plan-limit",
                "The account has no room for another member right now: ask those who invited you.")
        }
        guard let accepted else { throw gone }
        return .json(
            200,
            [
                "account_id": .string(accepted.account.text), "user_id": .string(accepted.user.text),
                "role": .string(accepted.role.rawValue),
            ])
    }

    private static func token(_ call: Call) throws -> [UInt8] {
        var fields = try call.body()
        let token = fields.linkToken("token")
        try fields.finish()
        guard let token else { throw gone }
        return token.hash
    }

    private static func mail(_ token: LinkToken, _ api: API) -> @Sendable (InvitationView) -> Mail {
        let link = token.link(to: "invitation", api.settings)
        return { invitation in
            .invitation(to: invitation.email, role: invitation.role, inviter: invitation.inviter, link: link)
        }
    }

    private static let page = MailPage(
        title: "An invitation",
        main: """
            <section id="question" hidden>
            <p><b id="inviter"></b> invites <b id="email"></b> to the Minecart account <b id="account"></b> as \
            <b id="role"></b>.</p>
            <label id="choose" hidden>Choose a password <input id="password" type="password" \
            autocomplete="new-password" maxlength="256"></label>
            <button id="accept">Accept</button><button id="decline">Decline</button>
            </section>
            """,
        script: """
            const end = text => { part("question").hidden = true; say(text); };
            async function look() {
                const answer = await send("../invitations/lookup", { token: token });
                if (!answer.ok) return;
                const invitation = answer.json;
                part("inviter").textContent = invitation.invited_by || "An account";
                part("email").textContent = invitation.email;
                part("account").textContent = invitation.account_name || "of theirs";
                part("role").textContent = invitation.role;
                part("choose").hidden = !invitation.needs_password;
                part("question").hidden = false;
            }
            part("accept").addEventListener("click", async () => {
                const body = { token: token };
                if (!part("choose").hidden) body.password = part("password").value;
                const answer = await send("../invitations/accept", body);
                if (answer.ok) end("You belong to the account now: sign in and switch to it.");
            });
            part("decline").addEventListener("click", async () => {
                const answer = await send("../invitations/decline", { token: token });
                if (answer.ok) end("You have declined.");
            });
            look();
            """)
}

extension InvitationView {
    fileprivate var json: JSON {
        [
            "id": .string(id.text), "email": .string(email), "role": .string(role.rawValue),
            "state": .string(isExpired ? "expired" : "pending"),
            "invited_by": inviter.map { .string($0) } ?? .null, "created_at": .string(createdAt.rfc3339),
            "expires_at": .string(expiresAt.rfc3339),
        ]
    }
}
