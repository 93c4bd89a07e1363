/// What an account's bill allows.
public enum BillingState: String, Sendable, Hashable, CaseIterable {
    /// Nothing was ever sold to it: its plan is the operator's decision.
    case none
    case active
    /// A payment is late; everything works on for a while.
    case grace
    /// A payment is later than the grace allows: its tunnels get the plan's throttled rate.
    case throttled
    /// Nothing is served until it is paid.
    case suspended
    /// The subscription has ended for good: the account is on the free plan and is served as such.
    case revoked

    public var isServed: Bool { self != .suspended }
    public var isThrottled: Bool { self == .throttled }
    /// Whether what goes beyond a plan's volume can be put on the bill.
    public var sellsVolume: Bool { self == .active || self == .grace }

    /// The plan of those who pay nothing.
    public static let freePlan = "free"
}

/// What an account's terms follow from.
public struct AccountState: Sendable, Hashable {
    public var plan: String
    public var exception: AccountException
    public var billing: BillingState
    /// Whether the month's volume is used up.
    public var isOverQuota: Bool
    /// Whether an operator suspended it.
    public var isSuspended: Bool

    public init(
        plan: String, exception: AccountException, billing: BillingState, isOverQuota: Bool,
        isSuspended: Bool
    ) {
        self.plan = plan
        self.exception = exception
        self.billing = billing
        self.isOverQuota = isOverQuota
        self.isSuspended = isSuspended
    }

    public var isServed: Bool { !isSuspended && billing.isServed }
    public var isThrottled: Bool { isOverQuota || billing.isThrottled }
}
