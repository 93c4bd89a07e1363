import Core
import Domain
import Postgres

extension Store {
    /// Who does what Stripe says, for the audit log.
    public static let billingActor = Actor.system("stripe")

    /// The customer to send to Stripe for an account: the one bound last that Stripe still has, one that we made
    /// before one that only a checkout's reference named.
    public func stripeCustomer(of account: AccountID) async throws(StoreError) -> String? {
        try await transaction { tx in
            try tx.query(
                """
                SELECT id FROM stripe_customers WHERE account_id = $1 AND deleted_at IS NULL
                ORDER BY bound_by = 'reference', bound_at DESC, id LIMIT 1
                """, account
            ).first?["id"]
        }
    }

    /// Notes that a customer which we made at Stripe is the account's, before anybody can buy with it. False when
    /// it is another account's already, or there is no such account.
    public func bindStripeCustomer(
        _ customer: String, to account: AccountID, actor: Actor
    ) async throws(StoreError) -> Bool {
        try await transaction { tx in
            guard
                try tx.query("SELECT 1 FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account).first != nil
            else { return false }
            let bound = try tx.query(
                """
                INSERT INTO stripe_customers (id, account_id, bound_by, bound_at) VALUES ($1, $2, 'ours', now())
                ON CONFLICT (id) DO UPDATE SET account_id = $2, bound_by = 'ours', bound_at = now()
                WHERE stripe_customers.account_id IS NULL
                """, customer, account)
            if bound.affected == 1 {
                try tx.auditBinding(of: customer, to: account, by: "ours", actor: actor)
                return true
            }
            let owner: AccountID? = try tx.row(
                "SELECT account_id FROM stripe_customers WHERE id = $1", customer)["account_id"]
            return owner == account
        }
    }

    /// Notes a checkout that we opened for an account: what it says of its customer is believed.
    public func noteCheckout(_ id: String, of account: AccountID) async throws(StoreError) {
        try await transaction { tx in
            _ = try tx.query(
                """
                INSERT INTO stripe_checkouts (id, account_id, state) VALUES ($1, $2, 'open')
                ON CONFLICT (id) DO UPDATE SET account_id = $2
                """, id, account)
        }
    }
}

extension Transaction {
    mutating func auditBinding(
        of customer: String, to account: AccountID, by proof: String, actor: Actor
    ) throws(PostgresError) {
        try audit(
            "billing.bind", actor: actor, account: account, subject: customer,
            after: ["customer": .string(customer), "by": .string(proof)])
    }
}
