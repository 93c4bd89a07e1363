import Core
import Domain
import Postgres

/// What the link of a mail is about.
struct MailToken: Sendable {
    var email: String
    var user: UserID?
    var passwordHash: String?
}

extension Transaction {
    mutating func addMailToken(
        _ hash: [UInt8], _ purpose: MailPurpose, email: String, user: UserID?, passwordHash: String? = nil
    ) throws(PostgresError) {
        try query(
            """
            INSERT INTO mail_tokens (hash, purpose, email, user_id, password_hash, expires_at)
            VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
            """, hash, purpose.rawValue, email, user, passwordHash, purpose.life_s)
    }

    /// Uses a token up; nil when it is not good, or not any more.
    mutating func takeMailToken(_ hash: [UInt8], _ purpose: MailPurpose) throws(PostgresError) -> MailToken? {
        guard
            let row = try query(
                """
                DELETE FROM mail_tokens WHERE hash = $1 AND purpose = $2 AND expires_at > now()
                RETURNING email, user_id, password_hash
                """, hash, purpose.rawValue
            ).first
        else { return nil }
        return MailToken(
            email: try row["email"], user: try row["user_id"], passwordHash: try row["password_hash"])
    }
}

extension Store {
    /// Whether the token would be good now: asked before work that only makes sense then.
    public func isGood(tokenHash: [UInt8], for purpose: MailPurpose) async throws(StoreError) -> Bool {
        try await transaction { tx in
            try tx.query(
                "SELECT 1 FROM mail_tokens WHERE hash = $1 AND purpose = $2 AND expires_at > now()",
                tokenHash, purpose.rawValue
            ).first != nil
        }
    }
}
