import Core
import Domain
import Postgres

/// What writing down what was found at Stripe came to.
public struct BillingOutcome: Sendable {
    /// Events that are done by it; none when another worker had taken the batch over.
    public var settled: [String] = []
    /// Whether somebody who asked Stripe later had written already.
    public var isStale = false
    public var account: AccountID?
    public var before: BillingState?
    public var after: BillingState?
    /// Flags that were not there yet.
    public var raised: [BillingFlag] = []
}

extension Store {
    /// Writes down what was found, decides what the account's subscriptions come to and enforces it, tells the
    /// account's owners, and settles the batch's events: all of it, or nothing when the batch's lease was lost.
    public func write(
        _ findings: BillingFindings, settling batch: StripeBatch?, _ terms: BillingTerms,
        actor: Actor = billingActor
    ) async throws(StoreError) -> BillingOutcome {
        try await transaction { tx in
            var outcome = BillingOutcome()
            if let batch {
                outcome.settled = try tx.settle(batch)
                if outcome.settled.isEmpty { return outcome }
            }
            var flags = findings.flags
            outcome.account = try tx.lockedOwner(of: findings, &flags, actor: actor)
            if let customer = findings.customer {
                outcome.isStale = try !tx.write(findings, of: customer)
                if outcome.account == nil, findings.subscriptions.contains(where: \.isLive) {
                    flags.append(BillingFlag(.unknownAccount, subject: customer))
                }
            }
            if let account = outcome.account {
                (outcome.before, outcome.after) = try tx.decideBilling(
                    of: account, terms, &flags, actor: actor)
                let notices = findings.notices.filter { outcome.settled.contains($0.event) }
                try tx.tell(notices, ownersOf: account, terms)
            }
            for flag in flags where try tx.raise(flag, outcome.account, findings.customer) {
                outcome.raised.append(flag)
            }
            return outcome
        }
    }
}

extension FoundSubscription {
    /// Whether somebody pays for it, or should.
    fileprivate var isLive: Bool {
        switch status {
        case .trialing, .active, .pastDue, .unpaid, .paused: true
        case .incomplete, .incompleteExpired, .canceled: false
        }
    }
}

/// In the order of the locks: events, accounts, customers, then what `changeTerms` locks.
extension Transaction {
    fileprivate mutating func settle(_ batch: StripeBatch) throws(PostgresError) -> [String] {
        try query(
            """
            UPDATE stripe_events SET state = 'done', settled_at = now(), lease = NULL, problem = NULL
            WHERE id = ANY ($1) AND lease = $2 AND state = 'pending'
            RETURNING id
            """, TextArray(batch.events.map(\.id)), batch.lease
        ).map { row throws(PostgresError) in try row["id"] }
    }

    /// Somebody who says that an account is the customer's, and why that may be believed.
    private struct Claim {
        var account: AccountID
        var proof: String
    }

    /// The account that the customer is bound to, or is bound to now because the findings say so; both rows are
    /// locked. A claim of another account is refused and flagged.
    ///
    /// Who may say so: a checkout that we opened ourselves, and metadata, which only our key can write. The reference
    /// of a checkout that we know nothing of counts for an account that has no customer yet, and only when nothing
    /// else speaks for another one: a stranger must not get at an account that pays already.
    fileprivate mutating func lockedOwner(
        of findings: BillingFindings, _ flags: inout [BillingFlag], actor: Actor
    ) throws(PostgresError) -> AccountID? {
        guard let customer = findings.customer else { return nil }
        try query("INSERT INTO stripe_customers (id) VALUES ($1) ON CONFLICT (id) DO NOTHING", customer)
        let bound: AccountID? = try row(
            "SELECT account_id FROM stripe_customers WHERE id = $1", customer)["account_id"]
        let claims = try claims(of: findings)
        let candidates = bound.map { [Claim(account: $0, proof: "ours")] } ?? claims
        var found: Claim?
        for claim in candidates where found == nil {
            let locked = try query(
                "SELECT 1 FROM accounts WHERE id = $1 FOR NO KEY UPDATE", claim.account)
            if locked.first != nil { found = claim }
        }
        let owner: AccountID? = try row(
            "SELECT account_id FROM stripe_customers WHERE id = $1 FOR UPDATE", customer)["account_id"]
        // Another transaction bound it meanwhile: once more, with that account's lock.
        guard owner == bound else { throw .serializationFailure }
        guard let found else { return nil }
        for other in claims where other.account != found.account {
            flags.append(
                BillingFlag(
                    .secondClaim, subject: "\(customer):\(other.account.text)",
                    detail: ["customer": .string(customer), "claimed_by": .string(other.account.text)]))
        }
        guard owner == nil else { return found.account }
        if found.proof == "reference", try hasCustomer(found.account) {
            flags.append(
                BillingFlag(
                    .unprovenClaim, subject: "\(customer):\(found.account.text)",
                    detail: ["customer": .string(customer), "claimed_by": .string(found.account.text)]))
            return nil
        }
        try query(
            "UPDATE stripe_customers SET account_id = $2, bound_by = $3, bound_at = now() WHERE id = $1",
            customer, found.account, found.proof)
        try auditBinding(of: customer, to: found.account, by: found.proof, actor: actor)
        return found.account
    }

