import Store
import Stripe

extension NewStripeEvent {
    /// What nothing is to be done about is stored all the same.
    public init(_ event: StripeEvent) {
        self.init(
            id: event.id, type: event.type, customer: event.customer, payload: event.payload,
            matters: event.work != .ignore)
    }
}
