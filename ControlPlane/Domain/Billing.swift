import Core

/// What Stripe says of a subscription.
public enum SubscriptionStatus: String, Sendable, Hashable, CaseIterable {
    /// The first payment was not made yet; after 23 hours it becomes `incompleteExpired`.
    case incomplete
    case incompleteExpired = "incomplete_expired"
    case trialing
    case active
    case pastDue = "past_due"
    /// All attempts at a payment failed.
    case unpaid
    case canceled
    /// The trial ended without a way to pay; it can go on.
    case paused
}

/// What one subscription gives, the better the later.
public enum Entitlement: Int, Sendable, Hashable, Comparable {
    /// Not begun: it gives nothing and takes nothing away.
    case withhold
    case revoke
    case suspend
    case throttle
    case grace
    case serve

    public static func < (left: Entitlement, right: Entitlement) -> Bool { left.rawValue < right.rawValue }
}

/// A plan as far as it matters which of two is better.
public struct SoldPlan: Sendable, Hashable {
    public var id: String
    /// The larger the better.
    public var position: Int

    public init(id: String, position: Int) {
        self.id = id
        self.position = position
    }
}

/// One subscription as it was last read from Stripe.
public struct Subscription: Sendable, Hashable {
    public var id: String
    public var status: SubscriptionStatus
    /// Active by name, but the first payment is still under way.
    public var awaitsPayment: Bool
    /// Since when a payment is late.
    public var lateSince: WallTime?
    /// What its price sells; nil for a price that no plan has.
    public var plan: SoldPlan?

    public init(
        id: String, status: SubscriptionStatus, awaitsPayment: Bool = false, lateSince: WallTime? = nil,
        plan: SoldPlan? = nil
    ) {
        self.id = id
        self.status = status
        self.awaitsPayment = awaitsPayment
        self.lateSince = lateSince
        self.plan = plan
    }

    /// A late payment is forgiven for `grace_s` seconds.
    public func entitlement(now: WallTime, grace_s: Int) -> Entitlement {
        switch status {
        case .trialing, .active: awaitsPayment ? .withhold : .serve
        case .pastDue: now < graceEnd(grace_s) ?? now ? .grace : .throttle
        case .unpaid, .paused: .suspend
        case .canceled, .incompleteExpired: .revoke
        case .incomplete: .withhold
        }
    }

    func graceEnd(_ grace_s: Int) -> WallTime? { lateSince.map { $0 + Int64(grace_s) } }
}

/// What an account's subscriptions come to.
public struct Billing: Sendable, Hashable {
    public enum PlanChange: Sendable, Hashable {
        /// The account's plan stays what it is.
        case keep
        case to(String)
        /// What Stripe gave is taken back.
        case takeBack

        /// The plan of an account that is on `plan` and got `given` from Stripe before: what an operator gave it
        /// since stays, until something else is bought.
        public func applied(to plan: String, given: String?) -> String {
            switch self {
            case .keep: plan
            case .to(let sold): given == sold ? plan : sold
            case .takeBack: given == plan ? BillingState.freePlan : plan
            }
        }
    }

    public var state: BillingState
    public var plan: PlanChange
    /// When the same subscriptions come to something else, without any news.
    public var changesAt: WallTime?
    /// The subscription that counts.
    public var subscription: String?

    /// The best subscription wins: one that is served before any other, then the larger plan. A dispute suspends
    /// whatever else there is. The same subscriptions always come to the same, whatever was before.
    public static func decide(
        _ subscriptions: [Subscription], isDisputed: Bool, now: WallTime, grace_s: Int
    ) -> Billing {
        let ranked = subscriptions.map { ($0, $0.entitlement(now: now, grace_s: grace_s)) }
        let best = ranked.max { left, right in
            rank(left.0, left.1).lexicographicallyPrecedes(rank(right.0, right.1))
                || rank(left.0, left.1) == rank(right.0, right.1) && left.0.id > right.0.id
        }
        var billing = billing(best, grace_s: grace_s)
        if isDisputed {
            billing.state = .suspended
            billing.changesAt = nil
        }
        return billing
    }

    private static func billing(_ best: (Subscription, Entitlement)?, grace_s: Int) -> Billing {
        guard let (subscription, entitlement) = best else {
            return Billing(state: .none, plan: .takeBack)
        }
        let plan: PlanChange = subscription.plan.map { .to($0.id) } ?? .keep
        let id = subscription.id
        return switch entitlement {
        case .serve: Billing(state: .active, plan: plan, subscription: id)
        case .grace:
            Billing(
                state: .grace, plan: plan, changesAt: subscription.graceEnd(grace_s), subscription: id)
        case .throttle: Billing(state: .throttled, plan: plan, subscription: id)
        case .suspend: Billing(state: .suspended, plan: plan, subscription: id)
        case .revoke: Billing(state: .revoked, plan: .takeBack)
        case .withhold: Billing(state: .none, plan: .takeBack)
        }
    }

    /// Grace is service: a larger plan in grace is better than a smaller one that is paid.
    private static func rank(_ subscription: Subscription, _ entitlement: Entitlement) -> [Int] {
        let service = entitlement == .grace ? Entitlement.serve : entitlement
        return [service.rawValue, subscription.plan?.position ?? Int.min, entitlement.rawValue]
    }
}

/// What Stripe says of a dispute.
public struct Dispute: Sendable, Hashable {
    public var id: String
    public var status: String
    public var charge: String?

    public init(id: String, status: String, charge: String?) {
        self.id = id
        self.status = status
        self.charge = charge
    }

    /// What a dispute can end with in our favour.
    public static let settled = ["won", "warning_closed", "prevented"]
    /// What a dispute stays once it is that.
    public static let final = settled + ["lost"]

    /// An open one suspends, and so does a lost one until an operator lifts it.
    public var suspends: Bool { !Self.settled.contains(status) }
}