    /// The most trustworthy first; references only where there is nothing else.
    private mutating func claims(of findings: BillingFindings) throws(PostgresError) -> [Claim] {
        var claims: [Claim] = []
        for checkout in findings.checkouts {
            let ours = try query(
                "SELECT account_id FROM stripe_checkouts WHERE id = $1 AND account_id IS NOT NULL",
                checkout.id
            ).first
            if let ours { claims.append(Claim(account: try ours["account_id"], proof: "ours")) }
        }
        claims += findings.claims.compactMap { text in
            AccountID(text).map { Claim(account: $0, proof: "metadata") }
        }
        guard claims.isEmpty, findings.claims.isEmpty else { return claims }
        return findings.checkouts.filter(\.isPaid).compactMap { checkout in
            checkout.reference.flatMap { AccountID($0) }.map { Claim(account: $0, proof: "reference") }
        }
    }

    private mutating func hasCustomer(_ account: AccountID) throws(PostgresError) -> Bool {
        try query("SELECT 1 FROM stripe_customers WHERE account_id = $1 LIMIT 1", account).first != nil
    }

    /// False when somebody who asked Stripe later has written already: then only what never goes back is written.
    fileprivate mutating func write(_ findings: BillingFindings, of customer: String) throws(PostgresError)
        -> Bool
    {
        for checkout in findings.checkouts {
            try query(
                """
                INSERT INTO stripe_checkouts (id, subscription_id, state) VALUES ($1, $2, $3)
                ON CONFLICT (id) DO UPDATE SET
                    subscription_id = coalesce(excluded.subscription_id, stripe_checkouts.subscription_id),
                    state = CASE stripe_checkouts.state WHEN 'paid' THEN 'paid' ELSE excluded.state END
                """, checkout.id, checkout.subscription, checkout.isPaid ? "paid" : "unpaid")
        }
        for dispute in findings.disputes {
            try query(
                """
                INSERT INTO stripe_disputes (id, customer_id, charge_id, status) VALUES ($1, $2, $3, $4)
                ON CONFLICT (id) DO UPDATE SET status = excluded.status
                WHERE stripe_disputes.status <> ALL ($5)
                """, dispute.id, customer, dispute.charge, dispute.status, TextArray(Dispute.final))
        }
        guard let ticket = findings.ticket else { return true }
        // That a customer was deleted is final, whoever asked first.
        let isNewest = try query(
            """
            UPDATE stripe_customers SET applied = greatest(applied, $2), seen_at = now(),
                deleted_at = CASE WHEN $3 THEN coalesce(deleted_at, now()) ELSE deleted_at END
            WHERE id = $1 AND (applied < $2 OR $3)
            """, customer, ticket, findings.isDeleted)
        guard isNewest.affected == 1 else { return false }
        for subscription in findings.subscriptions { try write(subscription) }
        try query(
            """
            UPDATE stripe_subscriptions SET status = 'canceled', late_since = NULL, read_at = now()
            WHERE customer_id = $1 AND (id = ANY ($2) OR $3) AND status NOT IN ('canceled', 'incomplete_expired')
            """, customer, TextArray(findings.gone), findings.isDeleted)
        return true
    }

    private mutating func write(_ found: FoundSubscription) throws(PostgresError) {
        try query(
            """
            INSERT INTO stripe_subscriptions (
                id, customer_id, status, prices, awaits_payment, late_since, period_end, paid_until,
                ends_with_period)
            VALUES ($1, $2, $3, $4, $5, CASE WHEN $3 = 'past_due' THEN coalesce(to_timestamp($6), now()) END,
                to_timestamp($7), to_timestamp($8), $9)
            ON CONFLICT (id) DO UPDATE SET
                status = excluded.status, prices = excluded.prices, awaits_payment = excluded.awaits_payment,
                late_since = CASE WHEN excluded.status = 'past_due'
                    THEN coalesce(to_timestamp($6), stripe_subscriptions.late_since, now()) END,
                period_end = excluded.period_end,
                paid_until = greatest(stripe_subscriptions.paid_until, excluded.paid_until),
                ends_with_period = excluded.ends_with_period, read_at = now()
            """, found.id, found.customer, found.status.rawValue, TextArray(found.prices),
            found.awaitsPayment, found.lateSince, found.periodEnd, found.paidUntil, found.endsWithPeriod)
    }

    fileprivate mutating func tell(
        _ notices: [FoundNotice], ownersOf account: AccountID, _ terms: BillingTerms
    ) throws(PostgresError) {
        guard !notices.isEmpty else { return }
        for owner in try owners(of: account) {
            for notice in notices {
                try post(.billing(notice.notice, to: owner, link: notice.link ?? terms.link))
            }
        }
    }
}
