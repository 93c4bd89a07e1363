import Core
import Domain
import Postgres
import Wire

/// A plan with everything that is sold under its name.
public struct PlanView: Sendable, Hashable {
    /// What tunnels and their limits are decided by.
    public var plan: Plan
    public var name: String
    /// Place in lists, smallest first.
    public var position: Int
    /// nil is no quota.
    public var bytes_per_month: Int?
    /// Whether the customer's own domains may be attached.
    public var ownDomains: Bool
    /// Whether its tunnels are placed before others.
    public var priority: Bool
    /// How many people may belong to an account; nil is no limit.
    public var maxMembers: Int?
    /// The Stripe price that sells it.
    public var stripePrice: String?
    /// The event name of the Stripe meter that bills what goes beyond `bytes_per_month`; nil when that is not sold.
    public var stripeMeter: String?
    /// The Stripe price of what the meter counts, sold together with `stripePrice`.
    public var stripeMeterPrice: String?
    /// After so many days without an agent a tunnel is deleted; nil is never.
    public var unusedAfterDays: Int?
    /// What an account has instead of its rate once its volume is used up or its bill is late; nil is its usual rate.
    public var throttled_bytes_per_s: Int? { plan.throttled_bytes_per_s }

    init(_ row: Row) throws(PostgresError) {
        plan = Plan(
            id: try row["id"], maxTunnels: try row["max_tunnels"], limits: try Limits(row),
            chosenNames: try row["chosen_names"],
            throttled_bytes_per_s: try row["throttled_bytes_per_s"])
        name = try row["name"]
        position = try row["position"]
        bytes_per_month = try row["bytes_per_month"]
        ownDomains = try row["own_domains"]
        priority = try row["priority"]
        maxMembers = try row["max_members"]
        stripePrice = try row["stripe_price"]
        stripeMeter = try row["stripe_meter"]
        stripeMeterPrice = try row["stripe_meter_price"]
        unusedAfterDays = try row["unused_after_days"]
    }

    /// As it looks in answers and in the audit log; null is no limit.
    public var json: JSON {
        [
            "id": .string(plan.id), "name": .string(name), "position": .integer(Int64(position)),
            "max_tunnels": .limit(plan.maxTunnels), "players": .limit(plan.limits.players),
            "bytes_per_s": .limit(plan.limits.bytes_per_s), "bytes_per_month": .limit(bytes_per_month),
            "idle_timeout_s": .limit(plan.limits.idle_timeout_s), "chosen_names": .bool(plan.chosenNames),
            "own_domains": .bool(ownDomains), "priority": .bool(priority), "members": .limit(maxMembers),
            "stripe_price": stripePrice.map { .string($0) } ?? .null,
            "stripe_meter": stripeMeter.map { .string($0) } ?? .null,
            "stripe_meter_price": stripeMeterPrice.map { .string($0) } ?? .null,
            "throttled_bytes_per_s": .limit(throttled_bytes_per_s),
            "unused_after_days": .limit(unusedAfterDays),
        ]
    }
}

extension Store {
    public func plans() async throws(StoreError) -> [PlanView] {
        try await transaction { tx in
            try tx.query(
                """
                SELECT id, name, position, max_tunnels, max_players, bytes_per_s, bytes_per_month, idle_timeout_s,
                    chosen_names, own_domains, priority, max_members, stripe_price, throttled_bytes_per_s,
                    stripe_meter, stripe_meter_price, unused_after_days
                FROM plans ORDER BY position, id
                """
            ).map { try PlanView($0) }
        }
    }

