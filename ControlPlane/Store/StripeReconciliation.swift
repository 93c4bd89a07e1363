import Core
import Domain
import Postgres

/// What the reconciler does, each with its own clock.
public enum StripeReconciliation: String, Sendable {
    /// Events that Stripe could not deliver.
    case events
    /// Every subscription.
    case subscriptions
}

/// How far a reconciliation has come.
public struct ReconciliationProgress: Sendable {
    /// The newest event that was caught up with.
    public var cursor: String?
    /// Seconds since the last run; nil when there was none.
    public var age_s: Int?
}

extension Store {
    public func progress(of work: StripeReconciliation) async throws(StoreError) -> ReconciliationProgress {
        try await transaction { tx in
            let row = try tx.query(
                """
                SELECT cursor, floor(extract(epoch FROM now() - ran_at))::bigint AS age_s
                FROM stripe_reconciliation WHERE name = $1
                """, work.rawValue
            ).first
            guard let row else { return ReconciliationProgress() }
            return ReconciliationProgress(cursor: try row["cursor"], age_s: try row["age_s"])
        }
    }

    public func reconciled(
        _ work: StripeReconciliation, cursor: String?, as lease: Lease
    ) async throws(StoreError) {
        try await transaction { tx in
            try tx.check(lease)
            _ = try tx.query(
                """
                INSERT INTO stripe_reconciliation (name, cursor) VALUES ($1, $2)
                ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor, ran_at = now()
                """, work.rawValue, cursor)
        }
    }

    /// The customers of those subscriptions that are not written down as they were found.
    public func customersThatDiffer(_ found: [FoundSubscription]) async throws(StoreError) -> Set<String> {
        try await transaction { tx in
            var customers: Set<String> = []
            for subscription in found {
                let same = try tx.query(
                    """
                    SELECT 1 FROM stripe_subscriptions
                    WHERE id = $1 AND customer_id = $2 AND status = $3 AND prices = $4 AND awaits_payment = $5
                        AND period_end IS NOT DISTINCT FROM to_timestamp($6) AND ends_with_period = $7
                    """, subscription.id, subscription.customer, subscription.status.rawValue,
                    TextArray(subscription.prices), subscription.awaitsPayment, subscription.periodEnd,
                    subscription.endsWithPeriod)
                if same.first == nil { customers.insert(subscription.customer) }
            }
            return customers
        }
    }

    /// Customers with a subscription that we take for live and that is not among `seen`.
    public func customersOfLiveSubscriptions(except seen: Set<String>) async throws(StoreError) -> Set<String>
    {
        try await transaction { tx in
            var customers: Set<String> = []
            for row in try tx.query(
                """
                SELECT id, customer_id FROM stripe_subscriptions
                WHERE status NOT IN ('canceled', 'incomplete_expired')
                """)
            {
                if !seen.contains(try row["id"]) { customers.insert(try row["customer_id"]) }
            }
            return customers
        }
    }

    /// Those of the customers about whom no event waits: the workers see to the others.
    public func withoutPendingEvents(_ customers: Set<String>) async throws(StoreError) -> Set<String> {
        try await transaction { tx in
            var left = customers
            for row in try tx.query(
                """
                SELECT DISTINCT customer_id FROM stripe_events WHERE state = 'pending' AND customer_id = ANY ($1)
                """, TextArray(customers.sorted()))
            {
                left.remove(try row["customer_id"])
            }
            return left
        }
    }

    /// Accounts that Stripe ever had a say about.
    public func billedAccounts() async throws(StoreError) -> [AccountID] {
        try await transaction { tx in
            try tx.query("SELECT account_id FROM account_billing ORDER BY account_id").map {
                row -> AccountID in try row["account_id"]
            }
        }
    }

    /// Notes for people that something had been missed and is repaired.
    public func auditRepair(of customer: String, _ outcome: BillingOutcome) async throws(StoreError) {
        try await transaction { tx in
            try tx.audit(
                "billing.repair", actor: Self.reconcilerActor, account: outcome.account, subject: customer,
                before: outcome.before.map { ["billing": .string($0.rawValue)] },
                after: outcome.after.map { ["billing": .string($0.rawValue)] })
        }
    }

    /// Who repairs what webhooks missed, for the audit log.
    public static let reconcilerActor = Actor.system("stripe-reconciler")

    /// Stripe offers events for 30 days: those that are older never come again.
    public func forgetOldStripeEvents(as lease: Lease) async throws(StoreError) {
        try await transaction { tx in
            try tx.check(lease)
            _ = try tx.query(
                """
                DELETE FROM stripe_events
                WHERE state IN ('done', 'ignored') AND received_at < now() - interval '35 days'
                """)
        }
    }
}
