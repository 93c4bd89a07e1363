import Core
import Domain
import Postgres

/// An API key without its secret.
public struct APIKeyView: Sendable, Hashable {
    public var id: APIKeyID
    public var name: String
    public var scopes: Set<Scope>
    public var createdAt: WallTime
    public var lastUsedAt: WallTime?

    init(_ row: Row) throws(PostgresError) {
        id = try row["id"]
        name = try row["name"]
        scopes = Scope.set(column: try row["scopes"])
        createdAt = try row["created_at"]
        lastUsedAt = try row["last_used_at"]
    }
}

extension Scope {
    /// From the column's words with spaces between; NULL is every scope.
    static func set(column: String?) -> Set<Scope> {
        guard let column else { return Scope.all }
        return Set(column.split(separator: " ").compactMap { Scope(rawValue: String($0)) })
    }

    /// In the order in which they are declared.
    public static func words(_ scopes: Set<Scope>) -> [String] {
        Scope.allCases.filter { scopes.contains($0) }.map(\.rawValue)
    }
}

extension Store {
    /// `scopes` are what the key may do; every scope is kept as such, so that it has later ones too.
    /// Throws `membership` when there are too many, or when `actor` may not make one any more.
    @discardableResult
    public func createAPIKey(
        _ id: APIKeyID, account: AccountID, name: String, scopes: Set<Scope> = Scope.all, hash: [UInt8],
        actor: Actor
    ) async throws(StoreError) -> APIKeyView {
        let words = Scope.words(scopes)
        return try await transaction { tx in
            let maker = try tx.keyMaker(actor, account: account, needing: scopes)
            let existing: Int = try tx.row(
                "SELECT count(*) AS n FROM api_keys WHERE account_id = $1 AND revoked_at IS NULL", account)[
                    "n"]
            guard existing < Membership.maxAPIKeys else {
                throw StoreError.membership(.tooManyKeys(Membership.maxAPIKeys))
            }
            let row = try tx.row(
                """
                INSERT INTO api_keys (id, account_id, name, hash, scopes, made_by)
                VALUES ($1, $2, $3, $4, $5, $6)
                RETURNING id, name, array_to_string(scopes, ' ') AS scopes,
                    floor(extract(epoch FROM created_at))::bigint AS created_at, NULL AS last_used_at
                """, id, account, name, hash, scopes == Scope.all ? nil : TextArray(words), maker)
            try tx.audit(
                "api_key.create", actor: actor, account: account, subject: id.text,
                after: ["name": .string(name), "scopes": .array(words.map { .string($0) })])
            return try APIKeyView(row)
        }
    }

    /// The keys that still work, oldest first.
    public func apiKeys(of account: AccountID, _ page: Page) async throws(StoreError) -> Listing<APIKeyView> {
        try await transaction { tx in
            let found = try tx.query(
                """
                SELECT seq, id, name, array_to_string(scopes, ' ') AS scopes,
                    floor(extract(epoch FROM created_at))::bigint AS created_at,
                    floor(extract(epoch FROM last_used_at))::bigint AS last_used_at
                FROM api_keys
                WHERE account_id = $1 AND revoked_at IS NULL AND seq > $2
                ORDER BY seq LIMIT $3
                """, account, page.after ?? 0, page.limit + 1
            ).map { row in (place: try row["seq"] as Int, item: try APIKeyView(row)) }
            return Listing(found, page)
        }
    }

    /// The key opens nothing from the next request on. False when the account has no such key.
    public func revokeAPIKey(
        _ id: APIKeyID, account: AccountID, actor: Actor
    ) async throws(StoreError) -> Bool {
        try await transaction { tx in
            let revoked = try tx.query(
                """
                UPDATE api_keys SET revoked_at = now()
                WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL
                RETURNING name, array_to_string(scopes, ' ') AS scopes
                """, id, account)
            guard let key = revoked.first else { return false }
            let words = Scope.words(Scope.set(column: try key["scopes"]))
            try tx.audit(
                "api_key.revoke", actor: actor, account: account, subject: id.text,
                before: ["name": .string(try key["name"]), "scopes": .array(words.map { .string($0) })])
            return true
        }
    }
}