    /// Changes a plan under its row's lock and enforces it on every account that has it, in one transaction: relays
    /// are told with the next revisions. `edit` runs again when the transaction does. nil when there is no such plan.
    public func changePlan(
        _ id: String, actor: Actor, _ edit: @Sendable (inout PlanView) -> Void
    ) async throws(StoreError) -> PlanView? {
        try await transaction { tx in
            guard
                let row = try tx.query(
                    """
                    SELECT id, name, position, max_tunnels, max_players, bytes_per_s, bytes_per_month,
                        idle_timeout_s, chosen_names, own_domains, priority, max_members, stripe_price,
                        throttled_bytes_per_s, stripe_meter, stripe_meter_price, unused_after_days
                    FROM plans WHERE id = $1 FOR NO KEY UPDATE
                    """, id
                ).first
            else { return nil }
            let before = try PlanView(row)
            var after = before
            edit(&after)
            after.plan.id = before.plan.id
            guard after != before else { return before }
            try tx.write(after)
            if before.plan.maxTunnels != after.plan.maxTunnels || before.plan.limits != after.plan.limits
                || before.throttled_bytes_per_s != after.throttled_bytes_per_s
                || before.ownDomains != after.ownDomains
            {
                try tx.enforce(tx.holdings(before: before, after: after), actor: actor)
            }
            if before.stripePrice != after.stripePrice || before.position != after.position {
                let prices = [before.stripePrice, after.stripePrice].compactMap { $0 }
                if !prices.isEmpty { try tx.redecideBuyers(of: prices) }
            }
            try tx.audit(
                "plan.update", actor: actor, account: nil, subject: id, before: before.json,
                after: after.json)
            return after
        }
    }
}

extension Transaction {
    fileprivate mutating func write(_ view: PlanView) throws {
        do {
            try query(
                """
                UPDATE plans SET
                    name = $2, position = $3, max_tunnels = $4, max_players = $5, bytes_per_s = $6,
                    bytes_per_month = $7, idle_timeout_s = $8, chosen_names = $9, own_domains = $10,
                    priority = $11, max_members = $12, stripe_price = $13, throttled_bytes_per_s = $14,
                    stripe_meter = $15, stripe_meter_price = $16, unused_after_days = $17
                WHERE id = $1
                """, view.plan.id, view.name, view.position, view.plan.maxTunnels, view.plan.limits.players,
                view.plan.limits.bytes_per_s, view.bytes_per_month, view.plan.limits.idle_timeout_s,
                view.plan.chosenNames, view.ownDomains, view.priority, view.maxMembers, view.stripePrice,
                view.throttled_bytes_per_s, view.stripeMeter, view.stripeMeterPrice, view.unusedAfterDays)
        } catch PostgresError.uniqueViolation(constraint: "plans_stripe_price_key") {
            throw StoreError.priceTaken
        }
    }

    /// What every account of a plan has, with its terms before and after the plan changed. The plan's row is locked:
    /// nobody joins it, leaves it, makes or deletes a tunnel under it meanwhile.
    fileprivate mutating func holdings(before: PlanView, after: PlanView) throws(PostgresError) -> [Holding] {
        var holdings: [Holding] = []
        for row in try query(
            """
            SELECT t.account_id, t.id, t.region_id, t.suspended_reason, a.served, a.throttled,
                EXISTS (SELECT 1 FROM domains d WHERE d.tunnel_id = t.id AND d.state = 'proven') AS has_domains,
                x.max_tunnels AS own_max_tunnels, x.max_players AS own_max_players,
                x.bytes_per_s AS own_bytes_per_s, x.idle_timeout_s AS own_idle_timeout_s,
                x.bytes_per_month AS own_bytes_per_month
            FROM accounts a
            JOIN tunnels t ON t.account_id = a.id
            LEFT JOIN account_limits x ON x.account_id = a.id
            WHERE a.plan_id = $1
            ORDER BY t.account_id, t.seq
            """, after.plan.id)
        {
            let account: AccountID = try row["account_id"]
            if holdings.last?.account != account {
                let exception = try AccountException(row)
                let isServed: Bool = try row["served"]
                let isThrottled: Bool = try row["throttled"]
                func terms(_ view: PlanView) -> Holding.Terms {
                    .init(
                        view.plan.with(exception, isThrottled: isThrottled), isServed: isServed,
                        ownDomains: view.ownDomains)
                }
                holdings.append(
                    Holding(account: account, before: terms(before), after: terms(after), tunnels: []))
            }
            holdings[holdings.count - 1].tunnels.append(try HeldTunnel(row))
        }
        return holdings
    }
}

extension JSON {
    /// null is no limit.
    static func limit(_ value: Int?) -> JSON { value.map { .integer(Int64($0)) } ?? .null }
}
