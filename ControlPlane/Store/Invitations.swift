import Core
import Domain
import Postgres

/// An invitation as the account sees it.
public struct InvitationView: Sendable, Hashable {
    public var id: InvitationID
    public var email: String
    public var role: Role
    /// The address of the one who invites; nil for a program, and for somebody who is gone.
    public var inviter: String?
    public var isExpired: Bool
    public var createdAt: WallTime
    public var expiresAt: WallTime

    init(_ row: Row) throws(PostgresError) {
        id = try row["id"]
        email = try row["email"]
        role = try Role(column: row["role"])
        inviter = try row["inviter"]
        isExpired = try row["expired"]
        createdAt = try row["created_at"]
        expiresAt = try row["expires_at"]
    }
}

/// An invitation as the one who is invited sees it.
public struct ReceivedInvitation: Sendable, Hashable {
    public var account: AccountID
    public var accountName: String?
    public var email: String
    public var role: Role
    public var inviter: String?
    public var expiresAt: WallTime
    /// Nobody has this address yet: accepting takes a password.
    public var isForNewUser: Bool
}

/// Who has accepted, and where.
public struct Accepted: Sendable, Hashable {
    public var user: UserID
    public var account: AccountID
    public var role: Role
}

extension Store {
    /// Invites an address, whether somebody has it or not, and mails the link that `mail` writes. An invitation of
    /// the same address that has expired makes room. nil when there is no such account; throws `membership`.
    public func invite(
        _ id: InvitationID, account: AccountID, email: String, role: Role, tokenHash: [UInt8], actor: Actor,
        mail: @Sendable (InvitationView) -> Mail
    ) async throws(StoreError) -> InvitationView? {
        try await transaction { tx in
            guard let terms = try tx.lockedTerms(of: account) else { return nil }
            let grant = try tx.grant(of: actor, in: account)
            let before = try tx.row(
                """
                SELECT (SELECT count(*) FROM members WHERE account_id = $1) AS members,
                    (SELECT count(*) FROM invitations WHERE account_id = $1 AND expires_at > now()) AS invited,
                    EXISTS (SELECT 1 FROM members m JOIN users u ON u.id = m.user_id
                        WHERE m.account_id = $1 AND lower(u.email) = lower($2)) AS is_member,
                    EXISTS (SELECT 1 FROM invitations
                        WHERE account_id = $1 AND lower(email) = lower($2) AND expires_at > now()) AS is_invited
                """, account, email)
            if try before["is_member"] { throw StoreError.membership(.alreadyMember) }
            if try before["is_invited"] { throw StoreError.membership(.alreadyInvited) }
            let (members, invited): (Int, Int) = (try before["members"], try before["invited"])
            try StoreError.refusing { () throws(Membership.Refusal) in
                try Membership.invite(
                    as: role, granter: grant.scopes, members: members, invited: invited,
                    maxMembers: terms.plan.maxMembers)
            }
            try tx.query(
                "DELETE FROM invitations WHERE account_id = $1 AND lower(email) = lower($2)", account, email)
            try tx.query(
                """
                INSERT INTO invitations (id, account_id, email, role, made_by, token_hash, expires_at)
                VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
                """, id, account, email, role.rawValue, grant.user, tokenHash,
                Membership.invitationLifetime_s)
            try tx.audit(
                "invitation.create", actor: actor, account: account, subject: id.text,
                after: ["email": .string(EmailAddress.masked(email)), "role": .string(role.rawValue)])
            guard let made = try tx.invitation(id, of: account) else { return nil }
            // An address that has had enough of such mails gets none, and that is not told.
            _ = try tx.postUnasked(mail(made))
            return made
        }
    }

    /// Invitations that were neither accepted nor declined nor withdrawn, oldest first; expired ones stay for a
    /// month.
    public func invitations(of account: AccountID, _ page: Page) async throws(StoreError) -> Listing<
        InvitationView
    > {
        try await transaction { tx in
            let found = try tx.query(
                """
                SELECT i.seq, i.id, i.email, i.role, u.email AS inviter, i.expires_at <= now() AS expired,
                    floor(extract(epoch FROM i.created_at))::bigint AS created_at,
                    floor(extract(epoch FROM i.expires_at))::bigint AS expires_at
                FROM invitations i LEFT JOIN users u ON u.id = i.made_by
                WHERE i.account_id = $1 AND i.seq > $2
                ORDER BY i.seq LIMIT $3
                """, account, page.after ?? 0, page.limit + 1
            ).map { row in (place: try row["seq"] as Int, item: try InvitationView(row)) }
            return Listing(found, page)
        }
    }

