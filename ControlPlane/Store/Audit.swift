import Core
import Postgres

extension Transaction {
    /// Notes who did what, in the transaction that does it.
    mutating func audit(
        _ action: String, actor: String, account: AccountID?, subject: String, detail: JSON? = nil
    ) throws(PostgresError) {
        try query(
            """
            INSERT INTO audit_log (account_id, actor, action, subject, detail)
            VALUES ($1, $2, $3, $4, $5)
            """, account, actor, action, subject, detail)
    }
}
