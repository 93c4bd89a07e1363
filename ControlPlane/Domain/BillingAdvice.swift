/// What the one who pays can do next.
public enum BillingStep: String, Sendable, Hashable, CaseIterable {
    /// Nothing needs to be done.
    case none
    /// Buy a plan: `POST /v1/billing/checkout`.
    case checkout
    /// See to the bill: `POST /v1/billing/portal`.
    case portal
    case support
}

/// What an account's people are told about its bill: what is the matter, and what to do.
public struct BillingAdvice: Sendable, Hashable {
    public var step: BillingStep
    public var message: String

    /// `isForSale` is whether this installation sells plans; `graceUntil` is a time in words.
    public init(_ state: BillingState, isForSale: Bool, isSuspended: Bool, graceUntil: String?) {
        switch state {
        case _ where isSuspended:
            step = .support
            message = "The account is suspended, whatever its bill: ask support."
        case .none, .revoked:
            step = isForSale ? .checkout : .none
            message =
                state == .none
                ? "Nothing is paid for: the plan is what it is without a subscription."
                : "The subscription has ended. What the plan has no room for comes back with a new one."
        case .active:
            step = .none
            message = "The bill is paid. Cards, plans and invoices are in the Billing Portal."
        case .grace:
            step = .portal
            message =
                "A payment failed. Everything works on \(graceUntil.map { "until \($0)" } ?? "for a while");"
                + " pay in the Billing Portal before that."
        case .throttled:
            step = .portal
            message = "A payment is late, so tunnels are slowed down until it is made in the Billing Portal."
        case .suspended:
            step = .portal
            message = "The bill is not paid, so tunnels are closed until it is, in the Billing Portal."
        }
    }
}