    /// Mails an invitation again with a new link, good for as long as a new one; the old link opens nothing any more.
    /// nil when the account has no such invitation; throws `membership`.
    public func resendInvitation(
        _ id: InvitationID, account: AccountID, tokenHash: [UInt8], actor: Actor,
        mail: @Sendable (InvitationView) -> Mail
    ) async throws(StoreError) -> InvitationView? {
        try await transaction { tx in
            guard let terms = try tx.lockedTerms(of: account),
                let row = try tx.query(
                    """
                    SELECT role, mails, expires_at <= now() AS expired,
                        ceil(extract(epoch FROM mailed_at - now()))::bigint + $3 AS wait_s,
                        (SELECT count(*) FROM members WHERE account_id = $2) AS members,
                        (SELECT count(*) FROM invitations WHERE account_id = $2 AND expires_at > now())
                            AS invited
                    FROM invitations WHERE id = $1 AND account_id = $2
                    """, id, account, Membership.mailPause_s
                ).first
            else { return nil }
            let grant = try tx.grant(of: actor, in: account)
            let role = try Role(column: row["role"])
            let (members, invited): (Int, Int) = (try row["members"], try row["invited"])
            let (mails, wait_s, isExpired): (Int, Int, Bool) = (
                try row["mails"], try row["wait_s"], try row["expired"]
            )
            try StoreError.refusing { () throws(Membership.Refusal) in
                if mails >= Membership.maxMails { throw .tooManyMails(wait_s: nil) }
                if wait_s > 0 { throw .tooManyMails(wait_s: wait_s) }
                try Membership.invite(
                    as: role, granter: grant.scopes, members: members,
                    invited: isExpired ? invited : invited - 1,
                    maxMembers: terms.plan.maxMembers)
            }
            try tx.query(
                """
                UPDATE invitations SET token_hash = $2, mails = mails + 1, mailed_at = now(), made_by = $4,
                    expires_at = now() + make_interval(secs => $3)
                WHERE id = $1
                """, id, tokenHash, Membership.invitationLifetime_s, grant.user)
            try tx.audit("invitation.resend", actor: actor, account: account, subject: id.text)
            guard let made = try tx.invitation(id, of: account) else { return nil }
            _ = try tx.postUnasked(mail(made))
            return made
        }
    }

    /// False when the account has no such invitation.
    public func withdrawInvitation(
        _ id: InvitationID, account: AccountID, actor: Actor
    ) async throws(StoreError) -> Bool {
        try await transaction { tx in
            guard
                let row = try tx.query(
                    "DELETE FROM invitations WHERE id = $1 AND account_id = $2 RETURNING email, role", id,
                    account
                ).first
            else { return false }
            try tx.audit(
                "invitation.withdraw", actor: actor, account: account, subject: id.text,
                before: [
                    "email": .string(EmailAddress.masked(try row["email"])), "role": .string(try row["role"]),
                ])
            return true
        }
    }

    /// What somebody who has the link is asked. nil for a link that is used up, withdrawn or too old.
    public func receivedInvitation(tokenHash: [UInt8]) async throws(StoreError) -> ReceivedInvitation? {
        try await transaction { tx in
            try tx.query(
                """
                SELECT i.account_id, a.name, i.email, i.role, u.email AS inviter,
                    floor(extract(epoch FROM i.expires_at))::bigint AS expires_at,
                    NOT EXISTS (
                        SELECT 1 FROM users x
                        WHERE lower(x.email) = lower(i.email) AND x.verified_at IS NOT NULL) AS is_new
                FROM invitations i
                JOIN accounts a ON a.id = i.account_id
                LEFT JOIN users u ON u.id = i.made_by
                WHERE i.token_hash = $1 AND i.expires_at > now()
                """, tokenHash
            ).first.map { row in
                ReceivedInvitation(
                    account: try row["account_id"], accountName: try row["name"], email: try row["email"],
                    role: try Role(column: row["role"]), inviter: try row["inviter"],
                    expiresAt: try row["expires_at"], isForNewUser: try row["is_new"])
            }
        }
    }

