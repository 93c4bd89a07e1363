import Core
import Domain

/// What is done about an event: which objects are read again, whom it is told to.
public enum StripeWork: String, Sendable, Hashable {
    /// Stored, and that is all.
    case ignore
    /// The customer's subscriptions are read again.
    case refresh
    /// The same, and the checkout tells which account the customer belongs to.
    case checkout
    case customerDeleted
    case dispute
    case refund
    case earlyFraudWarning
    case meterErrors

    private static let byType: [String: StripeWork] = [
        "checkout.session.completed": .checkout,
        "checkout.session.async_payment_succeeded": .checkout,
        "checkout.session.async_payment_failed": .checkout,
        "checkout.session.expired": .checkout,
        "customer.subscription.created": .refresh,
        "customer.subscription.updated": .refresh,
        "customer.subscription.deleted": .refresh,
        "customer.subscription.paused": .refresh,
        "customer.subscription.resumed": .refresh,
        "customer.subscription.pending_update_expired": .refresh,
        "customer.subscription.trial_will_end": .refresh,
        "invoice.paid": .refresh,
        "invoice.payment_failed": .refresh,
        "invoice.payment_action_required": .refresh,
        "invoice.finalization_failed": .refresh,
        "charge.refunded": .refund,
        "refund.created": .refund,
        "charge.dispute.created": .dispute,
        "charge.dispute.closed": .dispute,
        "radar.early_fraud_warning.created": .earlyFraudWarning,
        "customer.deleted": .customerDeleted,
        "v1.billing.meter.error_report_triggered": .meterErrors,
        "v1.billing.meter.no_meter_found": .meterErrors,
    ]

    public init(type: String) { self = Self.byType[type] ?? .ignore }

    /// All types that are not ignored.
    public static var types: [String] { byType.keys.sorted() }
}

/// An event as it was delivered, either whole (`event`) or thin (`v2.core.event`). What it says of its object is only
/// believed as far as ids go: everything else is read again.
public struct StripeEvent: Sendable, Hashable {
    public let id: String
    public let type: String
    public let payload: JSON

    public init(_ payload: JSON) throws(StripeShapeError) {
        guard let kind = payload["object"]?.stringValue, kind == "event" || kind == "v2.core.event" else {
            throw StripeShapeError("the body is no event: its object must be \"event\" or \"v2.core.event\"")
        }
        guard let id = payload["id"]?.stringValue, let type = payload["type"]?.stringValue,
            Self.isPlain(id), Self.isPlain(type)
        else { throw StripeShapeError("the event lacks its id or its type") }
        if kind == "event", payload["data"]?["object"]?.objectValue == nil {
            throw StripeShapeError("the event lacks data.object")
        }
        self.id = id
        self.type = type
        self.payload = payload
    }

    /// Whether a text may be an id or a word of Stripe's: up to 255 visible ASCII characters.
    public static func isPlain(_ text: String) -> Bool {
        (1...255).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    public var work: StripeWork { StripeWork(type: type) }

    /// When it happened.
    public var created: WallTime? { payload.time("created") }

    /// Whether it is about real money; nil when it does not say so.
    public var isLive: Bool? { payload["livemode"]?.boolValue }

    /// What the event is about. Of a thin event, the reference to it.
    public var object: JSON { payload["data"]?["object"] ?? payload["related_object"] ?? .null }
    public var objectID: String? { object.stripeID("id") }

    public var customer: String? {
        object["object"]?.stringValue == "customer" || work == .customerDeleted
            ? objectID : object.stripeID("customer")
    }

    /// The subscription that the event is about. Of an invoice it stood at its top before the versions of 2025 and
    /// stands under its parent since.
    public var subscription: String? {
        switch object["object"]?.stringValue {
        case "subscription": return objectID
        case "invoice":
            if let id = object["parent"]?["subscription_details"]?.stripeID("subscription") { return id }
            if let id = object.stripeID("subscription") { return id }
            return (object["lines"]?["data"]?.arrayValue ?? []).lazy.compactMap { line in
                line["parent"]?["subscription_item_details"]?.stripeID("subscription")
                    ?? line.stripeID("subscription")
            }.first
        default: return object.stripeID("subscription")
        }
    }

    var invoice: String? { object["object"]?.stringValue == "invoice" ? objectID : nil }

    var charge: String? {
        object["object"]?.stringValue == "charge" ? objectID : object.stripeID("charge")
    }

    /// What the account's owners are told, and where they can act.
    public var notice: FoundNotice? {
        let link = object["hosted_invoice_url"]?.stringValue.flatMap { link in
            link.hasPrefix("https://") && link.utf8.count <= 2000 && !link.utf8.contains { $0 <= 0x20 }
                ? link : nil
        }
        let notice: BillingNotice
        switch type {
        case "customer.subscription.trial_will_end": notice = .trialEnds
        case "invoice.payment_failed": notice = .paymentFailed
        case "invoice.payment_action_required": notice = .actionRequired
        case "invoice.finalization_failed": notice = .invoiceNotFinalized
        default: return nil
        }
        return FoundNotice(event: id, notice: notice, link: link)
    }

    /// What people must know of.
    public var flag: BillingFlag? {
        let kind: BillingFlag.Kind
        switch work {
        case .refund: kind = .refund
        case .dispute: kind = .dispute
        case .earlyFraudWarning: kind = .earlyFraudWarning
        case .meterErrors: kind = .meterErrors
        case .refresh where type == "invoice.finalization_failed": kind = .invoiceNotFinalized
        default: return nil
        }
        return BillingFlag(
            kind, subject: objectID ?? id,
            detail: [
                "event": .string(id), "type": .string(type), "object": objectID.map { .string($0) } ?? .null,
            ])
    }
}
