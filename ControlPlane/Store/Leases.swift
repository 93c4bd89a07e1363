import Core
import Postgres

/// The right to act as leader, for as long as the database's clock allows.
public struct Lease: Sendable, Hashable {
    /// The one that orders what relays are told.
    public static let leader = "leader"

    public var name: String
    public var holder: String
    /// Grows with each takeover: the fencing token.
    public var epoch: Int
}

extension Store {
    /// Takes the lease when it is free or expired, keeps it when it is held already; nil when another holder has it.
    /// A holder that let it expire takes it over from itself, under a new epoch.
    public func holdLease(_ name: String, holder: String, length_s: Int) async throws(StoreError) -> Lease? {
        try await transaction { tx in
            try tx.query(
                """
                INSERT INTO leases (name, holder, epoch, expires_at)
                VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
                ON CONFLICT (name) DO UPDATE SET
                    epoch = leases.epoch + CASE
                        WHEN leases.holder = excluded.holder AND leases.expires_at > clock_timestamp() THEN 0
                        ELSE 1 END,
                    holder = excluded.holder,
                    expires_at = clock_timestamp() + make_interval(secs => $3)
                WHERE leases.holder = excluded.holder OR leases.expires_at <= clock_timestamp()
                RETURNING epoch
                """, name, holder, length_s
            ).first.map { Lease(name: name, holder: holder, epoch: try $0["epoch"]) }
        }
    }

    /// Lets go, so that another process need not wait for the end of the lease.
    public func releaseLease(_ lease: Lease) async throws(StoreError) {
        try await transaction { tx in
            _ = try tx.query(
                """
                UPDATE leases SET expires_at = clock_timestamp()
                WHERE name = $1 AND holder = $2 AND epoch = $3 AND expires_at > clock_timestamp()
                """, lease.name, lease.holder, lease.epoch)
        }
    }
}

extension Transaction {
    /// Throws unless the lease is held now; nobody takes it over before this transaction ends.
    mutating func check(_ lease: Lease) throws {
        let held = try query(
            """
            SELECT 1 FROM leases
            WHERE name = $1 AND holder = $2 AND epoch = $3 AND expires_at > clock_timestamp()
            FOR SHARE
            """, lease.name, lease.holder, lease.epoch)
        guard held.first != nil else { throw StoreError.leaseLost }
    }
}