    /// Uses a link up: the one who has the address becomes a member. When nobody has it, a user with `passwordHash`
    /// and an account of their own is made first; without it `.passwordNeeded`, and the link stays good. nil for a
    /// link that is used up, withdrawn or too old; throws `membership`.
    public func acceptInvitation(
        tokenHash: [UInt8], passwordHash: String?, address: String?
    ) async throws(StoreError) -> Accepted? {
        try await transaction { tx in
            guard
                let found = try tx.query(
                    "SELECT account_id FROM invitations WHERE token_hash = $1", tokenHash
                ).first, let terms = try tx.lockedTerms(of: found["account_id"]),
                let row = try tx.query(
                    """
                    DELETE FROM invitations WHERE token_hash = $1 AND expires_at > now()
                    RETURNING id, email, role,
                        (SELECT count(*) FROM members m WHERE m.account_id = invitations.account_id) AS members
                    """, tokenHash
                ).first
            else { return nil }
            let invitation: InvitationID = try row["id"]
            let role = try Role(column: row["role"])
            let members: Int = try row["members"]
            if let most = terms.plan.maxMembers, members >= most {
                throw StoreError.membership(.noRoom(most))
            }
            let user = try tx.user(email: try row["email"], orMadeWith: passwordHash)
            let joined = try tx.query(
                """
                INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, $3)
                ON CONFLICT (account_id, user_id) DO NOTHING
                """, terms.account, user, role.rawValue)
            guard joined.affected == 1 else {
                // Somebody's address became this one since the invitation was sent.
                let member = try tx.member(user, of: terms.account)
                return Accepted(user: user, account: terms.account, role: member?.role ?? role)
            }
            try tx.audit(
                "member.join", actor: Actor(user.text, address: address), account: terms.account,
                subject: user.text, after: ["role": .string(role.rawValue)],
                detail: ["invitation": .string(invitation.text)])
            return Accepted(user: user, account: terms.account, role: role)
        }
    }

    /// Says no to an invitation: its link is used up. False when it was so already.
    public func declineInvitation(tokenHash: [UInt8], address: String?) async throws(StoreError) -> Bool {
        try await transaction { tx in
            guard
                let row = try tx.query(
                    """
                    DELETE FROM invitations WHERE token_hash = $1 AND expires_at > now()
                    RETURNING id, account_id, email, role
                    """, tokenHash
                ).first
            else { return false }
            let id: InvitationID = try row["id"]
            try tx.audit(
                "invitation.decline", actor: Actor(id.text, address: address), account: try row["account_id"],
                subject: id.text,
                before: [
                    "email": .string(EmailAddress.masked(try row["email"])), "role": .string(try row["role"]),
                ])
            return true
        }
    }
}

extension Transaction {
    fileprivate mutating func invitation(
        _ id: InvitationID, of account: AccountID
    ) throws(PostgresError) -> InvitationView? {
        guard
            let row = try query(
                """
                SELECT i.id, i.email, i.role, u.email AS inviter, i.expires_at <= now() AS expired,
                    floor(extract(epoch FROM i.created_at))::bigint AS created_at,
                    floor(extract(epoch FROM i.expires_at))::bigint AS expires_at
                FROM invitations i LEFT JOIN users u ON u.id = i.made_by
                WHERE i.id = $1 AND i.account_id = $2
                """, id, account
            ).first
        else { return nil }
        return try InvitationView(row)
    }

    /// The user of an address; made, with an account of their own, when there is none. Whoever signed up with the
    /// address without proving it gets the password of the one who has the mail, and is signed out.
    fileprivate mutating func user(email: String, orMadeWith passwordHash: String?) throws -> UserID {
        let found = try query(
            """
            SELECT id, verified_at IS NOT NULL AS is_verified FROM users WHERE lower(email) = lower($1)
            FOR NO KEY UPDATE
            """, email
        ).first
        if let found, try found["is_verified"] { return try found["id"] }
        guard let passwordHash else { throw StoreError.passwordNeeded }
        // What others chose for this address counts no more.
        try query("DELETE FROM mail_tokens WHERE lower(email) = lower($1) AND purpose = 'verify'", email)
        if let found {
            let user: UserID = try found["id"]
            try query(
                "UPDATE users SET password_hash = $2, verified_at = now() WHERE id = $1", user, passwordHash)
            try query("DELETE FROM sessions WHERE user_id = $1", user)
            return user
        }
        guard let (user, account) = try addUser(email, passwordHash, plan: "free", isVerified: true) else {
            return try row("SELECT id FROM users WHERE lower(email) = lower($1)", email)["id"]
        }
        try audit("user.sign_up", actor: Actor(user.text), account: account, subject: user.text)
        return user
    }
}
