import Core
import Domain
import Postgres
import Wire

/// An account's plan and state, and what follows from both.
public struct AccountTerms: Sendable, Hashable {
    public var account: AccountID
    public var plan: PlanView
    public var state: AccountState

    /// What counts.
    public var effective: Plan { plan.plan.with(state.exception, isThrottled: state.isThrottled) }
    /// nil is no quota.
    public var bytes_per_month: Int? { state.exception.bytes_per_month.over(plan.bytes_per_month) }

    /// The month's volume with so many bytes used.
    func volume(used: Int) -> MonthlyVolume {
        MonthlyVolume(
            included: bytes_per_month, used: used,
            isSoldBeyond: plan.stripeMeter != nil && state.billing.sellsVolume)
    }

    /// From `plans` joined with `accounts` and `account_limits` (its columns begin with `own_`).
    init(_ account: AccountID, _ row: Row) throws(PostgresError) {
        self.account = account
        plan = try PlanView(row)
        guard let billing = BillingState(rawValue: try row["billing_state"]) else {
            throw .unexpectedValue("an account's billing state is unknown")
        }
        state = AccountState(
            plan: plan.plan.id, exception: try AccountException(row), billing: billing,
            isOverQuota: try row["quota_throttled"], isSuspended: try row["suspended"])
    }
}

/// What an account has and may have.
public struct AccountView: Sendable, Hashable {
    public var terms: AccountTerms
    /// What its members call it.
    public var name: String?
    public var members: Int
    public var tunnels: Int
    /// How many of them are suspended, for whatever reason.
    public var suspendedTunnels: Int
    /// Moved since the month began, both ways together.
    public var bytesThisMonth: Int
}

extension Store {
    /// nil when there is no such account.
    public func account(_ id: AccountID) async throws(StoreError) -> AccountView? {
        try await transaction { tx in
            guard
                let row = try tx.query(
                    """
                    SELECT plans.id, plans.name, plans.position, plans.max_tunnels, plans.max_players,
                        plans.bytes_per_s, plans.bytes_per_month, plans.idle_timeout_s, plans.chosen_names,
                        plans.own_domains, plans.priority, plans.max_members, plans.stripe_price,
                        plans.throttled_bytes_per_s, plans.stripe_meter, plans.stripe_meter_price,
                        plans.unused_after_days, a.billing_state,
                        a.quota_throttled,
                        x.max_tunnels AS own_max_tunnels, x.max_players AS own_max_players,
                        x.bytes_per_s AS own_bytes_per_s, x.idle_timeout_s AS own_idle_timeout_s,
                        x.bytes_per_month AS own_bytes_per_month,
                        a.suspended_at IS NOT NULL AS suspended, a.name AS own_name,
                        (SELECT count(*) FROM members m WHERE m.account_id = a.id) AS members,
                        (SELECT count(*) FROM tunnels t WHERE t.account_id = a.id) AS tunnels,
                        (SELECT count(*) FROM tunnels t WHERE t.account_id = a.id AND t.state = 'suspended')
                            AS suspended_tunnels
                    FROM accounts a
                    JOIN plans ON plans.id = a.plan_id
                    LEFT JOIN account_limits x ON x.account_id = a.id
                    WHERE a.id = $1 AND a.deleted_at IS NULL
                    """, id
                ).first
            else { return nil }
            let terms = try AccountTerms(id, row)
            let tunnels: Int = try row["tunnels"]
            return AccountView(
                terms: terms, name: try row["own_name"], members: try row["members"], tunnels: tunnels,
                suspendedTunnels: terms.state.isServed ? try row["suspended_tunnels"] : tunnels,
                bytesThisMonth: try tx.bytesUsed(by: id, in: tx.thisMonth()))
        }
    }

    /// Replaces the account's exception and enforces it; `.none` takes it away. nil when there is no such account.
    public func setException(
        _ exception: AccountException, account: AccountID, actor: Actor
    ) async throws(StoreError) -> AccountTerms? {
        try await transaction { tx in
            try tx.changeTerms(of: account, "account.limits", actor: actor) { $0.exception = exception }
        }
    }

    /// Moves the account to another plan and enforces it; its exception stays. nil when there is no such account.
    public func setPlan(
        _ plan: String, account: AccountID, actor: Actor
    ) async throws(StoreError) -> AccountTerms? {
        try await transaction { tx in
            try tx.changeTerms(of: account, "account.plan", actor: actor) { $0.plan = plan }
        }
    }

