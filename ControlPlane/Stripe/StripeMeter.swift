import Core
import Domain

/// Tells Stripe's meters what was used.
public struct StripeMeter: Sendable {
    static let deadline = Milliseconds.seconds(10)

    private let client: StripeClient

    /// Each attempt is one request under an idempotency key of its own: Stripe would repeat a stored failure to the
    /// same key, and the event's identifier keeps it from counting twice.
    public init(_ client: StripeClient) { self.client = client.with(deadline: Self.deadline, maxRetries: 0) }

    public func tell(_ event: MeterEvent) async -> MeterAnswer {
        do throws(StripeError) {
            let answer = try await client.post(
                "/v1/billing/meter_events",
                [
                    "event_name": .string(event.eventName), "identifier": .string(event.identifier),
                    "timestamp": .integer(event.part.hour.seconds),
                    "payload": [
                        "value": .string(String(event.part.bytes)),
                        "stripe_customer_id": .string(event.customer),
                    ],
                ])
            guard answer["identifier"]?.stringValue == event.identifier else {
                return .unclear("Stripe's answer is about something else")
            }
            return .recorded
        } catch {
            return Self.answer(error)
        }
    }

    static func answer(_ error: StripeError) -> MeterAnswer {
        switch error {
        case .unsent: .refused("\(error)")
        case .unreachable, .nonsense: .unclear("\(error)")
        case .refused(_, "duplicate_meter_event", _, _): .duplicate
        // Stripe gives no code for it.
        case .refused(400, _, let message, _) where message.contains("already exists with identifier"):
            .duplicate
        // Of a conflict nobody knows which of the two was done.
        case .refused(let status, _, _, _) where status == 409 || status >= 500: .unclear("\(error)")
        case .refused: .refused("\(error)")
        }
    }
}
