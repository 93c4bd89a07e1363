import Core
import Domain
import Postgres

extension Transaction {
    /// Notes who did what, in the transaction that does it. No secret may be in `before`, `after` or `detail`.
    mutating func audit(
        _ action: String, actor: Actor, account: AccountID?, subject: String, before: JSON? = nil,
        after: JSON? = nil, detail: JSON? = nil
    ) throws(PostgresError) {
        try query(
            """
            INSERT INTO audit_log (account_id, actor, address, action, subject, before, after, detail)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            """, account, actor.text, actor.address, action, subject, before, after, detail)
    }
}
