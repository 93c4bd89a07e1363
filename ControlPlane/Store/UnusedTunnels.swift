import Core
import Domain
import Postgres

extension Store {
    /// For the leader: notes that agents which have a link have it still, so that a tunnel whose relay vanishes does
    /// not look unused since its link began. At most `limit` tunnels; how many it were.
    public func noteLinkedTunnels(limit: Int, as lease: Lease) async throws(StoreError) -> Int {
        try await transaction { tx in
            try tx.check(lease)
            return try tx.query(
                """
                UPDATE tunnels t SET last_linked_at = now()
                FROM (
                    SELECT t.id FROM tunnels t JOIN placements p ON p.tunnel_id = t.id
                    WHERE (p.linked_at IS NOT NULL OR p.standby_linked_at IS NOT NULL)
                        AND (t.last_linked_at IS NULL OR t.last_linked_at < now() - interval '1 day')
                    ORDER BY t.id LIMIT $1
                    FOR NO KEY UPDATE OF t SKIP LOCKED
                ) AS due
                WHERE t.id = due.id
                """, limit
            ).affected
        }
    }

    /// For the leader: accounts with tunnels that nobody uses and about which something is to be done. Reads without
    /// a lock: `expireTunnels` decides.
    public func accountsWithUnusedTunnels(
        after account: AccountID?, limit: Int, as lease: Lease
    ) async throws(StoreError) -> [AccountID] {
        try await transaction { tx in
            try tx.check(lease)
            return try tx.query(
                """
                SELECT DISTINCT t.account_id
                FROM tunnels t
                JOIN accounts a ON a.id = t.account_id
                JOIN plans ON plans.id = a.plan_id
                LEFT JOIN placements p ON p.tunnel_id = t.id
                CROSS JOIN LATERAL (
                    SELECT greatest(t.created_at, t.last_linked_at, p.awaited_since) AS used_at) AS last
                WHERE t.account_id > $1 AND p.linked_at IS NULL AND p.standby_linked_at IS NULL
                    AND used_at <= now() - make_interval(days => plans.unused_after_days)
                        + make_interval(secs => $3)
                    AND (t.expiry_told_at IS NULL OR t.expiry_told_at <= used_at
                        OR (t.expiry_told_at <= now() - make_interval(secs => $3)
                            AND used_at <= now() - make_interval(days => plans.unused_after_days)))
                    AND NOT EXISTS (
                        SELECT 1 FROM domains d WHERE d.tunnel_id = t.id AND (d.state = 'proven'
                            OR d.proven_at > now() - make_interval(days => plans.unused_after_days)))
                ORDER BY t.account_id LIMIT $2
                """, account?.text ?? "", limit, Int(UnusedTunnel.notice_s)
            ).map { try $0["account_id"] }
        }
    }

    /// Tells the account's owners of tunnels that will go, and deletes those whose time has come: their names are
    /// free and relays forget them with the next revision. Doing it again, or twice at once, does nothing more. What
    /// was deleted.
    public func expireTunnels(of account: AccountID, as lease: Lease) async throws(StoreError) -> [TunnelID] {
        try await transaction { tx in
            try tx.check(lease)
            guard let terms = try tx.lockedTerms(of: account), let days = terms.plan.unusedAfterDays
            else { return [] }
            var deleted: [TunnelID] = []
            for (tunnel, now) in try tx.lockedUnusedTunnels(of: account, after: days) {
                switch tunnel.use.step(after: days, now: now) {
                case .tell(let time):
                    try tx.tell(terms, of: tunnel, now: now, goesAt: time)
                case .delete:
                    guard try tx.remove(tunnel.id, terms, "tunnel.expire", actor: .system("expiry")) else {
                        continue
                    }
                    for owner in try tx.owners(of: account) {
                        try tx.post(
                            .tunnelExpired(to: owner, hostname: tunnel.hostname, plan: terms.plan.name))
                    }
                    deleted.append(tunnel.id)
                case nil: continue
                }
            }
            return deleted
        }
    }
}

/// A tunnel and when it was used.
private struct IdleTunnel {
    var id: TunnelID
    var hostname: String
    var use: UnusedTunnel
}

extension Transaction {
    /// Of one transaction; the next turn sees the rest.
    private static let maxUnusedAtOnce = 20

    /// The account's tunnels, longest unused first, held against agents that come, and the time. The caller holds the
    /// account's lock.
    fileprivate mutating func lockedUnusedTunnels(
        of account: AccountID, after days: Int
    ) throws -> [(IdleTunnel, now: WallTime)] {
        // Read by a statement of its own: placements that came while this one waited count.
        try query("SELECT 1 FROM tunnels WHERE account_id = $1 ORDER BY seq FOR UPDATE", account)
        return try query(
            """
            SELECT t.id, t.hostname, floor(extract(epoch FROM now()))::bigint AS now,
                floor(extract(epoch FROM greatest(t.created_at, t.last_linked_at, p.awaited_since)))::bigint
                    AS used_at,
                floor(extract(epoch FROM t.expiry_told_at))::bigint AS told_at,
                p.linked_at IS NOT NULL OR p.standby_linked_at IS NOT NULL OR EXISTS (
                    SELECT 1 FROM domains d WHERE d.tunnel_id = t.id AND (d.state = 'proven'
                        OR d.proven_at > now() - make_interval(days => $2))) AS kept
            FROM tunnels t
            LEFT JOIN placements p ON p.tunnel_id = t.id
            WHERE t.account_id = $1
            ORDER BY used_at, t.seq LIMIT $3
            """, account, days, Self.maxUnusedAtOnce
        ).map { row in
            (
                IdleTunnel(
                    id: try row["id"], hostname: try row["hostname"],
                    use: UnusedTunnel(
                        usedAt: try row["used_at"], toldAt: try row["told_at"], isKept: try row["kept"])),
                now: try row["now"]
            )
        }
    }

    fileprivate mutating func tell(
        _ terms: AccountTerms, of tunnel: IdleTunnel, now: WallTime, goesAt time: WallTime
    ) throws(PostgresError) {
        try query("UPDATE tunnels SET expiry_told_at = now() WHERE id = $1", tunnel.id)
        for owner in try owners(of: terms.account) {
            try post(
                .tunnelWillExpire(
                    to: owner, hostname: tunnel.hostname,
                    unused_days: Int((now.seconds - tunnel.use.usedAt.seconds) / 86_400), at: time,
                    plan: terms.plan.name))
        }
    }
}
