import Core
import Domain
import Postgres

/// What an account pays, and for what.
public struct BillingView: Sendable, Hashable {
    public var plan: String
    public var planName: String
    public var state: BillingState
    /// By an operator.
    public var isSuspended: Bool
    /// The end of a grace, while there is one.
    public var graceUntil: WallTime?
    /// Stripe's id of the customer; nil while nobody began to buy.
    public var customer: String?
    /// Whether the customer has a subscription that is not over: no second one is sold.
    public var isSubscribed: Bool
}

extension Store {
    /// nil when there is no such account.
    public func billing(of account: AccountID) async throws(StoreError) -> BillingView? {
        try await transaction { tx in
            try tx.query(
                """
                SELECT p.id AS plan, p.name, a.billing_state, a.suspended_at IS NOT NULL AS suspended,
                    CASE WHEN a.billing_state = 'grace' THEN floor(extract(epoch FROM b.changes_at))::bigint END
                        AS grace_until,
                    c.id AS customer, coalesce(c.living, false) AS subscribed
                FROM accounts a
                JOIN plans p ON p.id = a.plan_id
                LEFT JOIN account_billing b ON b.account_id = a.id
                LEFT JOIN LATERAL (
                    SELECT c.id, EXISTS (
                        SELECT 1 FROM stripe_subscriptions s
                        WHERE s.customer_id = c.id
                            AND s.status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
                    ) AS living
                    FROM stripe_customers c WHERE c.account_id = a.id AND c.deleted_at IS NULL
                    ORDER BY living DESC, c.bound_by = 'reference', c.bound_at DESC, c.id LIMIT 1
                ) c ON true
                WHERE a.id = $1
                """, account
            ).first.map { row in
                guard let state = BillingState(rawValue: try row["billing_state"]) else {
                    throw PostgresError.unexpectedValue("an account's billing state is unknown")
                }
                return BillingView(
                    plan: try row["plan"], planName: try row["name"], state: state,
                    isSuspended: try row["suspended"], graceUntil: try row["grace_until"],
                    customer: try row["customer"], isSubscribed: try row["subscribed"])
            }
        }
    }

    /// The user's address; nil when there is no such user any more.
    public func email(of user: UserID) async throws(StoreError) -> String? {
        try await transaction { tx in
            try tx.query("SELECT email FROM users WHERE id = $1", user).first.map { try $0["email"] }
        }
    }
}
