import Core
import Crypto
import Domain
import Postgres

/// Events of one customer, or a single one, that a worker has for itself until its lease ends.
public struct StripeBatch: Sendable {
    public struct Event: Sendable {
        public var id: String
        public var payload: JSON
        /// How often it was tried, this time included.
        public var attempts: Int
        public var strikes: Int
    }

    public var lease: String
    public var customer: String?
    /// Taken for the customer with the claim; nil without one.
    public var ticket: StripeTicket?
    public var events: [Event]
}

/// The right to write what Stripe says of a customer from now on, unless somebody asks later.
public struct StripeTicket: Sendable {
    public var number: Int
    /// The customer's subscriptions that were live when they were last read.
    public var known: [String]
    public var isDeleted: Bool
}

extension Store {
    private static let maxBatch = 20

    /// Takes the event that is due longest, and with it others of its customer, for `lease_s` seconds; nil when none
    /// is due. What a worker does not finish in that time, because it was killed, the next one takes.
    public func claimStripeEvents(lease_s: Int) async throws(StoreError) -> StripeBatch? {
        try await transaction { tx in
            guard
                let first = try tx.query(
                    """
                    SELECT id, customer_id, attempts FROM stripe_events
                    WHERE state = 'pending' AND due_at <= now()
                    ORDER BY due_at, seq LIMIT 1
                    FOR UPDATE SKIP LOCKED
                    """
                ).first
            else { return nil }
            var ids: [String] = [try first["id"]]
            let customer: String? = try first["customer_id"]
            // What was tried before is tried alone, so that it does not hold up others.
            if let customer, try first["attempts"] == 0 {
                for row in try tx.query(
                    """
                    SELECT id FROM stripe_events
                    WHERE customer_id = $1 AND id <> $2 AND state = 'pending' AND due_at <= now() AND attempts = 0
                    ORDER BY seq LIMIT $3
                    FOR UPDATE SKIP LOCKED
                    """, customer, ids[0], Self.maxBatch - 1)
                {
                    ids.append(try row["id"])
                }
            }
            let lease = Hex.encode(SecureRandom.bytes(8))
            let events = try tx.query(
                """
                UPDATE stripe_events SET lease = $2, due_at = now() + make_interval(secs => $3),
                    attempts = attempts + 1
                WHERE id = ANY ($1) RETURNING id, payload, attempts, strikes
                """, TextArray(ids), lease, lease_s
            ).map { row in
                StripeBatch.Event(
                    id: try row["id"], payload: try row["payload"], attempts: try row["attempts"],
                    strikes: try row["strikes"])
            }
            let ticket = try customer.map { try tx.stripeTicket($0) }
            return StripeBatch(lease: lease, customer: customer, ticket: ticket, events: events)
        }
    }

    /// Keeps a batch for `lease_s` more seconds, if it is still ours.
    public func renew(_ batch: StripeBatch, lease_s: Int) async throws(StoreError) {
        try await transaction { tx in
            _ = try tx.query(
                """
                UPDATE stripe_events SET due_at = now() + make_interval(secs => $3)
                WHERE id = ANY ($1) AND lease = $2 AND state = 'pending'
                """, TextArray(batch.events.map(\.id)), batch.lease, lease_s)
        }
    }

    public func stripeTicket(_ customer: String) async throws(StoreError) -> StripeTicket {
        try await transaction { tx in try tx.stripeTicket(customer) }
    }

    /// Puts a batch back, to be tried again after `after_s`; `strike` counts against its events, and `fails` keeps
    /// them for people to look at.
    public func postpone(
        _ batch: StripeBatch, after_s: Int, problem: String?, strike: Bool, fails: Bool
    ) async throws(StoreError) {
        try await transaction { tx in
            _ = try tx.query(
                """
                UPDATE stripe_events SET lease = NULL, due_at = now() + make_interval(secs => $3),
                    problem = coalesce($4, problem), strikes = strikes + CASE WHEN $5 THEN 1 ELSE 0 END,
                    state = CASE WHEN $6 THEN 'failed' ELSE state END,
                    settled_at = CASE WHEN $6 THEN now() END
                WHERE id = ANY ($1) AND lease = $2 AND state = 'pending'
                """, TextArray(batch.events.map(\.id)), batch.lease, after_s, problem, strike, fails)
        }
    }

    /// How many events wait and how many failed.
    public func stripeBacklog() async throws(StoreError) -> (pending: Int, failed: Int) {
        try await transaction { tx in
            let row = try tx.row(
                """
                SELECT count(*) FILTER (WHERE state = 'pending') AS pending,
                    count(*) FILTER (WHERE state = 'failed') AS failed
                FROM stripe_events WHERE state IN ('pending', 'failed')
                """)
            return (try row["pending"], try row["failed"])
        }
    }
}

extension Transaction {
    /// Numbers only grow, and each is in the database before Stripe is asked under it.
    fileprivate mutating func stripeTicket(_ customer: String) throws(PostgresError) -> StripeTicket {
        let row = try row(
            """
            INSERT INTO stripe_customers (id, tickets) VALUES ($1, 1)
            ON CONFLICT (id) DO UPDATE SET tickets = stripe_customers.tickets + 1
            RETURNING tickets, deleted_at IS NOT NULL AS deleted
            """, customer)
        var ticket = StripeTicket(number: try row["tickets"], known: [], isDeleted: try row["deleted"])
        for row in try query(
            """
            SELECT id FROM stripe_subscriptions
            WHERE customer_id = $1 AND status NOT IN ('canceled', 'incomplete_expired')
            """, customer)
        {
            ticket.known.append(try row["id"])
        }
        return ticket
    }
}
