import Core
import Domain
import Postgres

/// A member as the others see it.
public struct MemberView: Sendable, Hashable {
    public var user: UserID
    public var email: String
    public var role: Role
    /// Beyond what the plan has room for: may only look at the account.
    public var isSurplus: Bool
    public var joinedAt: WallTime

    init(_ row: Row) throws(PostgresError) {
        user = try row["user_id"]
        email = try row["email"]
        role = try Role(column: row["role"])
        isSurplus = try row["surplus"]
        joinedAt = try row["joined_at"]
    }
}

/// An account as one of its members sees it among others.
public struct MembershipView: Sendable, Hashable {
    public var account: AccountID
    public var name: String?
    public var plan: String
    public var role: Role
    public var isSurplus: Bool
    public var members: Int

    init(_ row: Row) throws(PostgresError) {
        account = try row["account_id"]
        name = try row["name"]
        plan = try row["plan_id"]
        role = try Role(column: row["role"])
        isSurplus = try row["surplus"]
        members = try row["members"]
    }
}

extension Role {
    init(column: String) throws(PostgresError) {
        guard let role = Role(rawValue: column) else { throw .unexpectedValue("a role is unknown") }
        self = role
    }
}

extension Store {
    /// The members, in the order in which they came.
    public func members(of account: AccountID, _ page: Page) async throws(StoreError) -> Listing<MemberView> {
        try await transaction { tx in
            let found = try tx.query(
                """
                SELECT m.seq, m.user_id, u.email, m.role,
                    floor(extract(epoch FROM m.created_at))::bigint AS joined_at, m.surplus
                FROM seated_members m JOIN users u ON u.id = m.user_id
                WHERE m.account_id = $1 AND m.seq > $2
                ORDER BY m.seq LIMIT $3
                """, account, page.after ?? 0, page.limit + 1
            ).map { row in (place: try row["seq"] as Int, item: try MemberView(row)) }
            return Listing(found, page)
        }
    }

    /// nil when the account has no such member.
    public func member(_ user: UserID, of account: AccountID) async throws(StoreError) -> MemberView? {
        try await transaction { tx in try tx.member(user, of: account) }
    }

    /// Gives a member another role, what `actor` may grant being looked at once more under the account's lock. The
    /// member's keys and invitations that go beyond the new role end. nil when the account has no such member;
    /// throws `membership`.
    public func setRole(
        _ role: Role, of user: UserID, account: AccountID, actor: Actor
    ) async throws(StoreError) -> MemberView? {
        try await transaction { tx in
            guard try tx.lockedTerms(of: account) != nil, let member = try tx.member(user, of: account) else {
                return nil
            }
            let grant = try tx.grant(of: actor, in: account)
            let owners = try tx.ownerCount(of: account)
            try StoreError.refusing { () throws(Membership.Refusal) in
                try Membership.change(
                    member.role, to: role, isSelf: grant.user == user, granter: grant.scopes, owners: owners)
            }
            guard role != member.role else { return member }
            let before = try tx.owners(of: account)
            try tx.write(role, of: member, account: account, "member.role", actor: actor)
            if role == .owner || member.role == .owner {
                let name = try tx.name(of: account)
                for address in Set(before + (try tx.owners(of: account))).sorted() {
                    try tx.post(
                        .ownersChanged(name, member: member.email, isOwner: role == .owner, telling: address))
                }
            }
            return try tx.member(user, of: account)
        }
    }

    /// Ends a membership by somebody else's decision: the sign-ins for the account, the invitations that the member
    /// made and, unless they are kept, the keys, too. False when the account has no such member; throws `membership`.
    public func removeMember(
        _ user: UserID, account: AccountID, keys: KeysLeft, actor: Actor
    ) async throws(StoreError) -> Bool {
        try await transaction { tx in
            guard try tx.lockedTerms(of: account) != nil, let member = try tx.member(user, of: account) else {
                return false
            }
            let grant = try tx.grant(of: actor, in: account)
            let owners = try tx.ownerCount(of: account)
            try StoreError.refusing { () throws(Membership.Refusal) in
                try Membership.change(
                    member.role, to: nil, isSelf: grant.user == user, granter: grant.scopes, owners: owners)
            }
            if keys == .keep { try tx.adoptKeys(of: user, account: account, by: grant.user) }
            try tx.end(member, of: account, "member.remove", actor: actor)
            if grant.user != user { try tx.post(.removed(try tx.name(of: account), telling: member.email)) }
            return true
        }
    }

