import Core
import Domain
import Postgres

/// What came of moving a sign-in to another account.
public enum AccountSwitch: Sendable {
    case done(SessionView)
    case noMember
    /// The refresh token is not good, or not any more.
    case refused
}

extension Store {
    /// Like `renewSession`, and from now on the sign-in is for `account`: access tokens for the one before open
    /// nothing any more. It lasts no longer than it would have.
    public func switchSession(
        _ id: SignInID, to account: AccountID, address: String?,
        _ decide: @Sendable ([UInt8], Int64) -> Renewal
    ) async throws(StoreError) -> AccountSwitch {
        try await transaction { tx in
            guard
                let row = try tx.query(
                    """
                    SELECT user_id, account_id, refresh_key, counter FROM sessions
                    WHERE id = $1 AND expires_at > now() FOR UPDATE
                    """, id
                ).first
            else { return .refused }
            var session = SessionView(
                user: try row["user_id"], account: try row["account_id"], refreshKey: try row["refresh_key"],
                counter: try row["counter"])
            let actor = Actor(session.user.text, address: address)
            switch decide(session.refreshKey, session.counter) {
            case .refuse: return .refused
            case .end:
                try tx.query("DELETE FROM sessions WHERE id = $1", id)
                try tx.audit("user.refresh_reuse", actor: actor, account: session.account, subject: id.text)
                return .refused
            case .advance: session.counter += 1
            case .repeatCurrent: break
            }
            guard try tx.holdMember(session.user, of: account, isNews: account != session.account) else {
                return .noMember
            }
            let before = session.account
            session.account = account
            try tx.query(
                "UPDATE sessions SET account_id = $2, counter = $3, refreshed_at = now() WHERE id = $1", id,
                account, session.counter)
            if before != account {
                try tx.audit(
                    "user.switch_account", actor: actor, account: account, subject: id.text,
                    before: ["account": .string(before.text)], after: ["account": .string(account.text)])
            }
            return .done(session)
        }
    }
}

extension Transaction {
    /// Whether somebody is a member. The row of a new account is held, so that a removal ends this sign-in too,
    /// whichever comes first; for the sign-in's present one that would be the wrong order of locks, and no need.
    fileprivate mutating func holdMember(
        _ user: UserID, of account: AccountID, isNews: Bool
    ) throws(PostgresError) -> Bool {
        let found =
            isNews
            ? try query(
                "SELECT 1 FROM members WHERE account_id = $1 AND user_id = $2 FOR KEY SHARE", account, user)
            : try query("SELECT 1 FROM members WHERE account_id = $1 AND user_id = $2", account, user)
        return found.first != nil
    }
}
