import Core
import Domain
import Postgres

/// A meter event that this process has taken to send.
public struct ClaimedMeterEvent: Sendable {
    public var event: MeterEvent
    public var before: MeterDelivery
    /// With the attempt that was begun: its number is also what tells this claim from a later one.
    public var delivery: MeterDelivery
}

/// A meter event as operators see it.
public struct MeterEventView: Sendable, Hashable {
    public var event: MeterEvent
    public var delivery: MeterDelivery
    public var problem: String?
}

/// How many meter events are in which state.
public struct MeterCounts: Sendable, Hashable {
    public var due = 0
    public var unclear = 0
    public var late = 0
}

/// Relays may tell an hour's usage days later; parts that come after are left out.
private let lastsAfterEnd_s: Int64 = RelayCapacity.oldest_s + 3600

extension Store {
    /// Opens and closes the times in which accounts are metered: while the plan has a meter and the bill is good. A
    /// time begins with the next whole hour and ends with the last one that was whole, which is the customer's gain.
    public func followMetering(now: WallTime, as lease: Lease) async throws(StoreError) {
        let hour = now.startOfHour
        let month = UTCMonth(containing: now).start
        try await transaction { tx in
            try tx.check(lease)
            var goOn: [String] = []
            for row in try tx.query(
                """
                UPDATE metered_periods SET until = to_timestamp($1)
                WHERE until IS NULL AND since < to_timestamp($1)
                RETURNING account_id || ' ' || plan_id AS what
                """, month)
            {
                goOn.append(try row["what"])
            }
            try tx.query(
                """
                UPDATE metered_periods d SET until = greatest(d.since, to_timestamp($1))
                WHERE d.until IS NULL AND NOT EXISTS (
                    SELECT 1 FROM accounts a
                    JOIN plans p ON p.id = a.plan_id
                    LEFT JOIN account_limits x ON x.account_id = a.id
                    JOIN stripe_customers c ON c.account_id = a.id AND c.id = d.customer_id
                        AND c.deleted_at IS NULL
                    WHERE a.id = d.account_id AND p.id = d.plan_id AND p.stripe_meter = d.event_name
                        AND nullif(coalesce(x.bytes_per_month, p.bytes_per_month), -1) IS NOT NULL
                        AND a.billing_state IN ('active', 'grace')
                )
                """, hour)
            // The row of a time that ended before it began is taken again.
            try tx.query(
                """
                INSERT INTO metered_periods AS d (account_id, since, plan_id, customer_id, event_name, included)
                SELECT a.id,
                    CASE WHEN a.id || ' ' || p.id = ANY ($3) THEN to_timestamp($2)
                        ELSE to_timestamp($1) + interval '1 hour' END,
                    p.id, c.id, p.stripe_meter, coalesce(x.bytes_per_month, p.bytes_per_month)
                FROM accounts a
                JOIN plans p ON p.id = a.plan_id
                LEFT JOIN account_limits x ON x.account_id = a.id
                JOIN LATERAL (
                    SELECT c.id FROM stripe_customers c
                    JOIN stripe_subscriptions s ON s.customer_id = c.id
                    WHERE c.account_id = a.id AND s.status IN ('trialing', 'active', 'past_due')
                    ORDER BY c.id LIMIT 1
                ) c ON true
                WHERE p.stripe_meter IS NOT NULL
                    AND nullif(coalesce(x.bytes_per_month, p.bytes_per_month), -1) IS NOT NULL
                    AND a.billing_state IN ('active', 'grace')
                    AND NOT EXISTS (
                        SELECT 1 FROM metered_periods o WHERE o.account_id = a.id AND o.until IS NULL)
                ON CONFLICT (account_id, since) DO UPDATE SET
                    until = NULL, plan_id = excluded.plan_id, customer_id = excluded.customer_id,
                    event_name = excluded.event_name, included = excluded.included
                    WHERE d.until = d.since
                """, hour, month, TextArray(goOn))
            try tx.query(
                """
                UPDATE metered_periods d SET included = coalesce(x.bytes_per_month, p.bytes_per_month)
                FROM accounts a
                JOIN plans p ON p.id = a.plan_id
                LEFT JOIN account_limits x ON x.account_id = a.id
                WHERE d.until IS NULL AND a.id = d.account_id
                    AND coalesce(x.bytes_per_month, p.bytes_per_month) > d.included
                """)
        }
    }

