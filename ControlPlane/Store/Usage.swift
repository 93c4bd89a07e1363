import Core
import Domain
import Postgres
import Wire

extension Store {
    /// Adds a relay's report to the hours and months of the accounts whose tunnels it tells of, and notes its id in
    /// the same transaction: a report that comes again adds nothing. Tunnels that never were are passed over.
    /// Answers whose month's volume asks for `enforceQuota` now, which is a transaction of its own: it locks accounts.
    ///
    /// Rows are locked hours first, then months, each in the order of accounts, so that reports of many relays at
    /// once wait for each other and never in a circle.
    @discardableResult
    public func addUsage(_ report: UsageReport, now: WallTime) async throws(StoreError) -> [AccountID] {
        let age_s = now.seconds - report.from.seconds
        let isPlausible = age_s <= RelayCapacity.oldest_s && age_s >= -RelayCapacity.newest_s
        let hour = min(isPlausible ? report.from : now, now).startOfHour
        do {
            return try await addUsage(report, hour: hour)
        } catch .database(.foreignKeyViolation) {
            // An account was deleted between two statements: now it is not found any more.
            return try await addUsage(report, hour: hour)
        }
    }

    private func addUsage(_ report: UsageReport, hour: WallTime) async throws(StoreError) -> [AccountID] {
        try await transaction { tx in
            let noted = try tx.query(
                "INSERT INTO usage_reports (relay_id, report_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                report.relay, report.id)
            guard noted.affected == 1 else { return [] }
            let binds = UsageColumns(report.rows)
            try tx.query(
                """
                INSERT INTO usage_hours AS held (account_id, hour, tunnel_id, bytes_up, bytes_down, player_s)
                SELECT known.account_id, to_timestamp($5), told.tunnel_id, sum(told.bytes_up),
                    sum(told.bytes_down), sum(told.player_s)
                FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
                    AS told (tunnel_id, bytes_up, bytes_down, player_s)
                JOIN (
                    SELECT id, account_id FROM tunnels WHERE id = ANY ($1)
                    UNION
                    SELECT id, account_id FROM former_tunnels WHERE id = ANY ($1)
                ) AS known ON known.id = told.tunnel_id
                GROUP BY known.account_id, told.tunnel_id
                ORDER BY known.account_id, told.tunnel_id
                ON CONFLICT (account_id, hour, tunnel_id) DO UPDATE SET
                    bytes_up = held.bytes_up + excluded.bytes_up,
                    bytes_down = held.bytes_down + excluded.bytes_down,
                    player_s = held.player_s + excluded.player_s
                """, binds.tunnels, binds.bytes_up, binds.bytes_down, binds.player_s, hour)
            let touched: [AccountID] = try tx.query(
                """
                INSERT INTO usage_months AS held (month, account_id, bytes_up, bytes_down, player_s)
                SELECT $5::date, known.account_id, sum(told.bytes_up), sum(told.bytes_down), sum(told.player_s)
                FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
                    AS told (tunnel_id, bytes_up, bytes_down, player_s)
                JOIN (
                    SELECT id, account_id FROM tunnels WHERE id = ANY ($1)
                    UNION
                    SELECT id, account_id FROM former_tunnels WHERE id = ANY ($1)
                ) AS known ON known.id = told.tunnel_id
                GROUP BY known.account_id
                ORDER BY known.account_id
                ON CONFLICT (month, account_id) DO UPDATE SET
                    bytes_up = held.bytes_up + excluded.bytes_up,
                    bytes_down = held.bytes_down + excluded.bytes_down,
                    player_s = held.player_s + excluded.player_s
                RETURNING account_id
                """, binds.tunnels, binds.bytes_up, binds.bytes_down, binds.player_s,
                UTCMonth(containing: hour).firstDay
            ).map { try $0["account_id"] }
            guard !touched.isEmpty else { return [] }
            return try tx.accountsBesideTheirQuota(among: touched, in: tx.thisMonth())
        }
    }
}

/// A report's rows as one array a column.
private struct UsageColumns {
    let tunnels: TextArray
    let bytes_up: TextArray
    let bytes_down: TextArray
    let player_s: TextArray

    init(_ rows: [UsageReport.Row]) {
        tunnels = TextArray(rows.map(\.tunnel))
        bytes_up = TextArray(rows.map { String($0.bytes_up) })
        bytes_down = TextArray(rows.map { String($0.bytes_down) })
        player_s = TextArray(rows.map { String($0.player_s) })
    }
}