    /// Ends a membership by the member's own decision. False when the account has no such member; throws
    /// `membership`.
    public func leave(_ account: AccountID, user: UserID, actor: Actor) async throws(StoreError) -> Bool {
        try await transaction { tx in
            guard try tx.lockedTerms(of: account) != nil, let member = try tx.member(user, of: account) else {
                return false
            }
            let owners = try tx.ownerCount(of: account)
            try StoreError.refusing { () throws(Membership.Refusal) in
                try Membership.change(
                    member.role, to: nil, isSelf: true, granter: member.role.scopes, owners: owners)
            }
            try tx.end(member, of: account, "member.leave", actor: actor)
            return true
        }
    }

    /// Makes another member an owner and the owner `from` an admin, in one step; every owner, new and old, is
    /// mailed. nil when the account has no such member; throws `membership`.
    public func transfer(
        _ account: AccountID, from owner: UserID, to user: UserID, actor: Actor
    ) async throws(StoreError) -> MemberView? {
        try await transaction { tx in
            guard try tx.lockedTerms(of: account) != nil, let heir = try tx.member(user, of: account) else {
                return nil
            }
            guard let former = try tx.member(owner, of: account), former.role == .owner else {
                throw StoreError.membership(.noMember)
            }
            guard user != owner else { return former }
            let owners = try tx.owners(of: account)
            if heir.role != .owner {
                try tx.write(.owner, of: heir, account: account, "account.transfer", actor: actor)
            }
            try tx.write(.admin, of: former, account: account, "account.transfer", actor: actor)
            let name = try tx.name(of: account)
            for address in Set(owners + [heir.email]).sorted() {
                try tx.post(.transferred(name, from: former.email, to: heir.email, telling: address))
            }
            return try tx.member(user, of: account)
        }
    }

    /// The accounts that somebody is a member of, in the order of joining.
    public func accounts(of user: UserID, _ page: Page) async throws(StoreError) -> Listing<MembershipView> {
        try await transaction { tx in
            let found = try tx.query(
                """
                SELECT m.seq, m.account_id, a.name, a.plan_id, m.role, m.surplus,
                    (SELECT count(*) FROM members o WHERE o.account_id = m.account_id) AS members
                FROM seated_members m JOIN accounts a ON a.id = m.account_id
                WHERE m.user_id = $1 AND m.seq > $2
                ORDER BY m.seq LIMIT $3
                """, user, page.after ?? 0, page.limit + 1
            ).map { row in (place: try row["seq"] as Int, item: try MembershipView(row)) }
            return Listing(found, page)
        }
    }

    /// What the account is called from now on; nil takes the name away. False when there is no such account.
    public func rename(_ account: AccountID, _ name: String?, actor: Actor) async throws(StoreError) -> Bool {
        try await transaction { tx in
            guard try tx.lockedTerms(of: account) != nil else { return false }
            let before = try tx.name(of: account)
            guard before != name else { return true }
            try tx.query("UPDATE accounts SET name = $2 WHERE id = $1", account, name)
            try tx.audit(
                "account.rename", actor: actor, account: account, subject: account.text,
                before: ["name": before.map { .string($0) } ?? .null],
                after: ["name": name.map { .string($0) } ?? .null])
            return true
        }
    }
}

extension Transaction {
    /// What somebody who acts has in an account at this moment.
    struct Grant {
        var scopes: Set<Scope>
        /// The person, or the one who made the key.
        var user: UserID?
    }

    /// Asked under the account's lock: a role or key may have been taken away since the request was let in. Whoever
    /// is neither a person nor an API key, such as an operator, may grant everything.
    mutating func grant(of actor: Actor, in account: AccountID) throws -> Grant {
        if let user = UserID(actor.text) {
            guard let member = try member(user, of: account) else {
                throw StoreError.membership(.noMember)
            }
            return Grant(scopes: member.role.scopes(isSurplus: member.isSurplus), user: user)
        }
        if let key = APIKeyID(actor.text) {
            guard
                let row = try query(
                    """
                    SELECT array_to_string(scopes, ' ') AS scopes, made_by FROM api_keys
                    WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL
                    """, key, account
                ).first
            else { throw StoreError.membership(.noMember) }
            return Grant(scopes: Scope.set(column: try row["scopes"]), user: try row["made_by"])
        }
        return Grant(scopes: Scope.all)
    }

