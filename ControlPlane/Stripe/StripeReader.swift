import Core
import Domain

/// Stripe does not know a customer that it sent an event about, and does not say that it was deleted: our key is of
/// another account or mode than the endpoint that sends the events. Nobody loses anything by that.
public struct UnknownStripeCustomer: Error, Sendable, Hashable, CustomStringConvertible {
    public let customer: String

    public init(customer: String) { self.customer = customer }

    public var description: String {
        """
        Stripe does not know the customer \(customer): STRIPE_SECRET_KEY must be of the same account and mode as the \
        endpoint that sends the events
        """
    }
}

/// Reads again at Stripe what events are about, and gathers what is to be written down.
public struct StripeReader: Sendable {
    /// Taken before anything about the customer is asked for.
    public struct Ticket: Sendable {
        public var number: Int
        /// Subscriptions that were live when they were last read: each must turn up again, or be gone.
        public var known: [String]
        /// Whether the customer was deleted before.
        public var isDeleted: Bool

        public init(number: Int, known: [String], isDeleted: Bool) {
            self.number = number
            self.known = known
            self.isDeleted = isDeleted
        }
    }

    public typealias TakeTicket = @Sendable (_ customer: String) async throws -> Ticket

    let client: StripeClient
    private static let maxPages = 20
    static let pageSize = 100
    /// Nobody wants mails about what went wrong longer ago.
    private static let noticesFor_s: Int64 = 7 * 24 * 3600

    public init(_ client: StripeClient) { self.client = client }

    /// `events` are of one customer, with its ticket, or a single one whose customer is not known yet.
    public func findings(
        about events: [StripeEvent], customer: String?, ticket: Ticket?, now: WallTime, take: TakeTicket
    ) async throws -> BillingFindings {
        var findings = BillingFindings(customer: customer)
        var wanted: Set<String> = []
        var ended: Set<String> = []
        var mustRefresh = false
        for event in events {
            if let flag = event.flag { findings.flags.append(flag) }
            switch event.work {
            case .ignore, .meterErrors: continue
            case .refresh: mustRefresh = true
            case .checkout:
                mustRefresh = true
                try await readCheckout(event, &findings)
            case .customerDeleted:
                mustRefresh = true
                findings.isDeleted = try await isGone(event.objectID)
            case .dispute: try await readDispute(event, &findings)
            case .refund, .earlyFraudWarning:
                if findings.customer == nil {
                    findings.customer = try await self.customer(ofCharge: event.charge)
                }
            }
            if let subscription = event.subscription {
                wanted.insert(subscription)
                if event.type == "customer.subscription.deleted" { ended.insert(subscription) }
            }
        }
        guard mustRefresh else { return findings }
        if findings.customer == nil, let id = wanted.sorted().first {
            findings.customer = try await subscription(id)?.customer
        }
        guard let customer = findings.customer else { return findings }
        let ticket = if let ticket { ticket } else { try await take(customer) }
        try await refresh(customer, ticket, wanted, ended, &findings)
        for event in events { try await readNotice(event, now, &findings) }
        return findings
    }

    /// One customer's subscriptions as they are now.
    public func findings(about customer: String, take: TakeTicket) async throws -> BillingFindings {
        var findings = BillingFindings(customer: customer)
        try await refresh(customer, try await take(customer), [], [], &findings)
        return findings
    }

    /// `ended` are those that a signed event calls deleted: that is final, so Stripe need not show them any more.
    private func refresh(
        _ customer: String, _ ticket: Ticket, _ wanted: Set<String>, _ ended: Set<String>,
        _ findings: inout BillingFindings
    ) async throws {
        findings.ticket = ticket.number
        var found: [String: FoundSubscription] = [:]
        if !findings.isDeleted {
            if let listed = try await subscriptions(of: customer) {
                for subscription in listed where subscription.customer == customer {
                    found[subscription.id] = subscription
                }
            } else if try await isDeleted(customer, ticket) {
                findings.isDeleted = true
            } else {
                throw UnknownStripeCustomer(customer: customer)
            }
        }
        for id in wanted.union(ticket.known).sorted() where found[id] == nil {
            if let subscription = try await subscription(id) {
                if subscription.customer == customer { found[id] = subscription }
            } else if ticket.known.contains(id) || ended.contains(id) {
                findings.gone.append(id)
            }
        }
        if !findings.isDeleted, findings.gone.contains(where: { !ended.contains($0) }),
            try await customerJSON(customer) == nil
        {
            guard ticket.isDeleted else { throw UnknownStripeCustomer(customer: customer) }
            findings.isDeleted = true
        }
        findings.subscriptions = found.values.sorted { $0.id < $1.id }
        findings.claims += findings.subscriptions.compactMap(\.account)
    }

