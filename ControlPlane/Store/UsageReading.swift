import Core
import Domain
import Postgres

/// What passed within a span: through all tunnels of an account, or through one.
public struct UsageView: Sendable, Hashable {
    public struct Tunnel: Sendable, Hashable {
        public var id: TunnelID
        public var hostname: String
        /// It was deleted meanwhile: its name may be somebody else's now.
        public var isDeleted: Bool
    }

    public var span: UsageSpan
    public var tunnel: Tunnel?
    /// From players to home servers.
    public var bytes_up: Int
    /// From home servers to players.
    public var bytes_down: Int
    /// Of everybody who was logged in, summed.
    public var player_s: Int

    fileprivate init(_ span: UsageSpan, _ tunnel: Tunnel?, _ row: Row) throws(PostgresError) {
        self.span = span
        self.tunnel = tunnel
        bytes_up = try row["bytes_up"]
        bytes_down = try row["bytes_down"]
        player_s = try row["player_s"]
    }
}

extension Store {
    /// An account's usage, of tunnels that are gone too. Hours, days and months in order, tunnels the oldest first;
    /// those without usage are left out. nil when there is no such account.
    public func usage(
        of account: AccountID, in span: UsageSpan, by grouping: UsageGrouping, _ page: Page
    ) async throws(StoreError) -> Listing<UsageView>? {
        try await transaction { tx in
            guard try tx.query("SELECT 1 FROM accounts WHERE id = $1", account).first != nil else {
                return nil
            }
            return switch grouping {
            case .hour, .day, .month: try tx.usage(of: account, nil, in: span, by: grouping, page)
            case .tunnel: try tx.usageByTunnel(of: account, in: span, page)
            case .total: try tx.usageInAll(of: account, nil, in: span)
            }
        }
    }

    /// A tunnel's usage, which may be gone; nil when the account never had such a tunnel.
    public func usage(
        of tunnel: TunnelID, account: AccountID, in span: UsageSpan, by grouping: UsageGrouping.OfOne,
        _ page: Page
    ) async throws(StoreError) -> Listing<UsageView>? {
        try await transaction { tx in
            guard
                let row = try tx.query(
                    """
                    SELECT id, hostname, false AS is_deleted FROM tunnels WHERE id = $1 AND account_id = $2
                    UNION ALL
                    SELECT id, hostname, true FROM former_tunnels WHERE id = $1 AND account_id = $2
                    LIMIT 1
                    """, tunnel, account
                ).first
            else { return nil }
            let known = try UsageView.Tunnel(row)
            return switch grouping {
            case .hour, .day, .month: try tx.usage(of: account, known, in: span, by: grouping.grouping, page)
            case .total: try tx.usageInAll(of: account, known, in: span)
            }
        }
    }
}

extension UsageView.Tunnel {
    fileprivate init(_ row: Row) throws(PostgresError) {
        self.init(
            id: try row["id"], hostname: try row["hostname"], isDeleted: try row["is_deleted"])
    }
}

extension Transaction {
    /// A page's place is the beginning of its last hour, day or month.
    fileprivate mutating func usage(
        of account: AccountID, _ tunnel: UsageView.Tunnel?, in span: UsageSpan, by grouping: UsageGrouping,
        _ page: Page
    ) throws(PostgresError) -> Listing<UsageView> {
        let from =
            page.after.map { span.part(grouping, from: min(WallTime(seconds: Int64($0)), span.to)).to }
            ?? span.from
        var found: [(place: Int, item: UsageView)] = []
        for row in try query(
            """
            SELECT floor(extract(epoch FROM date_trunc($5, hour, 'UTC')))::bigint AS start,
                sum(bytes_up)::bigint AS bytes_up, sum(bytes_down)::bigint AS bytes_down,
                sum(player_s)::bigint AS player_s
            FROM usage_hours
            WHERE account_id = $1 AND ($2::text IS NULL OR tunnel_id = $2)
                AND hour >= to_timestamp($3) AND hour < to_timestamp($4)
            GROUP BY start ORDER BY start LIMIT $6
            """, account, tunnel?.id, from, span.to, grouping.rawValue, page.limit + 1)
        {
            let start: WallTime = try row["start"]
            let part = span.part(grouping, from: start)
            found.append((place: Int(start.seconds), item: try UsageView(part, tunnel, row)))
        }
        return Listing(found, page)
    }

    /// A page's place is its last tunnel's in the order of creation.
    fileprivate mutating func usageByTunnel(
        of account: AccountID, in span: UsageSpan, _ page: Page
    ) throws(PostgresError) -> Listing<UsageView> {
        var found: [(place: Int, item: UsageView)] = []
        for row in try query(
            """
            SELECT known.seq, known.id, known.hostname, known.is_deleted, sum(u.bytes_up)::bigint AS bytes_up,
                sum(u.bytes_down)::bigint AS bytes_down, sum(u.player_s)::bigint AS player_s
            FROM usage_hours u
            JOIN (
                SELECT seq, id, hostname, false AS is_deleted FROM tunnels WHERE account_id = $1
                UNION ALL
                SELECT seq, id, hostname, true FROM former_tunnels WHERE account_id = $1
            ) AS known ON known.id = u.tunnel_id
            WHERE u.account_id = $1 AND u.hour >= to_timestamp($2) AND u.hour < to_timestamp($3)
                AND known.seq > $4
            GROUP BY known.seq, known.id, known.hostname, known.is_deleted
            ORDER BY known.seq LIMIT $5
            """, account, span.from, span.to, page.after ?? 0, page.limit + 1)
        {
            let tunnel = try UsageView.Tunnel(row)
            found.append((place: try row["seq"], item: try UsageView(span, tunnel, row)))
        }
        return Listing(found, page)
    }

    /// One row, of zeros when nothing passed.
    fileprivate mutating func usageInAll(
        of account: AccountID, _ tunnel: UsageView.Tunnel?, in span: UsageSpan
    ) throws(PostgresError) -> Listing<UsageView> {
        let row = try row(
            """
            SELECT coalesce(sum(bytes_up), 0)::bigint AS bytes_up,
                coalesce(sum(bytes_down), 0)::bigint AS bytes_down,
                coalesce(sum(player_s), 0)::bigint AS player_s
            FROM usage_hours
            WHERE account_id = $1 AND ($2::text IS NULL OR tunnel_id = $2)
                AND hour >= to_timestamp($3) AND hour < to_timestamp($4)
            """, account, tunnel?.id, span.from, span.to)
        return Listing(items: [try UsageView(span, tunnel, row)], nextCursor: nil)
    }
}