    /// Notes what is to be told of hours that ended `settle_s` ago or earlier. Returns how many events that were.
    @discardableResult
    public func noteOverage(
        now: WallTime, settle_s: Int64 = 900, as lease: Lease
    ) async throws(StoreError) -> Int {
        let periods = try await transaction { tx in
            try tx.query(
                """
                SELECT d.account_id, d.customer_id, d.event_name, d.included,
                    floor(extract(epoch FROM d.since))::bigint AS since,
                    floor(extract(epoch FROM d.until))::bigint AS until
                FROM metered_periods d
                JOIN usage_months m ON m.account_id = d.account_id
                    AND m.month = (d.since AT TIME ZONE 'UTC')::date
                        - (extract(day FROM d.since AT TIME ZONE 'UTC')::int - 1)
                WHERE (d.until IS NULL OR d.until > to_timestamp($1))
                    AND m.bytes_up + m.bytes_down > d.included
                ORDER BY d.account_id, d.since
                """, now + -lastsAfterEnd_s
            ).map { row in try MeteredPeriod(row) }
        }
        var count = 0
        for period in periods {
            let until = min(period.until ?? now, (now + -settle_s).startOfHour)
            guard until > period.since else { continue }
            count += try await transaction { tx in
                try tx.check(lease)
                return try tx.note(period, until: until, now: now)
            }
        }
        return count
    }

    /// Takes up to `limit` events that are due. That an attempt was begun is committed before it is made.
    public func claimMeterEvents(
        limit: Int, now: WallTime, as lease: Lease
    ) async throws(StoreError) -> [ClaimedMeterEvent] {
        try await transaction { tx in
            try tx.check(lease)
            var claims: [ClaimedMeterEvent] = []
            for row in try tx.query(
                """
                SELECT account_id, floor(extract(epoch FROM hour))::bigint AS hour, part, identifier, customer_id,
                    event_name, bytes, state, floor(extract(epoch FROM unclear_since))::bigint AS unclear_since,
                    attempts, floor(extract(epoch FROM next_try_at))::bigint AS next_try_at, problem
                FROM meter_events
                WHERE state = 'due' AND next_try_at <= to_timestamp($1)
                ORDER BY next_try_at, seq LIMIT $2
                FOR UPDATE SKIP LOCKED
                """, now, limit)
            {
                let view = try MeterEventView(row)
                var delivery = view.delivery
                let isBegun = delivery.begin(now: now)
                try tx.write(delivery, of: view.event, problem: view.problem)
                if isBegun {
                    claims.append(
                        ClaimedMeterEvent(event: view.event, before: view.delivery, delivery: delivery))
                }
            }
            return claims
        }
    }

    /// Notes what became of an attempt; what a later one has found counts more.
    public func finishMeterEvent(
        _ claim: ClaimedMeterEvent, _ answer: MeterAnswer
    ) async throws(StoreError) {
        try await transaction { tx in
            guard
                try tx.query(
                    """
                    SELECT 1 FROM meter_events WHERE identifier = $1 AND attempts = $2 AND state = 'due'
                    FOR UPDATE
                    """, claim.event.identifier, claim.delivery.attempts
                ).first != nil
            else { return }
            var delivery = claim.delivery
            delivery.end(answer, before: claim.before)
            try tx.write(delivery, of: claim.event, problem: answer.problem)
        }
    }

    public func meterCounts() async throws(StoreError) -> MeterCounts {
        try await transaction { tx in
            var counts = MeterCounts()
            for row in try tx.query(
                "SELECT state, count(*) AS n FROM meter_events WHERE state <> 'sent' GROUP BY state")
            {
                let state: String = try row["state"]
                switch MeterState(rawValue: state) {
                case .due: counts.due = try row["n"]
                case .unclear: counts.unclear = try row["n"]
                case .late: counts.late = try row["n"]
                case .sent, nil: break
                }
            }
            return counts
        }
    }

