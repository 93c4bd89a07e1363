import Core

/// One subscription as Stripe told of it, with what only the database can add to it left out.
public struct FoundSubscription: Sendable, Hashable {
    public var id: String
    public var customer: String
    public var status: SubscriptionStatus
    /// Prices of what is paid by the period; metered ones are left out.
    public var prices: [String]
    /// Active by name, but the first payment is still under way.
    public var awaitsPayment: Bool
    /// Since when a payment is late, as far as the newest invoice says so.
    public var lateSince: WallTime?
    public var periodEnd: WallTime?
    /// The end of what the newest invoice paid.
    public var paidUntil: WallTime?
    public var endsWithPeriod: Bool
    /// The account that it was sold to, as its metadata say.
    public var account: String?

    public init(
        id: String, customer: String, status: SubscriptionStatus, prices: [String],
        awaitsPayment: Bool = false, lateSince: WallTime? = nil, periodEnd: WallTime? = nil,
        paidUntil: WallTime? = nil, endsWithPeriod: Bool = false, account: String? = nil
    ) {
        self.id = id
        self.customer = customer
        self.status = status
        self.prices = prices
        self.awaitsPayment = awaitsPayment
        self.lateSince = lateSince
        self.periodEnd = periodEnd
        self.paidUntil = paidUntil
        self.endsWithPeriod = endsWithPeriod
        self.account = account
    }
}

/// A checkout that came to its end.
public struct FoundCheckout: Sendable, Hashable {
    public var id: String
    public var subscription: String?
    public var isPaid: Bool
    /// The account that it names by its `client_reference_id`. Whoever follows a payment link chooses that freely, so
    /// a link's is left out.
    public var reference: String?

    public init(id: String, subscription: String?, isPaid: Bool, reference: String? = nil) {
        self.id = id
        self.subscription = subscription
        self.isPaid = isPaid
        self.reference = reference
    }
}

/// Something about an account's payments that people must know of.
public struct BillingFlag: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// Another account claims a customer who is bound already.
        case secondClaim = "second_claim"
        /// A checkout names an account that it does not show to be its own.
        case unprovenClaim = "unproven_claim"
        /// A customer pays, and no account of ours claims it.
        case unknownAccount = "unknown_account"
        case unknownPrice = "unknown_price"
        case refund
        case dispute
        case earlyFraudWarning = "early_fraud_warning"
        case invoiceNotFinalized = "invoice_not_finalized"
        case meterErrors = "meter_errors"
    }

    public var kind: Kind
    /// What it is about; there is one flag for each kind and subject.
    public var subject: String
    public var detail: JSON?

    public init(_ kind: Kind, subject: String, detail: JSON? = nil) {
        self.kind = kind
        self.subject = subject
        self.detail = detail
    }
}

/// What the owners of an account are told of, once for each event.
public enum BillingNotice: Sendable, Hashable {
    case trialEnds
    case paymentFailed
    case actionRequired
    case invoiceNotFinalized
}

/// A notice with the event that asks for it and the page where it can be acted upon.
public struct FoundNotice: Sendable, Hashable {
    public var event: String
    public var notice: BillingNotice
    public var link: String?

    public init(event: String, notice: BillingNotice, link: String?) {
        self.event = event
        self.notice = notice
        self.link = link
    }
}

/// All that was found out at Stripe about one customer, to be written at once.
public struct BillingFindings: Sendable, Hashable {
    public var customer: String?
    /// Taken from the database before Stripe was asked: what was asked for earlier never overwrites what was asked
    /// for later. nil when no subscriptions were asked for.
    public var ticket: Int?
    public var subscriptions: [FoundSubscription] = []
    /// Subscriptions that Stripe does not know (any more).
    public var gone: [String] = []
    public var isDeleted = false
    /// Accounts that the customer is said to belong to, in metadata, which only our key can write.
    public var claims: [String] = []
    public var checkouts: [FoundCheckout] = []
    public var disputes: [Dispute] = []
    public var flags: [BillingFlag] = []
    public var notices: [FoundNotice] = []

    public init(customer: String? = nil, ticket: Int? = nil) {
        self.customer = customer
        self.ticket = ticket
    }
}
