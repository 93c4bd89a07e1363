import Core
import Domain
import Postgres

/// One thing that was done: by whom, from where, and what was there before and after.
public struct AuditEntry: Sendable, Hashable {
    public var id: Int
    /// RFC 3339 in UTC with milliseconds.
    public var at: String
    /// nil for what belongs to no account.
    public var account: AccountID?
    public var actor: Actor
    public var action: String
    public var subject: String
    public var before: JSON?
    public var after: JSON?
    public var detail: JSON?

    fileprivate init(_ row: Row) throws(PostgresError) {
        id = try row["id"]
        at = try row["at_text"]
        account = try row["account_id"]
        actor = Actor(try row["shown_actor"], address: try row["shown_address"])
        action = try row["action"]
        subject = try row["subject"] ?? ""
        before = try row["before"]
        after = try row["after"]
        detail = try row["detail"]
    }
}

/// Which entries are asked for; nil matches all.
public struct AuditFilter: Sendable, Hashable {
    public var actor: String?
    /// An action such as `tunnel.create`, or the first words of several, such as `tunnel`.
    public var action: String?
    public var subject: String?
    /// The first second that counts.
    public var from: WallTime?
    /// The first second that does not.
    public var to: WallTime?

    public init(
        actor: String? = nil, action: String? = nil, subject: String? = nil, from: WallTime? = nil,
        to: WallTime? = nil
    ) {
        self.actor = actor
        self.action = action
        self.subject = subject
        self.from = from
        self.to = to
    }
}

/// Which part of the log is wanted: up to `limit` entries older than the one a cursor points at. What is written
/// while somebody turns pages is newer than all of them, so that no entry comes twice.
public struct AuditPage: Sendable, Hashable {
    /// An entry's place in the order of time.
    struct Place: Sendable, Hashable {
        /// Since 1970.
        var microseconds: Int
        var id: Int

        var cursor: String { Base64URL.encode(Array("\(microseconds).\(id)".utf8)) }
    }

    public var limit: Int
    var before: Place?

    public init(limit: Int = Page.standardLimit) {
        self.limit = min(max(limit, Page.limits.lowerBound), Page.limits.upperBound)
    }

    /// nil for a cursor that we did not give out.
    public init?(limit: Int, cursor: String) {
        self.init(limit: limit)
        guard let bytes = Base64URL.decode(cursor) else { return nil }
        let parts = String(decoding: bytes, as: UTF8.self).split(separator: ".")
        guard parts.count == 2, let microseconds = Int(parts[0]), let id = Int(parts[1]), id > 0,
            microseconds > 0
        else { return nil }
        before = Place(microseconds: microseconds, id: id)
    }
}

extension Store {
    /// What was done in an account, newest first. An operator is shown to it as `operator`, without an address.
    public func audit(
        of account: AccountID, _ filter: AuditFilter = AuditFilter(), _ page: AuditPage = AuditPage()
    ) async throws(StoreError) -> Listing<AuditEntry> {
        try await transaction { tx in try tx.audit(account, filter, page, hidesOperators: true) }
    }

    /// What was done everywhere, or in one account, newest first.
    public func wholeAudit(
        account: AccountID? = nil, _ filter: AuditFilter = AuditFilter(), _ page: AuditPage = AuditPage()
    ) async throws(StoreError) -> Listing<AuditEntry> {
        try await transaction { tx in try tx.audit(account, filter, page, hidesOperators: false) }
    }
}

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

    fileprivate mutating func audit(
        _ account: AccountID?, _ filter: AuditFilter, _ page: AuditPage, hidesOperators: Bool
    ) throws -> Listing<AuditEntry> {
        let found = try query(
            """
            SELECT id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at_text,
                (extract(epoch FROM at) * 1000000)::bigint AS at_microseconds, account_id, action, subject,
                before, after, detail,
                CASE WHEN $1::boolean AND starts_with(actor, $2 || '_') THEN 'operator' ELSE actor END
                    AS shown_actor,
                CASE WHEN $1::boolean AND (actor = 'operator' OR starts_with(actor, $2 || '_')) THEN NULL
                    ELSE address END AS shown_address
            FROM audit_log
            WHERE ($3::text IS NULL OR account_id = $3)
                AND ($4::text IS NULL
                    OR $4 = CASE WHEN $1::boolean AND starts_with(actor, $2 || '_') THEN 'operator'
                        ELSE actor END)
                AND ($5::text IS NULL OR action = $5 OR starts_with(action, $5 || '.'))
                AND ($6::text IS NULL OR subject = $6)
                AND ($7::bigint IS NULL OR at >= to_timestamp($7))
                AND ($8::bigint IS NULL OR at < to_timestamp($8))
                AND ($9::bigint IS NULL
                    OR (at, id) < (timestamptz 'epoch' + $9 * interval '1 microsecond', $10::bigint))
            ORDER BY audit_log.at DESC, audit_log.id DESC LIMIT $11
            """, hidesOperators, OperatorKeyKind.prefix, account, filter.actor, filter.action,
            filter.subject, filter.from, filter.to, page.before?.microseconds, page.before?.id,
            page.limit + 1
        ).map { row in
            let place = AuditPage.Place(microseconds: try row["at_microseconds"], id: try row["id"])
            return (place: place, entry: try AuditEntry(row))
        }
        let shown = found.prefix(page.limit)
        return Listing(
            items: shown.map(\.entry),
            nextCursor: found.count > page.limit ? shown.last?.place.cursor : nil)
    }
}
