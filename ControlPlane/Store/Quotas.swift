import Core
import Domain
import Postgres

extension Transaction {
    /// By the database's clock, which all processes share.
    mutating func thisMonth() throws(PostgresError) -> UTCMonth {
        UTCMonth(containing: try row("SELECT floor(extract(epoch FROM now()))::bigint AS now")["now"])
    }

    /// Both ways together.
    mutating func bytesUsed(by account: AccountID, in month: UTCMonth) throws(PostgresError) -> Int {
        guard
            let row = try query(
                """
                SELECT bytes_up + bytes_down AS used FROM usage_months
                WHERE month = $2::date AND account_id = $1
                """, account, month.firstDay
            ).first
        else { return 0 }
        return try row["used"]
    }

    /// Which accounts have used up, or nearly, what they may move in a month and are not treated so, or are treated
    /// so and have not; `accounts` limits whom is looked at. Reads without a lock: `enforceQuota` decides.
    mutating func accountsBesideTheirQuota(
        among accounts: [AccountID]? = nil, in month: UTCMonth
    ) throws(PostgresError) -> [AccountID] {
        // Two statements, since what is best for a few accounts is not for all.
        let chosen = accounts == nil ? "" : "WHERE a.id = ANY ($2)"
        let sql = """
            SELECT known.id, known.included, known.is_sold_beyond, known.quota_throttled, known.used,
                known.warned_percent, known.warned_bytes
            FROM (
                SELECT a.id, a.quota_throttled,
                    CASE WHEN x.bytes_per_month = -1 THEN NULL
                        ELSE coalesce(x.bytes_per_month, p.bytes_per_month) END AS included,
                    p.stripe_meter IS NOT NULL AND a.billing_state IN ('active', 'grace') AS is_sold_beyond,
                    coalesce(m.bytes_up + m.bytes_down, 0) AS used, m.warned_percent, m.warned_bytes
                FROM accounts a
                JOIN plans p ON p.id = a.plan_id
                LEFT JOIN account_limits x ON x.account_id = a.id
                LEFT JOIN usage_months m ON m.month = $1::date AND m.account_id = a.id
                \(chosen)
            ) AS known
            WHERE known.quota_throttled OR known.used >= known.included - known.included / 5
            ORDER BY known.id
            """
        let rows =
            if let accounts { try query(sql, month.firstDay, TextArray(accounts)) } else {
                try query(sql, month.firstDay)
            }
        var found: [AccountID] = []
        for row in rows {
            let volume = MonthlyVolume(
                included: try row["included"], used: try row["used"],
                isSoldBeyond: try row["is_sold_beyond"])
            if volume.asksForMore(
                isThrottled: try row["quota_throttled"], told: try VolumeWarning(told: row))
            {
                found.append(try row["id"])
            }
        }
        return found
    }
}

extension Store {
    /// For the leader: whoever is to be looked at by `enforceQuota`, whatever it was that went unnoticed (a process
    /// that died after a report, a month that has begun, a plan that was changed). Without a month it is this one.
    public func accountsBesideTheirQuota(
        as lease: Lease, in month: UTCMonth? = nil
    ) async throws(StoreError) -> [AccountID] {
        try await transaction { tx in
            try tx.check(lease)
            return try tx.accountsBesideTheirQuota(in: month ?? tx.thisMonth())
        }
    }

    /// Slows an account down whose month's volume is used up, lets it go again when there is room, and tells its
    /// owners once of each level. Doing it again, or twice at once, does nothing more. Without a month it is this one.
    public func enforceQuota(of account: AccountID, in month: UTCMonth? = nil) async throws(StoreError) {
        try await transaction { tx in
            guard let terms = try tx.lockedTerms(of: account) else { return }
            let month = try month ?? tx.thisMonth()
            let volume = terms.volume(used: try tx.bytesUsed(by: account, in: month))
            try tx.changeTerms(of: account, "account.quota", actor: .system("usage")) {
                $0.isOverQuota = volume.isUsedUp
            }
            if let warning = volume.warning(after: try tx.volumeWarning(told: account, of: month)) {
                try tx.tell(terms, warning, volume, month)
            }
        }
    }
}

extension Transaction {
    /// What the owners were told of a month; nil when nothing.
    fileprivate mutating func volumeWarning(
        told account: AccountID, of month: UTCMonth
    ) throws(PostgresError) -> VolumeWarning? {
        try query(
            """
            SELECT warned_percent, warned_bytes FROM usage_months
            WHERE month = $2::date AND account_id = $1
            """, account, month.firstDay
        ).first.flatMap { row throws(PostgresError) in try VolumeWarning(told: row) }
    }

    /// Under the account's lock, so that nobody else tells the same.
    fileprivate mutating func tell(
        _ terms: AccountTerms, _ warning: VolumeWarning, _ volume: MonthlyVolume, _ month: UTCMonth
    ) throws(PostgresError) {
        try query(
            """
            UPDATE usage_months SET warned_percent = $3, warned_bytes = $4
            WHERE month = $2::date AND account_id = $1
            """, terms.account, month.firstDay, warning.level.rawValue, warning.included)
        for owner in try owners(of: terms.account) {
            try post(
                .volume(
                    warning, used: volume.used, month: month, plan: terms.plan.name,
                    slowed_bytes_per_s: terms.plan.throttled_bytes_per_s, account: terms.account, to: owner))
        }
    }
}

extension VolumeWarning {
    /// From `warned_percent` and `warned_bytes`, which are NULL where nothing was used; nil when nobody was told.
    fileprivate init?(told row: Row) throws(PostgresError) {
        guard let percent: Int = try row["warned_percent"], percent > 0 else { return nil }
        guard let level = MonthlyVolume.Level(rawValue: percent) else {
            throw .unexpectedValue("a month's warning is unknown")
        }
        self.init(level: level, included: try row["warned_bytes"])
    }
}
