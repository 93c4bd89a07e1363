import Core
import Domain

/// What the reconciler reads: everything, page by page.
extension StripeReader {
    /// One page of subscriptions, and the id after which the next begins.
    func list(_ filter: JSONObject, after: String?) async throws(StripeError) -> (
        [FoundSubscription], String?
    ) {
        var parameters = filter
        parameters["status"] = "all"
        parameters["limit"] = .integer(Int64(Self.pageSize))
        parameters["expand"] = ["data.latest_invoice"]
        if let after { parameters["starting_after"] = .string(after) }
        let answer = try await client.get("/v1/subscriptions", parameters)
        guard let data = answer["data"]?.arrayValue else {
            throw .nonsense("a list of subscriptions without data")
        }
        var found: [FoundSubscription] = []
        do throws(StripeShapeError) {
            for item in data { found.append(try FoundSubscription(stripe: item)) }
        } catch {
            throw .nonsense(error.description)
        }
        let hasMore = answer["has_more"]?.boolValue ?? false
        return (found, hasMore ? found.last?.id : nil)
    }

    /// Every subscription there is. `page` may throw to end it.
    public func allSubscriptions(_ page: ([FoundSubscription]) async throws -> Void) async throws {
        var after: String?
        while true {
            let (found, last) = try await list([:], after: after)
            try await page(found)
            guard let last, last != after else { return }
            after = last
        }
    }

    /// Events that Stripe could not deliver, in the order of their creation with a cursor: those after it. Without
    /// one all that Stripe still has, the newest page first. `page` gets whole events, the oldest first.
    public func undelivered(
        after cursor: String?, _ page: ([JSON]) async throws -> Void
    ) async throws {
        var place = cursor
        while true {
            var parameters: JSONObject = [
                "delivery_success": false, "limit": .integer(Int64(Self.pageSize)),
            ]
            if let place { parameters[cursor == nil ? "starting_after" : "ending_before"] = .string(place) }
            let answer = try await client.get("/v1/events", parameters)
            guard let data = answer["data"]?.arrayValue else {
                throw StripeError.nonsense("a list of events without data")
            }
            guard !data.isEmpty else { return }
            try await page(data.reversed())
            let next = cursor == nil ? data.last?.stripeID("id") : data.first?.stripeID("id")
            guard answer["has_more"]?.boolValue == true, let next, next != place else { return }
            place = next
        }
    }
}
