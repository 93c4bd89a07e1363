import Core
import Crypto
import Domain
import Postgres

/// The channel on which commits tell that there are events to work on.
public enum StripeEventsChannel {
    public static let name = "stripe_events"
}

/// An event as it goes into the database.
public struct NewStripeEvent: Sendable {
    public var id: String
    public var type: String
    /// Whom it is about, as far as the event itself says so.
    public var customer: String?
    public var payload: JSON
    /// Whether there is anything to do about it.
    public var matters: Bool

    public init(id: String, type: String, customer: String?, payload: JSON, matters: Bool) {
        self.id = id
        self.type = type
        self.customer = customer
        self.payload = payload
        self.matters = matters
    }
}

/// How an event came here.
public enum StripeEventSource: String, Sendable {
    case webhook
    case catchUp = "catch-up"
}

public enum StripeEventState: String, Sendable, CaseIterable {
    /// It waits to be worked on, for the first time or once more.
    case pending
    case done
    /// Nothing is to be done about it.
    case ignored
    /// It was given up, and waits for people.
    case failed
}

/// An event as operators see it.
public struct StripeEventView: Sendable {
    public var id: String
    public var type: String
    public var customer: String?
    public var state: StripeEventState
    public var attempts: Int
    /// Why it was not done the last time.
    public var problem: String?
    public var receivedAt: WallTime

    init(_ row: Row) throws(PostgresError) {
        guard let state = StripeEventState(rawValue: try row["state"]) else {
            throw .unexpectedValue("an event's state is unknown")
        }
        self.state = state
        id = try row["id"]
        type = try row["type"]
        customer = try row["customer_id"]
        attempts = try row["attempts"]
        problem = try row["problem"]
        receivedAt = try row["received_at"]
    }
}

extension Store {
    /// Stores events, each once however often it comes, and wakes the workers. How many were new.
    @discardableResult
    public func keep(_ events: [NewStripeEvent], from source: StripeEventSource) async throws(StoreError)
        -> Int
    {
        try await transaction { tx in
            var added = 0
            for event in events {
                added += try tx.query(
                    """
                    INSERT INTO stripe_events (id, type, customer_id, payload, source, state, settled_at)
                    VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $6 = 'ignored' THEN now() END)
                    ON CONFLICT (id) DO NOTHING
                    """, event.id, event.type, event.customer, event.payload, source.rawValue,
                    event.matters ? "pending" : "ignored"
                ).affected
            }
            if added > 0, events.contains(where: { $0.matters }) { try tx.wakeStripeWorkers() }
            return added
        }
    }

    /// Newest first; nil is every state.
    public func stripeEvents(
        _ page: Page, state: StripeEventState?
    ) async throws(StoreError) -> Listing<StripeEventView> {
        try await transaction { tx in
            let found = try tx.query(
                """
                SELECT id, type, customer_id, state, attempts, problem, seq,
                    floor(extract(epoch FROM received_at))::bigint AS received_at
                FROM stripe_events
                WHERE ($1::text IS NULL OR state = $1) AND ($2::bigint IS NULL OR seq < $2)
                ORDER BY seq DESC LIMIT $3
                """, state?.rawValue, page.after, page.limit + 1
            ).map { row in (place: try row["seq"] as Int, item: try StripeEventView(row)) }
            return Listing(found, page)
        }
    }

    /// Has a failed event worked on again; one in another state stays as it is. nil when there is no such event.
    public func retryStripeEvent(_ id: String, actor: Actor) async throws(StoreError) -> StripeEventView? {
        try await transaction { tx in
            let retried = try tx.query(
                """
                UPDATE stripe_events SET state = 'pending', strikes = 0, due_at = now(), lease = NULL,
                    settled_at = NULL
                WHERE id = $1 AND state = 'failed'
                """, id)
            if retried.affected == 1 {
                try tx.audit("stripe.retry", actor: actor, account: nil, subject: id)
                try tx.wakeStripeWorkers()
            }
            return try tx.query(
                """
                SELECT id, type, customer_id, state, attempts, problem,
                    floor(extract(epoch FROM received_at))::bigint AS received_at
                FROM stripe_events WHERE id = $1
                """, id
            ).first.map { try StripeEventView($0) }
        }
    }
}

extension Transaction {
    mutating func wakeStripeWorkers() throws(PostgresError) {
        try query("SELECT pg_notify($1, '')", StripeEventsChannel.name)
    }
}
