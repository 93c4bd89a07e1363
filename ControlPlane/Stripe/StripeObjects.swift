import Core
import Domain

/// An object of Stripe's that lacks what it must have.
public struct StripeShapeError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

extension JSON {
    /// A member that is an id or, expanded, the object itself.
    func stripeID(_ name: String) -> String? {
        guard let id = self[name]?.stringValue ?? self[name]?["id"]?.stringValue, StripeEvent.isPlain(id)
        else { return nil }
        return id
    }

    func time(_ name: String) -> WallTime? {
        self[name]?.integerValue.map { WallTime(seconds: $0) }
    }
}

extension FoundSubscription {
    /// From a `subscription`, with or without its newest invoice expanded. The period's end stood on the subscription
    /// itself before the versions of 2025 and stands on its items since.
    public init(stripe json: JSON) throws(StripeShapeError) {
        guard json["object"]?.stringValue == "subscription", let id = json.stripeID("id"),
            let customer = json.stripeID("customer"), let text = json["status"]?.stringValue
        else { throw StripeShapeError("a subscription lacks its id, its customer or its status") }
        guard let status = SubscriptionStatus(rawValue: text) else {
            throw StripeShapeError("the subscription \(id) has a status that is not known here")
        }
        let items = json["items"]?["data"]?.arrayValue ?? []
        var prices = items.compactMap { item -> String? in
            guard let price = item["price"], !price.isNull else { return item.stripeID("plan") }
            return price["recurring"]?["usage_type"]?.stringValue == "metered" ? nil : item.stripeID("price")
        }
        if items.isEmpty, let plan = json.stripeID("plan") { prices = [plan] }
        let ends = items.compactMap { $0.time("current_period_end") }
        let invoice = json["latest_invoice"]?.objectValue != nil ? json["latest_invoice"] : nil
        self.init(
            id: id, customer: customer, status: status, prices: prices,
            awaitsPayment: Self.awaitsFirstPayment(json, invoice),
            lateSince: status == .pastDue ? invoice.flatMap(Self.lateSince) : nil,
            periodEnd: ends.max() ?? json.time("current_period_end"),
            paidUntil: invoice.flatMap(Self.paidUntil),
            endsWithPeriod: json["cancel_at_period_end"]?.boolValue ?? false,
            account: json["metadata"]?["account"]?.stringValue)
    }

    /// With a way to pay that takes days, a subscription is active while its very first payment is under way.
    private static func awaitsFirstPayment(_ subscription: JSON, _ invoice: JSON?) -> Bool {
        guard let invoice, subscription["collection_method"]?.stringValue != "send_invoice" else {
            return false
        }
        return invoice["billing_reason"]?.stringValue == "subscription_create"
            && invoice["status"]?.stringValue == "open"
            && (invoice["amount_remaining"]?.integerValue ?? 1) > 0
    }

    private static func lateSince(_ invoice: JSON) -> WallTime? {
        guard invoice["status"]?.stringValue != "paid" else { return nil }
        return invoice["status_transitions"]?.time("finalized_at") ?? invoice.time("created")
    }

    private static func paidUntil(_ invoice: JSON) -> WallTime? {
        guard invoice["status"]?.stringValue == "paid" else { return nil }
        return (invoice["lines"]?["data"]?.arrayValue ?? []).compactMap { $0["period"]?.time("end") }.max()
    }
}

extension FoundCheckout {
    public init(stripe json: JSON) throws(StripeShapeError) {
        guard let id = json.stripeID("id") else { throw StripeShapeError("a checkout has no id") }
        let payment = json["payment_status"]?.stringValue
        self.init(
            id: id, subscription: json.stripeID("subscription"),
            isPaid: payment == "paid" || payment == "no_payment_required",
            reference: json.stripeID("payment_link") == nil ? json["client_reference_id"]?.stringValue : nil)
    }
}

extension Dispute {
    public init(stripe json: JSON) throws(StripeShapeError) {
        guard let id = json.stripeID("id"), let status = json["status"]?.stringValue else {
            throw StripeShapeError("a dispute has no id or no status")
        }
        self.init(id: id, status: status, charge: json.stripeID("charge"))
    }
}
