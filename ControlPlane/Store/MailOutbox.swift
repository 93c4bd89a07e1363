import Core
import Crypto
import Domain
import Postgres

/// A mail that this process has taken to send. Nobody else takes it before its time is over.
public struct ClaimedMail: Sendable {
    public var id: MailID
    public var mail: Mail
    /// The how manieth try this is, from 1: also what tells this claim from a later one.
    public var attempt: Int

    init(_ row: Row) throws(PostgresError) {
        id = try row["id"]
        attempt = try row["attempts"]
        mail = Mail(
            to: try row["recipient"], subject: try row["subject"], text: try row["body"],
            kind: try row["kind"])
    }
}

public enum MailOutbox {
    /// Mails that strangers caused, to one address.
    public static let maxUnaskedAnHour = 5
}

extension Transaction {
    /// Puts a mail into the outbox: it goes out once this transaction is committed, and only then.
    public mutating func post(_ mail: Mail) throws(PostgresError) { try post(mail, isUnasked: false) }

    /// Posts a mail that a stranger may have caused. False when its address has had enough of those within the hour:
    /// then nothing is posted.
    public mutating func postUnasked(_ mail: Mail) throws(PostgresError) -> Bool {
        // One at a time, or all would count before any has posted.
        try query("SELECT pg_advisory_xact_lock(hashtextextended(lower($1), 0))", mail.to)
        let lately: Int = try row(
            """
            SELECT count(*) AS n FROM mail_outbox
            WHERE lower(recipient) = lower($1) AND unasked AND created_at > now() - interval '1 hour'
            """, mail.to)["n"]
        guard lately < MailOutbox.maxUnaskedAnHour else { return false }
        try post(mail, isUnasked: true)
        return true
    }

    private mutating func post(_ mail: Mail, isUnasked: Bool) throws(PostgresError) {
        try query(
            """
            INSERT INTO mail_outbox (id, recipient, subject, body, kind, unasked, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
            """, MailID.random(), mail.to, mail.subject, mail.text, mail.kind, isUnasked, mail.life_s)
    }

    /// The addresses of the account's owners, the oldest first.
    public mutating func owners(of account: AccountID) throws(PostgresError) -> [String] {
        var addresses: [String] = []
        for row in try query(
            """
            SELECT u.email FROM members m JOIN users u ON u.id = m.user_id
            WHERE m.account_id = $1 AND m.role = 'owner'
            ORDER BY m.created_at, u.id
            """, account)
        {
            addresses.append(try row["email"])
        }
        return addresses
    }
}

extension Store {
    /// Puts a mail into the outbox in a transaction of its own.
    public func post(_ mail: Mail) async throws(StoreError) {
        try await transaction { tx in try tx.post(mail) }
    }

    /// Takes up to `limit` mails that are due. They come back to everybody after `lease_s`, unless `finishMail` or
    /// `failMail` was called; a claim counts as a try, so that a mail that kills its sender is given up some time.
    public func claimMails(limit: Int, lease_s: Int) async throws(StoreError) -> [ClaimedMail] {
        try await transaction { tx in
            try tx.query(
                """
                WITH due AS (
                    SELECT id FROM mail_outbox
                    WHERE state = 'waiting' AND next_try_at <= now()
                        AND (expires_at IS NULL OR expires_at > now())
                    ORDER BY next_try_at
                    LIMIT $1
                    FOR UPDATE SKIP LOCKED
                )
                UPDATE mail_outbox m
                SET attempts = m.attempts + 1, next_try_at = now() + make_interval(secs => $2)
                FROM due WHERE m.id = due.id
                RETURNING m.id, m.recipient, m.subject, m.body, m.kind, m.attempts
                """, limit, lease_s
            ).map { row in try ClaimedMail(row) }
        }
    }

    /// The provider has taken the mail: its text, which may hold a secret, is forgotten. False when the claim was
    /// not ours any more.
    @discardableResult
    public func finishMail(_ claim: ClaimedMail) async throws(StoreError) -> Bool {
        try await transaction { tx in
            try tx.query(
                """
                UPDATE mail_outbox SET state = 'sent', body = '', problem = NULL, finished_at = now()
                WHERE id = $1 AND attempts = $2 AND state = 'waiting'
                """, claim.id, claim.attempt
            ).affected == 1
        }
    }

    /// Not sent: tried again in `pause_s`, or never with nil. `problem` tells operators why and holds no secret.
    public func failMail(
        _ claim: ClaimedMail, pause_s: Int?, problem: String
    ) async throws(StoreError) {
        try await transaction { tx in
            if let pause_s {
                _ = try tx.query(
                    """
                    UPDATE mail_outbox SET next_try_at = now() + make_interval(secs => $3), problem = $4
                    WHERE id = $1 AND attempts = $2 AND state = 'waiting'
                    """, claim.id, claim.attempt, pause_s, problem)
            } else {
                _ = try tx.query(
                    """
                    UPDATE mail_outbox
                    SET state = 'given_up', body = '', problem = $3, finished_at = now()
                    WHERE id = $1 AND attempts = $2 AND state = 'waiting'
                    """, claim.id, claim.attempt, problem)
            }
        }
    }

    /// How many mails wait, and how many were given up lately.
    public func mailBacklog() async throws(StoreError) -> (waiting: Int, givenUp: Int) {
        try await transaction { tx in
            let row = try tx.row(
                """
                SELECT count(*) FILTER (WHERE state = 'waiting') AS waiting,
                    count(*) FILTER (WHERE state = 'given_up') AS given_up
                FROM mail_outbox
                """)
            return (try row["waiting"], try row["given_up"])
        }
    }
}
