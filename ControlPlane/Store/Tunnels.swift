import Core
import Crypto
import Domain
import Postgres
import Wire

/// A tunnel as its owner and operators see it.
public struct TunnelView: Sendable, Hashable {
    public var id: TunnelID
    public var account: AccountID
    public var region: String
    public var label: String
    public var hostname: String
    public var state: TunnelState
    /// `surplus`, `operator`, `account` or `bill` while it is suspended.
    public var suspendedReason: String?
    public var createdAt: WallTime
    /// nil while it was never placed.
    public var generation: Int?
    public var owner: String?
    public var standby: String?

    init(_ row: Row) throws(PostgresError) {
        id = try row["id"]
        account = try row["account_id"]
        region = try row["region_id"]
        label = try row["label"]
        hostname = try row["hostname"]
        suspendedReason = try row["suspended_reason"]
        createdAt = try row["created_at"]
        generation = try row["generation"]
        owner = try row["owner_relay_id"]
        standby = try row["standby_relay_id"]
        state = .derived(
            isSuspended: try row["suspended"], isPlaced: owner != nil, isLinked: try row["linked"],
            awaited_s: try row["awaited_seconds"])
    }
}

extension Store {
    /// Of a million names, so many taken ones in a row mean that something is wrong.
    private static let nameAttempts = 20

    /// Makes a tunnel; without a label one is made up. Within the plan's limits, counted under the account's lock.
    public func createTunnel(
        account: AccountID, region: String, label: String?, baseDomain: String, actor: Actor
    ) async throws(StoreError) -> TunnelView {
        try await transaction { tx in
            guard let terms = try tx.lockedTerms(of: account) else {
                throw PostgresError.unexpectedValue("the account is gone")
            }
            if !terms.state.isServed { throw StoreError.suspended }
            let existing: Int = try tx.row(
                "SELECT count(*) AS n FROM tunnels WHERE account_id = $1", account)["n"]
            let chosen: Label?
            do {
                chosen = try label.map { text throws(Label.Problem) in try Label(text) }
                try terms.effective.admit(existing: existing, nameIsChosen: label != nil)
            } catch let problem as Label.Problem {
                throw StoreError.invalidLabel(problem)
            } catch let refusal as Plan.Refusal {
                throw StoreError.plan(refusal)
            }
            let id = TunnelID.random()
            let rev = try tx.nextRevision(of: region)
            var attempts = chosen == nil ? Self.nameAttempts : 1
            while true {
                let text = chosen?.text ?? NameGenerator.name(SecureRandom.below)
                let added = try tx.query(
                    """
                    INSERT INTO tunnels (id, account_id, region_id, label, hostname) VALUES ($1, $2, $3, $4, $5)
                    ON CONFLICT DO NOTHING
                    """, id, account, region, text, "\(text).\(region).\(baseDomain)".lowercased())
                if added.affected == 1 { break }
                attempts -= 1
                guard attempts > 0 else { throw StoreError.labelTaken(text) }
            }
            try tx.announce(region, rev, upserts: [id])
            let made = try TunnelView(
                try tx.row(
                    """
                    SELECT t.id, t.account_id, t.region_id, t.label, t.hostname, false AS suspended, NULL AS suspended_reason,
                        floor(extract(epoch FROM t.created_at))::bigint AS created_at, NULL AS generation,
                        NULL AS owner_relay_id, NULL AS standby_relay_id, false AS linked, NULL AS awaited_seconds
                    FROM tunnels t WHERE t.id = $1
                    """, id))
            try tx.audit(
                "tunnel.create", actor: actor, account: account, subject: id.text,
                after: ["hostname": .string(made.hostname), "region": .string(region)])
            return made
        }
    }

    /// nil when the account has no such tunnel.
    public func tunnel(_ id: TunnelID, account: AccountID) async throws(StoreError) -> TunnelView? {
        try await transaction(.none) { tx in
            try tx.query(
                """
                SELECT t.id, t.account_id, t.region_id, t.label, t.hostname,
                    t.state = 'suspended' OR NOT a.served AS suspended,
                    CASE WHEN a.suspended_at IS NOT NULL THEN 'account' WHEN NOT a.served THEN 'bill'
                        ELSE t.suspended_reason END
                        AS suspended_reason,
                    floor(extract(epoch FROM t.created_at))::bigint AS created_at, p.generation,
                    p.owner_relay_id, p.standby_relay_id,
                    p.linked_at IS NOT NULL OR p.standby_linked_at IS NOT NULL AS linked,
                    floor(extract(epoch FROM now() - p.awaited_since))::bigint AS awaited_seconds
                FROM tunnels t
                JOIN accounts a ON a.id = t.account_id
                LEFT JOIN placements p ON p.tunnel_id = t.id
                WHERE t.id = $1 AND t.account_id = $2
                """, id, account
            ).first.map { try TunnelView($0) }
        }
    }

