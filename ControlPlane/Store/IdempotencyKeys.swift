import Core
import Postgres

/// What is known about a request with an Idempotency-Key.
public enum IdempotencyState: Sendable, Hashable {
    /// New: this request does the work, then calls `finish` or `abandon`.
    case first
    case inFlight
    /// The key came with another request.
    case mismatch
    case done(status: Int, body: String)
    /// Done, but the reply held a secret: only the made thing's id is kept.
    case doneWithSecret(resource: String)
}

extension Store {
    /// A request that never finished is forgotten after this.
    private static let abandonedAfter_s = 60

    /// `scope` is who asks and for what (account and route), `fingerprint` a hash of the request's body.
    public func beginIdempotent(
        scope: String, key: String, fingerprint: [UInt8]
    ) async throws(StoreError) -> IdempotencyState {
        try await transaction { tx in
            let added = try tx.query(
                """
                INSERT INTO idempotency_keys (scope, key, fingerprint) VALUES ($1, $2, $3)
                ON CONFLICT (scope, key) DO UPDATE SET
                    fingerprint = excluded.fingerprint, status = NULL, body = NULL, resource_id = NULL,
                    created_at = now()
                WHERE idempotency_keys.created_at < now() - interval '24 hours'
                    OR idempotency_keys.status IS NULL
                        AND idempotency_keys.created_at < now() - make_interval(secs => $4)
                """, scope, key, fingerprint, Self.abandonedAfter_s)
            if added.affected == 1 { return .first }
            let row = try tx.row(
                """
                SELECT fingerprint, status, body, resource_id FROM idempotency_keys
                WHERE scope = $1 AND key = $2
                """, scope, key)
            guard try row["fingerprint"] == fingerprint else { return .mismatch }
            guard let status: Int = try row["status"] else { return .inFlight }
            if let resource: String = try row["resource_id"] { return .doneWithSecret(resource: resource) }
            return .done(status: status, body: try row["body"] ?? "")
        }
    }

    /// Keeps the reply: its body, or the id of what was made when the body holds a secret.
    public func finishIdempotent(
        scope: String, key: String, status: Int, body: String?, resource: String?
    ) async throws(StoreError) {
        try await transaction { tx in
            _ = try tx.query(
                """
                UPDATE idempotency_keys SET status = $3, body = $4, resource_id = $5
                WHERE scope = $1 AND key = $2
                """, scope, key, status, body, resource)
        }
    }

    /// Nothing was done: the key may be used again.
    public func abandonIdempotent(scope: String, key: String) async throws(StoreError) {
        try await transaction { tx in
            _ = try tx.query(
                "DELETE FROM idempotency_keys WHERE scope = $1 AND key = $2 AND status IS NULL", scope, key)
        }
    }
}