    /// nil when Stripe does not know the customer.
    private func subscriptions(of customer: String) async throws(StripeError) -> [FoundSubscription]? {
        var all: [FoundSubscription] = []
        var after: String?
        for _ in 0..<Self.maxPages {
            do throws(StripeError) {
                let (found, last) = try await list(["customer": .string(customer)], after: after)
                all += found
                guard let last else { return all }
                after = last
            } catch {
                guard error.isMissing else { throw error }
                return nil
            }
        }
        throw .nonsense("more subscriptions of one customer than anybody has")
    }

    /// nil when Stripe does not know it.
    private func subscription(_ id: String) async throws -> FoundSubscription? {
        let answer = try await known("/v1/subscriptions/", id, ["expand": ["latest_invoice"]])
        do throws(StripeShapeError) {
            return try answer.map { json throws(StripeShapeError) in try FoundSubscription(stripe: json) }
        } catch {
            throw StripeError.nonsense(error.description)
        }
    }

    private func isDeleted(_ customer: String, _ ticket: Ticket) async throws -> Bool {
        if ticket.isDeleted { return true }
        return try await customerJSON(customer)?["deleted"]?.boolValue ?? false
    }

    /// Of a customer that a signed event calls deleted, which is final: only Stripe's showing it contradicts that.
    private func isGone(_ customer: String?) async throws -> Bool {
        guard let customer, let answer = try await customerJSON(customer) else { return true }
        return answer["deleted"]?.boolValue ?? false
    }

    private func customerJSON(_ id: String) async throws(StripeError) -> JSON? {
        try await known("/v1/customers/", id)
    }

    /// The checkout as it is now; as it was delivered when Stripe does not show it.
    private func readCheckout(_ event: StripeEvent, _ findings: inout BillingFindings) async throws {
        let session = try await shown("/v1/checkout/sessions/", event.objectID, orElse: event.object)
        if findings.customer == nil { findings.customer = session.stripeID("customer") }
        guard let customer = findings.customer, session.stripeID("customer") == customer else { return }
        findings.checkouts.append(try FoundCheckout(stripe: session))
        if let account = session["metadata"]?["account"]?.stringValue { findings.claims.append(account) }
    }

    private func readDispute(_ event: StripeEvent, _ findings: inout BillingFindings) async throws {
        let object = try await shown("/v1/disputes/", event.objectID, orElse: event.object)
        let dispute = try Dispute(stripe: object)
        if findings.customer == nil {
            findings.customer = try await self.customer(ofCharge: dispute.charge ?? event.charge)
        }
        findings.disputes.append(dispute)
    }

    /// Bills that were paid meanwhile, and trials that are over, need no mail.
    private func readNotice(
        _ event: StripeEvent, _ now: WallTime, _ findings: inout BillingFindings
    ) async throws {
        guard let notice = event.notice else { return }
        if let created = event.created, now.seconds - created.seconds > Self.noticesFor_s { return }
        let status = findings.subscriptions.first { $0.id == event.subscription }?.status
        if notice.notice == .trialEnds {
            guard status == .trialing else { return }
        } else if let invoice = event.invoice, let json = try await known("/v1/invoices/", invoice) {
            guard !["paid", "void"].contains(json["status"]?.stringValue) else { return }
        } else if status == .active || status == .trialing {
            return
        }
        findings.notices.append(notice)
    }

    /// nil for a charge without a customer, or one that Stripe does not know.
    private func customer(ofCharge charge: String?) async throws -> String? {
        try await shown("/v1/charges/", charge, orElse: .null).stripeID("customer")
    }

    private func shown(_ path: String, _ id: String?, orElse given: JSON) async throws(StripeError) -> JSON {
        guard let id else { return given }
        return try await known(path, id) ?? given
    }

    /// nil when Stripe does not know it.
    private func known(
        _ path: String, _ id: String, _ parameters: JSONObject = [:]
    ) async throws(StripeError) -> JSON? {
        do throws(StripeError) {
            return try await client.get(path + StripeClient.segment(id), parameters)
        } catch {
            guard error.isMissing else { throw error }
            return nil
        }
    }
}
