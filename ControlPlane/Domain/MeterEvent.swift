import Core

/// A part of an hour's overage on its way to Stripe.
public struct MeterEvent: Sendable, Hashable {
    public var account: AccountID
    public var part: MeterPart
    /// Under which Stripe counts it once.
    public var identifier: String
    public var customer: String
    /// Names Stripe's meter.
    public var eventName: String

    public init(account: AccountID, part: MeterPart, identifier: String, customer: String, eventName: String)
    {
        self.account = account
        self.part = part
        self.identifier = identifier
        self.customer = customer
        self.eventName = eventName
    }
}