    /// The account's tunnels, oldest first.
    public func tunnels(of account: AccountID, _ page: Page) async throws(StoreError) -> Listing<TunnelView> {
        try await transaction(.none) { tx in
            let found = try tx.query(
                """
                SELECT t.seq, t.id, t.account_id, t.region_id, t.label, t.hostname,
                    t.state = 'suspended' OR NOT a.served AS suspended,
                    CASE WHEN a.suspended_at IS NOT NULL THEN 'account' WHEN NOT a.served THEN 'bill'
                        ELSE t.suspended_reason END
                        AS suspended_reason,
                    floor(extract(epoch FROM t.created_at))::bigint AS created_at, p.generation,
                    p.owner_relay_id, p.standby_relay_id,
                    p.linked_at IS NOT NULL OR p.standby_linked_at IS NOT NULL AS linked,
                    floor(extract(epoch FROM now() - p.awaited_since))::bigint AS awaited_seconds
                FROM tunnels t
                JOIN accounts a ON a.id = t.account_id
                LEFT JOIN placements p ON p.tunnel_id = t.id
                WHERE t.account_id = $1 AND t.seq > $2
                ORDER BY t.seq LIMIT $3
                """, account, page.after ?? 0, page.limit + 1
            ).map { row in (place: try row["seq"] as Int, item: try TunnelView(row)) }
            return Listing(found, page)
        }
    }

    /// Everybody's tunnels, oldest first; with a hostname, its own or the customer's proven one, only that one.
    public func allTunnels(_ page: Page, hostname: String? = nil) async throws(StoreError) -> Listing<
        TunnelView
    > {
        try await transaction(.none) { tx in
            let found = try tx.query(
                """
                SELECT t.seq, t.id, t.account_id, t.region_id, t.label, t.hostname,
                    t.state = 'suspended' OR NOT a.served AS suspended,
                    CASE WHEN a.suspended_at IS NOT NULL THEN 'account' WHEN NOT a.served THEN 'bill'
                        ELSE t.suspended_reason END
                        AS suspended_reason,
                    floor(extract(epoch FROM t.created_at))::bigint AS created_at, p.generation,
                    p.owner_relay_id, p.standby_relay_id,
                    p.linked_at IS NOT NULL OR p.standby_linked_at IS NOT NULL AS linked,
                    floor(extract(epoch FROM now() - p.awaited_since))::bigint AS awaited_seconds
                FROM tunnels t
                JOIN accounts a ON a.id = t.account_id
                LEFT JOIN placements p ON p.tunnel_id = t.id
                WHERE t.seq > $1 AND ($3::text IS NULL OR t.hostname = lower($3)
                    OR t.id = (SELECT d.tunnel_id FROM domains d WHERE d.hostname = lower($3) AND d.state = 'proven'))
                ORDER BY t.seq LIMIT $2
                """, page.after ?? 0, page.limit + 1, hostname
            ).map { row in (place: try row["seq"] as Int, item: try TunnelView(row)) }
            return Listing(found, page)
        }
    }

    /// False when the account has no such tunnel. Its name is free from now on, and its place is for the oldest
    /// tunnel that was surplus.
    public func deleteTunnel(_ id: TunnelID, account: AccountID, actor: Actor) async throws(StoreError)
        -> Bool
    {
        try await transaction { tx in
            guard let terms = try tx.lockedTerms(of: account) else { return false }
            return try tx.remove(id, terms, "tunnel.delete", actor: actor)
        }
    }
}

extension Transaction {
    /// Deletes a tunnel of an account whose terms are locked and tells its region; false when there is none.
    mutating func remove(
        _ id: TunnelID, _ terms: AccountTerms, _ action: String, actor: Actor
    ) throws -> Bool {
        guard
            let row = try query(
                """
                SELECT id, seq, region_id, hostname, suspended_reason, false AS has_domains
                FROM tunnels
                WHERE id = $1 AND account_id = $2 FOR UPDATE
                """, id, terms.account
            ).first
        else { return false }
        let hostname: String = try row["hostname"]
        let seq: Int = try row["seq"]
        let deleted = try HeldTunnel(row)
        try query(
            """
            INSERT INTO former_tunnels (id, account_id, seq, hostname) VALUES ($1, $2, $3, $4)
            ON CONFLICT DO NOTHING
            """, id, terms.account, seq, hostname)
        try query("DELETE FROM tunnels WHERE id = $1", id)
        try enforce([holding(terms, terms)], deleted: deleted, actor: actor)
        try audit(
            action, actor: actor, account: terms.account, subject: id.text,
            before: ["hostname": .string(hostname), "region": .string(deleted.region)])
        return true
    }
}
