import Core
import Domain
import Postgres

/// What the store cannot know by itself when it decides about billing.
public struct BillingTerms: Sendable {
    /// How long a late payment is forgiven.
    public var grace_s: Int
    /// Where customers look after their bill, for mails.
    public var link: String

    public init(grace_s: Int, link: String) {
        self.grace_s = grace_s
        self.link = link
    }
}

extension Store {
    private static let maxDue = 100

    /// Decides anew about accounts whose state changes without news, as at the end of a grace. How many there were.
    public func decideDueBilling(_ terms: BillingTerms, as lease: Lease) async throws(StoreError) -> Int {
        let due = try await transaction { tx in
            try tx.check(lease)
            return try tx.query(
                """
                SELECT account_id FROM account_billing WHERE changes_at <= now() ORDER BY changes_at LIMIT $1
                """, Self.maxDue
            ).map { row -> AccountID in try row["account_id"] }
        }
        for account in due { _ = try await decideBilling(of: account, terms) }
        return due.count
    }

    /// Decides anew from what is known; true when the account is in another state by it.
    public func decideBilling(
        of account: AccountID, _ terms: BillingTerms, actor: Actor = billingActor
    ) async throws(StoreError) -> Bool {
        try await transaction { tx in
            guard
                try tx.query("SELECT 1 FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account).first != nil
            else { return false }
            var flags: [BillingFlag] = []
            let (before, after) = try tx.decideBilling(of: account, terms, &flags, actor: actor)
            for flag in flags { _ = try tx.raise(flag, account, nil) }
            return before != after
        }
    }
}

extension Transaction {
    /// Decides about an account whose row is locked, enforces it, and flags prices that no plan has.
    mutating func decideBilling(
        of account: AccountID, _ terms: BillingTerms, _ flags: inout [BillingFlag], actor: Actor
    ) throws -> (before: BillingState, after: BillingState) {
        let subscriptions = try subscriptions(of: account, &flags)
        let facts = try row(
            """
            SELECT a.billing_state, b.given_plan, floor(extract(epoch FROM now()))::bigint AS now,
                EXISTS (
                    SELECT 1 FROM stripe_customers c JOIN stripe_disputes d ON d.customer_id = c.id
                    WHERE c.account_id = a.id AND d.status <> ALL ($2)
                ) AS disputed
            FROM accounts a LEFT JOIN account_billing b ON b.account_id = a.id
            WHERE a.id = $1
            """, account, TextArray(Dispute.settled))
        guard let before = BillingState(rawValue: try facts["billing_state"]) else {
            throw PostgresError.unexpectedValue("an account's billing state is unknown")
        }
        let given: String? = try facts["given_plan"]
        let billing = Billing.decide(
            subscriptions, isDisputed: try facts["disputed"], now: try facts["now"], grace_s: terms.grace_s)
        try changeTerms(of: account, "account.billing", actor: actor) { state in
            state.billing = billing.state
            state.plan = billing.plan.applied(to: state.plan, given: given)
        }
        let givenNow: String? =
            switch billing.plan {
            case .keep: given
            case .to(let plan): plan
            case .takeBack: nil
            }
        try query(
            """
            INSERT INTO account_billing (account_id, given_plan, subscription_id, changes_at)
            VALUES ($1, $2, $3, to_timestamp($4))
            ON CONFLICT (account_id) DO UPDATE SET
                given_plan = excluded.given_plan, subscription_id = excluded.subscription_id,
                changes_at = excluded.changes_at, decided_at = now()
            """, account, givenNow, billing.subscription, billing.changesAt)
        return (before, billing.state)
    }

    /// What the account has bought. An unpaid checkout counts until an invoice was paid.
    private mutating func subscriptions(
        of account: AccountID, _ flags: inout [BillingFlag]
    ) throws(PostgresError) -> [Subscription] {
        var subscriptions: [Subscription] = []
        for row in try query(
            """
            SELECT s.id, s.status, floor(extract(epoch FROM s.late_since))::bigint AS late_since,
                s.awaits_payment OR s.paid_until IS NULL AND EXISTS (
                    SELECT 1 FROM stripe_checkouts k WHERE k.subscription_id = s.id AND k.state = 'unpaid'
                ) AS awaits_payment,
                array_to_string(s.prices, ',') AS prices, p.id AS plan_id, p.position AS plan_position
            FROM stripe_customers c
            JOIN stripe_subscriptions s ON s.customer_id = c.id
            LEFT JOIN LATERAL (
                SELECT plans.id, plans.position FROM plans WHERE plans.stripe_price = ANY (s.prices)
                ORDER BY plans.position DESC, plans.id LIMIT 1
            ) p ON true
            WHERE c.account_id = $1
            ORDER BY s.id
            """, account)
        {
            guard let status = SubscriptionStatus(rawValue: try row["status"]) else {
                throw .unexpectedValue("a subscription's status is unknown")
            }
            let id: String = try row["id"]
            var plan: SoldPlan?
            if let sold: String = try row["plan_id"] {
                plan = SoldPlan(id: sold, position: try row["plan_position"])
            } else if [.active, .trialing, .pastDue].contains(status) {
                let prices: String = try row["prices"]
                flags.append(
                    BillingFlag(
                        .unknownPrice, subject: "\(id):\(prices)",
                        detail: ["subscription": .string(id), "prices": .string(prices)]))
            }
            subscriptions.append(
                Subscription(
                    id: id, status: status, awaitsPayment: try row["awaits_payment"],
                    lateSince: try row["late_since"], plan: plan))
        }
        return subscriptions
    }

    /// True when the flag is new.
    mutating func raise(
        _ flag: BillingFlag, _ account: AccountID?, _ customer: String?
    ) throws(PostgresError) -> Bool {
        try query(
            """
            INSERT INTO billing_flags (account_id, customer_id, kind, subject, detail)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT ON CONSTRAINT billing_flags_once DO NOTHING
            """, account, customer, flag.kind.rawValue, flag.subject, flag.detail
        ).affected == 1
    }

    /// The plan that a price sells is another one: who bought by it is decided about anew, at once.
    mutating func redecideBuyers(of prices: [String]) throws(PostgresError) {
        try query(
            """
            UPDATE account_billing SET changes_at = now()
            WHERE account_id IN (
                SELECT c.account_id FROM stripe_subscriptions s JOIN stripe_customers c ON c.id = s.customer_id
                WHERE s.prices && $1)
            """, TextArray(prices))
    }
}
