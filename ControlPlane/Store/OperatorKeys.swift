import Core
import Domain
import Postgres

/// An operator's key without its secret.
public struct OperatorKeyView: Sendable, Hashable {
    public var id: OperatorKeyID
    public var name: String
    public var role: OperatorRole
    public var createdAt: WallTime
    public var lastUsedAt: WallTime?

    init(_ row: Row) throws(PostgresError) {
        id = try row["id"]
        name = try row["name"]
        role = OperatorRole(rawValue: try row["role"]) ?? .readOnly
        createdAt = try row["created_at"]
        lastUsedAt = try row["last_used_at"]
    }
}

extension Store {
    @discardableResult
    public func createOperatorKey(
        _ id: OperatorKeyID, name: String, role: OperatorRole = .operator, hash: [UInt8], actor: Actor
    ) async throws(StoreError) -> OperatorKeyView {
        try await transaction { tx in
            let row = try tx.row(
                """
                INSERT INTO operator_keys (id, name, role, hash) VALUES ($1, $2, $3, $4)
                RETURNING id, name, role, floor(extract(epoch FROM created_at))::bigint AS created_at,
                    NULL AS last_used_at
                """, id, name, role.rawValue, hash)
            try tx.audit(
                "operator_key.create", actor: actor, account: nil, subject: id.text,
                after: ["name": .string(name), "role": .string(role.rawValue)])
            return try OperatorKeyView(row)
        }
    }

    /// The keys that still work, oldest first, at most 1000.
    public func operatorKeys() async throws(StoreError) -> [OperatorKeyView] {
        try await transaction { tx in
            try tx.query(
                """
                SELECT id, name, role, floor(extract(epoch FROM created_at))::bigint AS created_at,
                    floor(extract(epoch FROM last_used_at))::bigint AS last_used_at
                FROM operator_keys WHERE revoked_at IS NULL
                ORDER BY operator_keys.created_at, id LIMIT 1000
                """
            ).map { try OperatorKeyView($0) }
        }
    }

    /// The key opens nothing from the next request on. False when there is no such key.
    public func revokeOperatorKey(_ id: OperatorKeyID, actor: Actor) async throws(StoreError) -> Bool {
        try await transaction { tx in
            let revoked = try tx.query(
                """
                UPDATE operator_keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL
                RETURNING name, role
                """, id)
            guard let key = revoked.first else { return false }
            try tx.audit(
                "operator_key.revoke", actor: actor, account: nil, subject: id.text,
                before: ["name": .string(try key["name"]), "role": .string(try key["role"])])
            return true
        }
    }
}