    /// An operator's suspension, whatever the bill says; relays are told. nil when there is no such account.
    public func setSuspended(
        _ isSuspended: Bool, account: AccountID, actor: Actor
    ) async throws(StoreError) -> AccountTerms? {
        try await transaction { tx in
            let action = isSuspended ? "account.suspend" : "account.resume"
            return try tx.changeTerms(of: account, action, actor: actor) { $0.isSuspended = isSuspended }
        }
    }
}

extension Transaction {
    /// Changes what an account's terms follow from, under its lock, and enforces it: surplus tunnels, what the
    /// relays are told, and the audit row, whose `before` and `after` hold what changed. Does nothing when nothing
    /// changes. nil when there is no such account; throws `unknownPlan`.
    @discardableResult
    mutating func changeTerms(
        of account: AccountID, _ action: String, actor: Actor, _ edit: (inout AccountState) -> Void
    ) throws -> AccountTerms? {
        guard let before = try lockedTerms(of: account) else { return nil }
        var state = before.state
        edit(&state)
        guard state != before.state else { return before }
        var after = before
        if state.plan != before.state.plan {
            guard let onPlan = try lockedTerms(of: account, on: state.plan) else {
                throw StoreError.unknownPlan(state.plan)
            }
            after = onPlan
        }
        after.state = state
        if state.isOverQuota == before.state.isOverQuota {
            // Other terms may include more or less than is used already.
            state.isOverQuota = after.volume(used: try bytesUsed(by: account, in: thisMonth())).isUsedUp
            after.state = state
        }
        if state.exception != before.state.exception { try write(state.exception, of: account) }
        try query(
            """
            UPDATE accounts SET plan_id = $2, billing_state = $3, quota_throttled = $4,
                suspended_at = CASE WHEN $5 THEN coalesce(suspended_at, now()) END
            WHERE id = $1
            """, account, state.plan, state.billing.rawValue, state.isOverQuota, state.isSuspended)
        try enforce([holding(before, after)], actor: actor)
        let (old, new) = before.state.difference(to: state)
        try audit(action, actor: actor, account: account, subject: account.text, before: old, after: new)
        return after
    }

    private mutating func write(_ exception: AccountException, of account: AccountID) throws(PostgresError) {
        if exception == .none {
            try query("DELETE FROM account_limits WHERE account_id = $1", account)
            return
        }
        try query(
            """
            INSERT INTO account_limits (
                account_id, max_tunnels, max_players, bytes_per_s, idle_timeout_s, bytes_per_month)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (account_id) DO UPDATE SET
                max_tunnels = excluded.max_tunnels, max_players = excluded.max_players,
                bytes_per_s = excluded.bytes_per_s, idle_timeout_s = excluded.idle_timeout_s,
                bytes_per_month = excluded.bytes_per_month, changed_at = now()
            """, account, exception.maxTunnels.column, exception.players.column,
            exception.bytes_per_s.column, exception.idle_timeout_s.column,
            exception.bytes_per_month.column)
    }
}

extension AccountState {
    /// The members that are not the same in `other`, here and there.
    fileprivate func difference(to other: AccountState) -> (JSON, JSON) {
        var before = JSONObject()
        var after = JSONObject()
        func note(_ name: String, _ old: JSON, _ new: JSON) {
            guard old != new else { return }
            before[name] = old
            after[name] = new
        }
        note("plan", .string(plan), .string(other.plan))
        note("limits", exception.json, other.exception.json)
        note("billing", .string(billing.rawValue), .string(other.billing.rawValue))
        note("over_quota", .bool(isOverQuota), .bool(other.isOverQuota))
        note("suspended", .bool(isSuspended), .bool(other.isSuspended))
        return (.object(before), .object(after))
    }
}

extension Transaction {
    /// The account's terms, with its row locked, so that two requests cannot both take the last place, and its plan
    /// held as it is. Lock accounts before plans, plans before tunnels, tunnels before regions. nil when there is
    /// no such account.
    mutating func lockedTerms(of account: AccountID) throws(PostgresError) -> AccountTerms? {
        guard
            let row = try query(
                "SELECT plan_id FROM accounts WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE", account
            ).first
        else { return nil }
        return try lockedTerms(of: account, on: row["plan_id"])
    }

