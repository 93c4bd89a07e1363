import Core
import Domain
import Postgres

/// A person as that person may see it.
public struct PersonView: Sendable, Hashable {
    public var id: UserID
    public var email: String
    public var passwordHash: String
    public var createdAt: WallTime
    public var verifiedAt: WallTime?
}

/// What came of a confirmed change of address.
public enum EmailChange: Sendable, Hashable {
    case done
    case badToken
    /// Somebody else has the address by now.
    case taken
}

extension Store {
    /// nil when the person is gone.
    public func person(_ id: UserID) async throws(StoreError) -> PersonView? {
        try await transaction { tx in
            try tx.query(
                """
                SELECT email, password_hash, floor(extract(epoch FROM created_at))::bigint AS created_at,
                    floor(extract(epoch FROM verified_at))::bigint AS verified_at
                FROM users WHERE id = $1
                """, id
            ).first.map { row in
                PersonView(
                    id: id, email: try row["email"], passwordHash: try row["password_hash"],
                    createdAt: try row["created_at"], verifiedAt: try row["verified_at"])
            }
        }
    }

    // MARK: Passwords

    /// Sends the owner of the address the mail with the token, and does not tell whether there is one.
    public func askForReset(email: String, tokenHash: [UInt8], mail: Mail?) async throws(StoreError) {
        try await transaction { tx in
            guard
                let user: UserID = try tx.query(
                    "SELECT id FROM users WHERE lower(email) = lower($1)", email
                ).first?["id"], let mail, try tx.postUnasked(mail)
            else { return }
            try tx.addMailToken(tokenHash, .reset, email: email, user: user)
        }
    }

    /// Uses a reset's token: every sign-in of the person ends, and every other link of theirs is void. False when the
    /// token is not good any more.
    public func resetPassword(
        tokenHash: [UInt8], passwordHash: String, address: String? = nil,
        mail: @Sendable (_ email: String) -> Mail
    ) async throws(StoreError) -> Bool {
        try await transaction { tx in
            guard let token = try tx.takeMailToken(tokenHash, .reset), let user = token.user else {
                return false
            }
            // Whoever read the mail has the address it went to: the present one, as a change of address voids links.
            let row = try tx.row(
                """
                UPDATE users SET password_hash = $2, verified_at = coalesce(verified_at, now())
                WHERE id = $1 RETURNING email
                """, user, passwordHash)
            try tx.query("DELETE FROM sessions WHERE user_id = $1", user)
            try tx.query("DELETE FROM mail_tokens WHERE user_id = $1", user)
            try tx.auditPerson(
                "user.password_reset", user, actor: Actor(user.text, address: address))
            try tx.post(mail(try row["email"]))
            return true
        }
    }

    /// Ends the person's other sign-ins and voids links that were sent. False when the password was changed since it
    /// was looked at.
    public func changePassword(
        of person: PersonView, to passwordHash: String, keeping signIn: SignInID, actor: Actor, mail: Mail?
    ) async throws(StoreError) -> Bool {
        try await transaction { tx in
            let changed = try tx.query(
                "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2", person.id,
                person.passwordHash, passwordHash)
            guard changed.affected == 1 else { return false }
            try tx.query("DELETE FROM sessions WHERE user_id = $1 AND id <> $2", person.id, signIn)
            try tx.query("DELETE FROM mail_tokens WHERE user_id = $1", person.id)
            try tx.auditPerson("user.password_change", person.id, actor: actor)
            if let mail { try tx.post(mail) }
            return true
        }
    }

    // MARK: E-mail addresses

    /// Sends a link to the new address, or word of the try to whoever has an account with it, and a notice to the
    /// present address.
    public func askForEmailChange(
        of person: PersonView, to email: String, tokenHash: [UInt8],
        mails: (link: Mail, known: Mail, notice: Mail)?, actor: Actor
    ) async throws(StoreError) {
        try await transaction { tx in
            let isKnown =
                try tx.query(
                    "SELECT 1 FROM users WHERE lower(email) = lower($1) AND id <> $2", email, person.id
                )
                .first != nil
            guard let mails, try tx.postUnasked(isKnown ? mails.known : mails.link) else { return }
            if !isKnown { try tx.addMailToken(tokenHash, .changeEmail, email: email, user: person.id) }
            try tx.post(mails.notice)
            try tx.auditPerson(
                "user.email_change_ask", person.id, actor: actor,
                after: ["email": .string(EmailAddress.masked(email))])
        }
    }

    /// Uses the token that went to the new address. Every other link of the person is void from now on.
    public func changeEmail(
        tokenHash: [UInt8], address: String? = nil, mail: @Sendable (_ old: String, _ new: String) -> Mail
    ) async throws(StoreError) -> EmailChange {
        do {
            return try await transaction { tx in
                guard let token = try tx.takeMailToken(tokenHash, .changeEmail), let user = token.user else {
                    return .badToken
                }
                let old: String = try tx.row("SELECT email FROM users WHERE id = $1 FOR UPDATE", user)[
                    "email"]
                do {
                    try tx.query(
                        "UPDATE users SET email = $2, verified_at = now() WHERE id = $1", user, token.email)
                } catch PostgresError.uniqueViolation(constraint: "users_email_key") {
                    throw StoreError.emailTaken
                }
                // The old address is nobody's now: no link that went there may make it somebody's.
                try tx.query(
                    "DELETE FROM mail_tokens WHERE user_id = $1 OR lower(email) = lower($2)", user, old)
                try tx.auditPerson(
                    "user.email_change", user, actor: Actor(user.text, address: address),
                    before: ["email": .string(EmailAddress.masked(old))],
                    after: ["email": .string(EmailAddress.masked(token.email))])
                try tx.post(mail(old, token.email))
                return .done
            }
        } catch .emailTaken {
            return .taken
        }
    }
}

extension Transaction {
    /// Notes what a person did about themselves, under each account that they belong to.
    mutating func auditPerson(
        _ action: String, _ user: UserID, actor: Actor, before: JSON? = nil, after: JSON? = nil
    ) throws(PostgresError) {
        try query(
            """
            INSERT INTO audit_log (account_id, actor, address, action, subject, before, after)
            SELECT m.account_id, $2, $3, $4, $1, $5::json, $6::json FROM members m WHERE m.user_id = $1
            ORDER BY m.account_id
            """, user, actor.text, actor.address, action, before, after)
    }
}
