import Core
import Domain
import Postgres

/// One sign-in as its refresh tokens need it.
public struct SessionView: Sendable {
    public var user: UserID
    public var account: AccountID
    /// Authenticates the sign-in's tokens.
    public var refreshKey: [UInt8]
    /// What the newest token carries.
    public var counter: Int64
}

/// Somebody who is signed in, and as what.
public struct SignedIn: Sendable, Hashable {
    public var user: UserID
    public var account: AccountID
    public var signIn: SignInID
    public var role: Role
    /// Beyond what the account's plan has room for.
    public var isSurplus: Bool

    public init(
        user: UserID, account: AccountID, signIn: SignInID, role: Role, isSurplus: Bool = false
    ) {
        self.user = user
        self.account = account
        self.signIn = signIn
        self.role = role
        self.isSurplus = isSurplus
    }

    public var scopes: Set<Scope> { role.scopes(isSurplus: isSurplus) }
}

/// What to do about a refresh token.
public enum Renewal: Sendable, Hashable {
    /// It is the newest: the next one takes its place.
    case advance
    /// It is one behind, since an answer was lost: give the newest again.
    case repeatCurrent
    case refuse
    /// Two parties hold tokens of this sign-in: it ends.
    case end
}

/// Where a sign-in is used.
public struct SignInPlace: Sendable, Hashable {
    public var address: String?
    public var userAgent: String?

    public static let unknown = SignInPlace(address: nil, userAgent: nil)

    public init(address: String?, userAgent: String?) {
        self.address = address
        self.userAgent = userAgent
    }
}

/// A sign-in as its user sees it.
public struct SignInView: Sendable, Hashable {
    public var id: SignInID
    public var account: AccountID
    public var place: SignInPlace
    public var createdAt: WallTime
    /// To the minute.
    public var lastUsedAt: WallTime
    public var expiresAt: WallTime

    init(_ row: Row) throws(PostgresError) {
        id = try row["id"]
        account = try row["account_id"]
        place = SignInPlace(address: try row["address"], userAgent: try row["user_agent"])
        createdAt = try row["created_at"]
        lastUsedAt = try row["last_used_at"]
        expiresAt = try row["expires_at"]
    }
}

extension Store {
    /// The oldest ones end when somebody signs in more often.
    private static let maxSignIns = 200

    /// False, and nothing is opened, when the password was changed since `user` was looked up.
    @discardableResult
    public func openSession(
        _ id: SignInID, user: Credentials, refreshKey: [UInt8], lifetime_s: Int64,
        place: SignInPlace = .unknown
    ) async throws(StoreError) -> Bool {
        try await transaction { tx in
            guard
                try tx.query(
                    "SELECT 1 FROM users WHERE id = $1 AND password_hash = $2 FOR SHARE", user.user,
                    user.passwordHash
                ).first != nil
            else { return false }
            try tx.query(
                """
                DELETE FROM sessions WHERE id IN (
                    SELECT id FROM sessions WHERE user_id = $1 ORDER BY seq DESC OFFSET $2)
                """, user.user, Self.maxSignIns - 1)
            try tx.query(
                """
                INSERT INTO sessions (id, user_id, account_id, refresh_key, expires_at, address, user_agent)
                VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5), $6, $7)
                """, id, user.user, user.account, refreshKey, lifetime_s, place.address, place.userAgent)
            try tx.audit(
                "user.sign_in", actor: Actor(user.user.text, address: place.address), account: user.account,
                subject: id.text)
            return true
        }
    }

    /// nil when the sign-in has ended or its user does not belong to the account any more.
    public func signedIn(_ id: SignInID) async throws(StoreError) -> SignedIn? {
        try await transaction(.none) { tx in
            guard
                let row = try tx.query(
                    """
                    SELECT s.user_id, s.account_id, m.role, m.surplus,
                        s.last_used_at < now() - interval '1 minute' AS is_news
                    FROM sessions s
                    JOIN seated_members m ON m.account_id = s.account_id AND m.user_id = s.user_id
                    WHERE s.id = $1 AND s.expires_at > now()
                    """, id
                ).first, let role = Role(rawValue: try row["role"])
            else { return nil }
            if try row["is_news"] {
                try tx.query("UPDATE sessions SET last_used_at = now() WHERE id = $1", id)
            }
            return SignedIn(
                user: try row["user_id"], account: try row["account_id"], signIn: id, role: role,
                isSurplus: try row["surplus"])
        }
    }

