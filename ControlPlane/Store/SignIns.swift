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

    public init(user: UserID, account: AccountID, signIn: SignInID, role: Role) {
        self.user = user
        self.account = account
        self.signIn = signIn
        self.role = role
    }
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

extension Store {
    /// `address` is where the request came from, here and below.
    public func openSession(
        _ id: SignInID, user: Credentials, refreshKey: [UInt8], lifetime_s: Int64, address: String? = nil
    ) async throws(StoreError) {
        try await transaction { tx in
            try tx.query(
                """
                INSERT INTO sessions (id, user_id, account_id, refresh_key, expires_at)
                VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
                """, id, user.user, user.account, refreshKey, lifetime_s)
            try tx.audit(
                "user.sign_in", actor: Actor(user.user.text, address: address), account: user.account,
                subject: id.text)
        }
    }

    /// nil when the sign-in has ended or its user does not belong to the account any more.
    public func signedIn(_ id: SignInID) async throws(StoreError) -> SignedIn? {
        try await transaction { tx in
            guard
                let row = try tx.query(
                    """
                    SELECT s.user_id, s.account_id, m.role
                    FROM sessions s
                    JOIN members m ON m.account_id = s.account_id AND m.user_id = s.user_id
                    WHERE s.id = $1 AND s.expires_at > now()
                    """, id
                ).first, let role = Role(rawValue: try row["role"])
            else { return nil }
            return SignedIn(
                user: try row["user_id"], account: try row["account_id"], signIn: id, role: role)
        }
    }

    /// Gives the sign-in's key and counter to `decide` and does what it says, under the row's lock. nil when there
    /// is no such sign-in, it has expired, was refused or has ended now.
    public func renewSession(
        _ id: SignInID, address: String? = nil, _ decide: @Sendable ([UInt8], Int64) -> Renewal
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
                    "UPDATE sessions SET counter = $2, refreshed_at = now() WHERE id = $1", id,
                    session.counter)
                return session
            case .end:
                try tx.query("DELETE FROM sessions WHERE id = $1", id)
                try tx.audit(
                    "user.refresh_reuse", actor: Actor(session.user.text, address: address),
                    account: session.account, subject: id.text)
                return nil
            }
        }
    }

    /// Signs out: the sign-in's refresh tokens are worth nothing from now on.
    public func closeSession(
        _ id: SignInID, user: UserID, address: String? = nil
    ) async throws(StoreError) {
        try await transaction { tx in
            let closed = try tx.query(
                "DELETE FROM sessions WHERE id = $1 AND user_id = $2 RETURNING account_id", id, user)
            guard let session = closed.first else { return }
            try tx.audit(
                "user.sign_out", actor: Actor(user.text, address: address),
                account: try session["account_id"], subject: id.text)
        }
    }
}
