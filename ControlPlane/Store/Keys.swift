import Core
import Crypto
import Domain
import Postgres

/// Who presents a key.
public enum KeyHolder: Sendable, Hashable {
    /// With whether the account's plan has priority.
    case agent(AgentKeyID, AccountID, Bool)
    case account(APIKeyID, AccountID, Set<Scope>)
    case relay(RelayKeyID)
    case `operator`(OperatorKeyID, OperatorRole)
}

/// An agent key without its secret.
public struct AgentKeyView: Sendable, Hashable {
    public var id: AgentKeyID
    public var name: String
    public var createdAt: WallTime
    public var lastUsedAt: WallTime?

    init(_ row: Row) throws(PostgresError) {
        id = try row["id"]
        name = try row["name"]
        createdAt = try row["created_at"]
        lastUsedAt = try row["last_used_at"]
    }
}

extension Store {
    /// nil for a key that was never given out or is revoked.
    public func keyHolder(_ key: TypedKey) async throws(StoreError) -> KeyHolder? {
        try await transaction(.none) { tx in
            switch key.prefix {
            case .agent:
                guard
                    let row = try tx.query(
                        """
                        SELECT k.id, k.account_id, p.priority,
                            k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute' AS is_news
                        FROM agent_keys k
                        JOIN accounts a ON a.id = k.account_id
                        JOIN plans p ON p.id = a.plan_id
                        WHERE k.hash = $1 AND k.revoked_at IS NULL
                        """, key.hash
                    ).first
                else { return nil }
                let id: AgentKeyID = try row["id"]
                if try row["is_news"] {
                    try tx.query("UPDATE agent_keys SET last_used_at = now() WHERE id = $1", id)
                }
                return .agent(id, try row["account_id"], try row["priority"])
            case .account:
                guard
                    let row = try tx.query(
                        """
                        SELECT id, account_id, array_to_string(scopes, ' ') AS scopes,
                            last_used_at IS NULL OR last_used_at < now() - interval '1 minute' AS is_news
                        FROM api_keys WHERE hash = $1 AND revoked_at IS NULL
                        """, key.hash
                    ).first
                else { return nil }
                let id: APIKeyID = try row["id"]
                if try row["is_news"] {
                    try tx.query("UPDATE api_keys SET last_used_at = now() WHERE id = $1", id)
                }
                return .account(id, try row["account_id"], Scope.set(column: try row["scopes"]))
            case .relay:
                return try tx.query(
                    "SELECT id FROM relay_keys WHERE hash = $1 AND revoked_at IS NULL", key.hash
                ).first.map { .relay(try $0["id"]) }
            case .operator:
                guard
                    let row = try tx.query(
                        """
                        SELECT id, role,
                            last_used_at IS NULL OR last_used_at < now() - interval '1 minute' AS is_news
                        FROM operator_keys WHERE hash = $1 AND revoked_at IS NULL
                        """, key.hash
                    ).first
                else { return nil }
                let id: OperatorKeyID = try row["id"]
                if try row["is_news"] {
                    try tx.query("UPDATE operator_keys SET last_used_at = now() WHERE id = $1", id)
                }
                return .operator(id, OperatorRole(rawValue: try row["role"]) ?? .readOnly)
            }
        }
    }

    /// Throws `membership` when there are too many, or when `actor` may not make one any more.
    public func createAgentKey(
        _ id: AgentKeyID, account: AccountID, name: String, hash: [UInt8], actor: Actor
    ) async throws(StoreError) -> AgentKeyView {
        try await transaction { tx in
            let maker = try tx.keyMaker(actor, account: account, needing: Scope.ofAgents)
            let existing: Int = try tx.row(
                "SELECT count(*) AS n FROM agent_keys WHERE account_id = $1 AND revoked_at IS NULL", account)[
                    "n"]
            guard existing < Membership.maxAgentKeys else {
                throw StoreError.membership(.tooManyKeys(Membership.maxAgentKeys))
            }
            let row = try tx.row(
                """
                INSERT INTO agent_keys (id, account_id, name, hash, made_by) VALUES ($1, $2, $3, $4, $5)
                RETURNING id, name, floor(extract(epoch FROM created_at))::bigint AS created_at,
                    NULL AS last_used_at
                """, id, account, name, hash, maker)
            try tx.audit(
                "agent_key.create", actor: actor, account: account, subject: id.text,
                after: ["name": .string(name)])
            return try AgentKeyView(row)
        }
    }

    /// The keys that still work, oldest first.
    public func agentKeys(of account: AccountID, _ page: Page) async throws(StoreError) -> Listing<
        AgentKeyView
    > {
        try await transaction { tx in
            let found = try tx.query(
                """
                SELECT seq, id, name, floor(extract(epoch FROM created_at))::bigint AS created_at,
                    floor(extract(epoch FROM last_used_at))::bigint AS last_used_at
                FROM agent_keys
                WHERE account_id = $1 AND revoked_at IS NULL AND seq > $2
                ORDER BY seq LIMIT $3
                """, account, page.after ?? 0, page.limit + 1
            ).map { row in (place: try row["seq"] as Int, item: try AgentKeyView(row)) }
            return Listing(found, page)
        }
    }

    /// Ends a key, every placement that was made with it, and the players who play on through it though another
    /// key has the tunnel by now; relays are told with the next revision. False when the account has no such key.
    public func revokeAgentKey(
        _ id: AgentKeyID, account: AccountID, actor: Actor
    ) async throws(StoreError) -> Bool {
        try await transaction { tx in
            try tx.revokeAgentKeys([id], account: account, actor: actor)
        }
    }

    public func createRelayKey(
        _ id: RelayKeyID, name: String, hash: [UInt8], actor: Actor
    ) async throws(StoreError) {
        try await transaction { tx in
            try tx.query("INSERT INTO relay_keys (id, name, hash) VALUES ($1, $2, $3)", id, name, hash)
            try tx.audit(
                "relay_key.create", actor: actor, account: nil, subject: id.text,
                after: ["name": .string(name)])
        }
    }
}
