import Core
import Domain
import Postgres

/// Everything that is kept of an account, for its owner to take along. No secret is in it.
public struct AccountExport: Sendable {
    /// The rows of each section, by its name; `account` has one.
    public var sections: [(name: String, rows: [JSON])]
    /// Sections that had more rows: the newest ones are there.
    public var cut: [String]
}

extension Store {
    public static let maxExportedRows = 10_000

    /// As of one moment. nil when there is no such account.
    public func export(_ account: AccountID) async throws(StoreError) -> AccountExport? {
        try await transaction(.repeatableRead) { tx in
            var export = AccountExport(sections: [], cut: [])
            for section in Self.exported {
                var rows: [JSON] = []
                for row in try tx.query(section.sql, account, Self.maxExportedRows + 1) {
                    rows.append(try row["json"])
                }
                if section.name == "account", rows.isEmpty { return nil }
                if rows.count > Self.maxExportedRows {
                    export.cut.append(section.name)
                    rows = Array(rows.prefix(Self.maxExportedRows))
                }
                export.sections.append((section.name, rows))
            }
            return export
        }
    }

    /// Each takes the account and how many rows at most.
    private static let exported: [(name: String, sql: String)] = [
        (
            "account",
            """
            SELECT row_to_json(x) AS json FROM (
                SELECT id, name, plan_id AS plan, billing_state, suspended_at, created_at FROM accounts
                WHERE id = $1 AND deleted_at IS NULL LIMIT $2) AS x
            """
        ),
        (
            "members",
            """
            SELECT row_to_json(x) AS json FROM (
                SELECT u.id, u.email, u.verified_at, m.role, m.created_at AS member_since
                FROM members m JOIN users u ON u.id = m.user_id
                WHERE m.account_id = $1 ORDER BY m.created_at, u.id LIMIT $2) AS x
            """
        ),
        (
            "invitations",
            """
            SELECT row_to_json(x) AS json FROM (
                SELECT id, email, role, made_by, mails, mailed_at, expires_at, created_at FROM invitations
                WHERE account_id = $1 ORDER BY seq DESC LIMIT $2) AS x
            """
        ),
        (
            "limits",
            """
            SELECT row_to_json(x) AS json FROM (
                SELECT max_tunnels, max_players, bytes_per_s, idle_timeout_s, changed_at FROM account_limits
                WHERE account_id = $1 LIMIT $2) AS x
            """
        ),
        (
            "sign_ins",
            """
            SELECT row_to_json(x) AS json FROM (
                SELECT id, user_id, address, user_agent, created_at, last_used_at, expires_at FROM sessions
                WHERE account_id = $1 ORDER BY seq DESC LIMIT $2) AS x
            """
        ),
        (
            "api_keys",
            """
            SELECT row_to_json(x) AS json FROM (
                SELECT id, name, scopes, created_at, last_used_at, revoked_at FROM api_keys
                WHERE account_id = $1 ORDER BY seq DESC LIMIT $2) AS x
            """
        ),
        (
            "agent_keys",
            """
            SELECT row_to_json(x) AS json FROM (
                SELECT id, name, created_at, last_used_at, revoked_at FROM agent_keys
                WHERE account_id = $1 ORDER BY seq DESC LIMIT $2) AS x
            """
        ),
        (
            "tunnels",
            """
            SELECT row_to_json(x) AS json FROM (
                SELECT id, region_id AS region, label AS name, hostname, state, suspended_reason, created_at
                FROM tunnels WHERE account_id = $1 ORDER BY seq DESC LIMIT $2) AS x
            """
        ),
        (
            "domains",
            """
            SELECT row_to_json(x) AS json FROM (
                SELECT id, hostname, tunnel_id, state, created_at, proven_at, checked_at FROM domains
                WHERE account_id = $1 ORDER BY seq DESC LIMIT $2) AS x
            """
        ),
        (
            "former_tunnels",
            """
            SELECT row_to_json(x) AS json FROM (
                SELECT id, hostname, deleted_at FROM former_tunnels
                WHERE account_id = $1 ORDER BY deleted_at DESC, id LIMIT $2) AS x
            """
        ),
        (
            "usage_months",
            """
            SELECT row_to_json(x) AS json FROM (
                SELECT month, bytes_up, bytes_down, player_s FROM usage_months
                WHERE account_id = $1 ORDER BY month DESC LIMIT $2) AS x
            """
        ),
        (
            "usage_hours",
            """
            SELECT row_to_json(x) AS json FROM (
                SELECT hour, tunnel_id, bytes_up, bytes_down, player_s FROM usage_hours
                WHERE account_id = $1 ORDER BY hour DESC, tunnel_id LIMIT $2) AS x
            """
        ),
        (
            "audit_log",
            """
            SELECT row_to_json(x) AS json FROM (
                SELECT at, actor, address, action, subject, before, after, detail FROM audit_log
                WHERE account_id = $1 ORDER BY id DESC LIMIT $2) AS x
            """
        ),
    ]
}