    mutating func member(_ user: UserID, of account: AccountID) throws(PostgresError) -> MemberView? {
        guard
            let row = try query(
                """
                SELECT m.user_id, u.email, m.role,
                    floor(extract(epoch FROM m.created_at))::bigint AS joined_at, m.surplus
                FROM seated_members m JOIN users u ON u.id = m.user_id
                WHERE m.account_id = $1 AND m.user_id = $2
                """, account, user
            ).first
        else { return nil }
        return try MemberView(row)
    }

    fileprivate mutating func ownerCount(of account: AccountID) throws(PostgresError) -> Int {
        try row(
            "SELECT count(*) AS n FROM members WHERE account_id = $1 AND role = 'owner'", account)["n"]
    }

    mutating func name(of account: AccountID) throws(PostgresError) -> String? {
        try row("SELECT name FROM accounts WHERE id = $1", account)["name"]
    }

    /// Under the account's lock. What the member made and could not make any more ends.
    fileprivate mutating func write(
        _ role: Role, of member: MemberView, account: AccountID, _ action: String, actor: Actor
    ) throws {
        try query(
            "UPDATE members SET role = $3 WHERE account_id = $1 AND user_id = $2", account, member.user,
            role.rawValue)
        try audit(
            action, actor: actor, account: account, subject: member.user.text,
            before: ["role": .string(member.role.rawValue)], after: ["role": .string(role.rawValue)])
        try withdrawInvitations(of: member.user, account: account, beyond: role, actor: actor)
        try revokeKeys(of: member.user, account: account, beyond: role, actor: actor)
    }

    /// Under the account's lock, and whatever the consequences for its owners: ends a membership with the sign-ins,
    /// invitations and keys that came with it. Nobody is left without any account.
    mutating func end(
        _ member: MemberView, of account: AccountID, _ action: String, actor: Actor
    ) throws {
        try query("DELETE FROM members WHERE account_id = $1 AND user_id = $2", account, member.user)
        try query("DELETE FROM sessions WHERE account_id = $1 AND user_id = $2", account, member.user)
        try audit(
            action, actor: actor, account: account, subject: member.user.text,
            before: [
                "role": .string(member.role.rawValue), "email": .string(EmailAddress.masked(member.email)),
            ])
        try withdrawInvitations(of: member.user, account: account, beyond: nil, actor: actor)
        try revokeKeys(of: member.user, account: account, beyond: nil, actor: actor)
        try ensureAccount(of: member.user)
    }

    /// Somebody who is a member nowhere any more gets an account of their own, as at sign-up. Takes the user's lock,
    /// after any account's, so that two endings at once do not each count on the other account.
    mutating func ensureAccount(of user: UserID) throws(PostgresError) {
        guard try query("SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE", user).first != nil,
            try query("SELECT 1 FROM members WHERE user_id = $1 LIMIT 1", user).first == nil
        else { return }
        let account = AccountID.random()
        try query("INSERT INTO accounts (id, plan_id) VALUES ($1, 'free')", account)
        try query("INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, 'owner')", account, user)
        try audit("account.create", actor: Actor(user.text), account: account, subject: account.text)
    }

    private mutating func withdrawInvitations(
        of user: UserID, account: AccountID, beyond role: Role?, actor: Actor
    ) throws(PostgresError) {
        let rows = try query(
            "SELECT id, email, role FROM invitations WHERE account_id = $1 AND made_by = $2 ORDER BY seq",
            account, user)
        for row in rows {
            let given = try Role(column: row["role"])
            if let role, role.scopes.contains(.membersWrite), given.scopes.isSubset(of: role.scopes) {
                continue
            }
            let id: InvitationID = try row["id"]
            try query("DELETE FROM invitations WHERE id = $1", id)
            try audit(
                "invitation.withdraw", actor: actor, account: account, subject: id.text,
                before: [
                    "email": .string(EmailAddress.masked(try row["email"])), "role": .string(given.rawValue),
                ])
        }
    }
}