    /// Gives the sign-in's key and counter to `decide` and does what it says, under the row's lock. nil when there
    /// is no such sign-in, it has expired, was refused or has ended now.
    public func renewSession(
        _ id: SignInID, place: SignInPlace = .unknown,
        _ decide: @Sendable ([UInt8], Int64) -> Renewal
    ) async throws(StoreError) -> SessionView? {
        try await transaction { tx in
            guard
                let row = try tx.query(
                    """
                    SELECT s.user_id, s.account_id, s.refresh_key, s.counter
                    FROM sessions s
                    WHERE s.id = $1 AND s.expires_at > now()
                    FOR UPDATE
                    """, id
                ).first
            else { return nil }
            var session = SessionView(
                user: try row["user_id"], account: try row["account_id"], refreshKey: try row["refresh_key"],
                counter: try row["counter"])
            switch decide(session.refreshKey, session.counter) {
            case .repeatCurrent: return session
            case .refuse: return nil
            case .advance:
                session.counter += 1
                try tx.query(
                    """
                    UPDATE sessions SET counter = $2, refreshed_at = now(), last_used_at = now(),
                        address = coalesce($3, address), user_agent = coalesce($4, user_agent)
                    WHERE id = $1
                    """, id, session.counter, place.address, place.userAgent)
                return session
            case .end:
                try tx.query("DELETE FROM sessions WHERE id = $1", id)
                try tx.audit(
                    "user.refresh_reuse", actor: Actor(session.user.text, address: place.address),
                    account: session.account, subject: id.text)
                return nil
            }
        }
    }

    /// The user's sign-ins that last, oldest first.
    public func signIns(of user: UserID, _ page: Page) async throws(StoreError) -> Listing<SignInView> {
        try await transaction { tx in
            let found = try tx.query(
                """
                SELECT seq, id, account_id, address, user_agent,
                    floor(extract(epoch FROM created_at))::bigint AS created_at,
                    floor(extract(epoch FROM last_used_at))::bigint AS last_used_at,
                    floor(extract(epoch FROM expires_at))::bigint AS expires_at
                FROM sessions
                WHERE user_id = $1 AND expires_at > now() AND seq > $2
                ORDER BY seq LIMIT $3
                """, user, page.after ?? 0, page.limit + 1
            ).map { row in (place: try row["seq"] as Int, item: try SignInView(row)) }
            return Listing(found, page)
        }
    }

    /// Ends a sign-in: its tokens are worth nothing from now on. False when the user has no such sign-in.
    @discardableResult
    public func closeSession(
        _ id: SignInID, user: UserID, actor: Actor
    ) async throws(StoreError) -> Bool {
        try await transaction { tx in
            guard
                let row = try tx.query(
                    "DELETE FROM sessions WHERE id = $1 AND user_id = $2 RETURNING account_id", id, user
                ).first
            else { return false }
            try tx.audit("user.sign_out", actor: actor, account: try row["account_id"], subject: id.text)
            return true
        }
    }

    /// Ends every sign-in of the user, except `kept`.
    public func closeSessions(
        of user: UserID, except kept: SignInID?, actor: Actor
    ) async throws(StoreError) {
        try await transaction { tx in
            for row in try tx.query(
                """
                DELETE FROM sessions WHERE user_id = $1 AND ($2::text IS NULL OR id <> $2)
                RETURNING id, account_id
                """, user, kept)
            {
                try tx.audit(
                    "user.sign_out", actor: actor, account: try row["account_id"], subject: try row["id"])
            }
        }
    }
}