    /// The terms that an account, locked already, has or would have on a plan; nil when there is no such plan.
    fileprivate mutating func lockedTerms(
        of account: AccountID, on plan: String
    ) throws(PostgresError) -> AccountTerms? {
        guard
            let row = try query(
                """
                SELECT plans.id, plans.name, plans.position, plans.max_tunnels, plans.max_players,
                    plans.bytes_per_s, plans.bytes_per_month, plans.idle_timeout_s, plans.chosen_names,
                    plans.own_domains, plans.priority, plans.max_members, plans.stripe_price,
                    plans.throttled_bytes_per_s, plans.stripe_meter, plans.stripe_meter_price,
                    plans.unused_after_days, a.billing_state,
                    a.quota_throttled,
                    x.max_tunnels AS own_max_tunnels, x.max_players AS own_max_players,
                    x.bytes_per_s AS own_bytes_per_s, x.idle_timeout_s AS own_idle_timeout_s,
                    x.bytes_per_month AS own_bytes_per_month,
                    a.suspended_at IS NOT NULL AS suspended
                FROM accounts a
                JOIN plans ON plans.id = $2
                LEFT JOIN account_limits x ON x.account_id = a.id
                WHERE a.id = $1
                FOR SHARE OF plans
                """, account, plan
            ).first
        else { return nil }
        return try AccountTerms(account, row)
    }

    /// The account's tunnels between two terms.
    mutating func holding(_ before: AccountTerms, _ after: AccountTerms) throws(PostgresError) -> Holding {
        var holding = Holding(
            account: after.account, before: .init(before), after: .init(after), tunnels: [])
        for row in try query(
            """
            SELECT t.id, t.region_id, t.suspended_reason,
                EXISTS (SELECT 1 FROM domains d WHERE d.tunnel_id = t.id AND d.state = 'proven') AS has_domains
            FROM tunnels t WHERE t.account_id = $1 ORDER BY t.seq
            """, after.account)
        {
            holding.tunnels.append(try HeldTunnel(row))
        }
        return holding
    }
}

extension Holding.Terms {
    init(_ terms: AccountTerms) {
        self.init(
            terms.effective, isServed: terms.state.isServed, ownDomains: terms.plan.ownDomains)
    }
}

extension AccountException {
    /// From the columns of `account_limits`, each with `own_` before its name.
    init(_ row: Row) throws(PostgresError) {
        self.init(
            maxTunnels: Override(column: try row["own_max_tunnels"]),
            players: Override(column: try row["own_max_players"]),
            bytes_per_s: Override(column: try row["own_bytes_per_s"]),
            idle_timeout_s: Override(column: try row["own_idle_timeout_s"]),
            bytes_per_month: Override(column: try row["own_bytes_per_month"]))
    }

    /// As it looks in answers and in the audit log: null is no limit, a number that is missing is the plan's.
    public var json: JSON {
        var object = JSONObject()
        for (name, override) in [
            ("max_tunnels", maxTunnels), ("players", players), ("bytes_per_s", bytes_per_s),
            ("bytes_per_month", bytes_per_month), ("idle_timeout_s", idle_timeout_s),
        ] {
            switch override {
            case .plan: continue
            case .unlimited: object[name] = .null
            case .limit(let value): object[name] = .integer(Int64(value))
            }
        }
        return .object(object)
    }
}

/// In Postgres NULL is no exception and -1 is no limit.
extension Override {
    private static let unlimitedColumn = -1

    init(column: Int?) {
        self =
            switch column {
            case nil: .plan
            case Self.unlimitedColumn?: .unlimited
            case let value?: .limit(value)
            }
    }

    var column: Int? {
        switch self {
        case .plan: nil
        case .unlimited: Self.unlimitedColumn
        case .limit(let value): value
        }
    }
}

extension Limits {
    /// What counts, from the columns of `plans` and of `account_limits` (`own_`).
    init(effective row: Row) throws(PostgresError) {
        let own = AccountException(
            players: Override(column: try row["own_max_players"]),
            bytes_per_s: Override(column: try row["own_bytes_per_s"]),
            idle_timeout_s: Override(column: try row["own_idle_timeout_s"]))
        self = own.over(try Limits(row))
        if try row["throttled"] { self = throttled(bytes_per_s: try row["throttled_bytes_per_s"]) }
    }
}