    /// The oldest first; nil is every state.
    public func meterEvents(
        _ page: Page, state: MeterState?
    ) async throws(StoreError) -> Listing<MeterEventView> {
        try await transaction { tx in
            let found = try tx.query(
                """
                SELECT seq, account_id, floor(extract(epoch FROM hour))::bigint AS hour, part, identifier,
                    customer_id, event_name, bytes, state,
                    floor(extract(epoch FROM unclear_since))::bigint AS unclear_since,
                    attempts, floor(extract(epoch FROM next_try_at))::bigint AS next_try_at, problem
                FROM meter_events
                WHERE seq > $1 AND ($2::text IS NULL OR state = $2)
                ORDER BY seq LIMIT $3
                """, page.after ?? 0, state?.rawValue, page.limit + 1
            ).map { row -> (place: Int, item: MeterEventView) in (try row["seq"], try MeterEventView(row)) }
            return Listing(found, page)
        }
    }
}

private struct MeteredPeriod: Sendable {
    let account: AccountID
    let customer: String
    let eventName: String
    let included: Int
    let since: WallTime
    let until: WallTime?

    init(_ row: Row) throws(PostgresError) {
        account = try row["account_id"]
        customer = try row["customer_id"]
        eventName = try row["event_name"]
        included = try row["included"]
        since = try row["since"]
        until = try row["until"]
    }
}

extension MeterEventView {
    fileprivate init(_ row: Row) throws(PostgresError) {
        let hour: WallTime = try row["hour"]
        guard let state = MeterState(rawValue: try row["state"]) else {
            throw .unexpectedValue("a meter event's state is unknown")
        }
        event = MeterEvent(
            account: try row["account_id"],
            part: MeterPart(hour: hour, number: try row["part"], bytes: try row["bytes"]),
            identifier: try row["identifier"], customer: try row["customer_id"],
            eventName: try row["event_name"])
        delivery = MeterDelivery(
            hour: hour, state: state, unclearSince: try row["unclear_since"], attempts: try row["attempts"],
            nextTry: try row["next_try_at"])
        problem = try row["problem"]
    }
}

extension MeterAnswer {
    fileprivate var problem: String? {
        switch self {
        case .recorded, .duplicate: nil
        case .refused(let reason), .unclear(let reason): reason
        }
    }
}

extension Transaction {
    fileprivate mutating func write(
        _ delivery: MeterDelivery, of event: MeterEvent, problem: String?
    ) throws(PostgresError) {
        try query(
            """
            UPDATE meter_events SET state = $2, unclear_since = to_timestamp($3), attempts = $4,
                next_try_at = to_timestamp($5), problem = $6
            WHERE identifier = $1
            """, event.identifier, delivery.state.rawValue, delivery.unclearSince, delivery.attempts,
            delivery.nextTry, problem)
    }

    /// Adds events for what of a time's hours before `until` is beyond its volume and was not told yet.
    fileprivate mutating func note(_ period: MeteredPeriod, until: WallTime, now: WallTime) throws -> Int {
        var earlier = 0
        var hours: [MeteredHour] = []
        for row in try query(
            """
            SELECT floor(extract(epoch FROM u.hour))::bigint AS hour,
                sum(u.bytes_up + u.bytes_down)::bigint AS bytes,
                coalesce((SELECT sum(e.bytes) FROM meter_events e
                    WHERE e.account_id = $1 AND e.hour = u.hour), 0)::bigint AS metered,
                coalesce((SELECT max(e.part) FROM meter_events e
                    WHERE e.account_id = $1 AND e.hour = u.hour), 0) AS parts
            FROM usage_hours u
            WHERE u.account_id = $1 AND u.hour >= to_timestamp($2) AND u.hour < to_timestamp($3)
            GROUP BY u.hour ORDER BY u.hour
            """, period.account, UTCMonth(containing: period.since).start, until)
        {
            let hour: WallTime = try row["hour"]
            let bytes: Int = try row["bytes"]
            if hour < period.since {
                earlier += bytes
            } else {
                hours.append(
                    MeteredHour(
                        hour: hour, bytes: bytes, metered: try row["metered"], parts: try row["parts"]))
            }
        }
        let parts = Overage.due(hours, earlier: earlier, included: period.included)
        for part in parts {
            try query(
                """
                INSERT INTO meter_events (
                    account_id, hour, part, identifier, customer_id, event_name, bytes, next_try_at)
                VALUES ($1, to_timestamp($2), $3, $4, $5, $6, $7, to_timestamp($8))
                """, period.account, part.hour, part.number, part.identifier(of: period.account),
                period.customer, period.eventName, part.bytes, now)
        }
        return parts.count
    }
}
