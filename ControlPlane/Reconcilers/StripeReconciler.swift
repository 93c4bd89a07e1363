import Core
import Domain
import Store
import Stripe

/// As leader, finds what webhooks missed: events that were not delivered, every quarter of an hour and at the start;
/// each subscription, once a day and after a gap that events cannot fill. It also lets graces end.
public struct StripeReconciler: Sendable {
    private let store: Store
    private let reader: StripeReader
    private let terms: BillingTerms
    private let leadership: Leadership
    private let metrics: StripeMetrics
    private let log = Log("stripe")

    private static let tick = Milliseconds.seconds(1)
    private static let catchUpEvery_s = 15 * 60
    private static let compareEvery_s = 24 * 3600
    /// Events younger than this are asked for again: Stripe may still be trying to deliver them.
    private static let overlap_s: Int64 = 3600
    /// Stripe keeps events for 30 days.
    private static let longestGap_s = 29 * 24 * 3600
    /// After a failure, the next attempt.
    private static let retryAfter = Milliseconds.seconds(30)

    public init(
        store: Store, client: StripeClient, terms: BillingTerms, leadership: Leadership,
        metrics: StripeMetrics
    ) {
        self.store = store
        reader = StripeReader(client)
        self.terms = terms
        self.leadership = leadership
        self.metrics = metrics
    }

    /// Runs until the task is cancelled.
    public func run() async {
        var epoch = 0
        var notBefore = Instant(nanoseconds: 0)
        while await Task.pause(Self.tick) {
            guard let lease = leadership.current else { continue }
            do throws(StoreError) {
                try await lookAfter(lease)
            } catch {
                log.debug("graces cannot be looked after now: \(error)")
                continue
            }
            guard Instant.now() >= notBefore else { continue }
            do {
                // A new leader may follow an outage of any length.
                try await reconcile(as: lease, isNew: lease.epoch != epoch)
                epoch = lease.epoch
            } catch {
                log.warning("not reconciled with Stripe: \(error)")
                notBefore = Instant.now() + Self.retryAfter
            }
        }
    }

    func lookAfter(_ lease: Lease) async throws(StoreError) {
        _ = try await store.decideDueBilling(terms, as: lease)
        let backlog = try await store.stripeBacklog()
        metrics.pending.set(backlog.pending)
        metrics.failedNow.set(backlog.failed)
    }

    /// Does what is due.
    func reconcile(as lease: Lease, isNew: Bool) async throws {
        let events = try await store.progress(of: .events)
        let subscriptions = try await store.progress(of: .subscriptions)
        // Before the events, whose own time starts anew by being caught up with.
        if (subscriptions.age_s ?? .max) >= Self.compareEvery_s || (events.age_s ?? .max) >= Self.longestGap_s
        {
            try await compare(as: lease)
        }
        if isNew || (events.age_s ?? .max) >= Self.catchUpEvery_s {
            try await catchUp(after: events.cursor, as: lease)
        }
    }

    /// Fetches what Stripe could not deliver.
    func catchUp(after cursor: String?, as lease: Lease) async throws {
        do {
            try await fetch(after: cursor, as: lease)
        } catch let error as StripeError where cursor != nil && error.isMissing {
            // The event that we had got to is older than Stripe remembers: what lies between is lost as events.
            log.warning("Stripe forgot the event that we had got to: everything is compared")
            try await compare(as: lease)
            try await fetch(after: nil, as: lease)
        }
    }

    private func fetch(after cursor: String?, as lease: Lease) async throws {
        var newest: (created: Int64, id: String)?
        let ripe = WallTime.now().seconds - Self.overlap_s
        var added = 0
        try await reader.undelivered(after: cursor) { page in
            var events: [NewStripeEvent] = []
            for payload in page {
                guard let event = try? StripeEvent(payload) else {
                    log.warning("Stripe lists an event that makes no sense")
                    continue
                }
                events.append(NewStripeEvent(event))
                if let created = event.created?.seconds, created <= ripe, created >= newest?.created ?? 0 {
                    newest = (created, event.id)
                }
            }
            added += try await store.keep(events, from: .catchUp)
        }
        metrics.caughtUp.add(added)
        if added > 0 { log.info("caught up with Stripe", ["events": String(added)]) }
        try await store.reconciled(.events, cursor: newest?.id ?? cursor, as: lease)
    }

    /// Compares every subscription, and decides anew about every account.
    func compare(as lease: Lease) async throws {
        var customers: Set<String> = []
        var seen: Set<String> = []
        try await reader.allSubscriptions { page in
            seen.formUnion(page.map(\.id))
            customers.formUnion(try await store.customersThatDiffer(page))
        }
        customers.formUnion(try await store.customersOfLiveSubscriptions(except: seen))
        for customer in try await store.withoutPendingEvents(customers).sorted() {
            try await repair(customer)
        }
        for account in try await store.billedAccounts() {
            if try await store.decideBilling(of: account, terms, actor: Store.reconcilerActor) {
                metrics.differences.add()
            }
        }
        try await store.forgetOldStripeEvents(as: lease)
        try await store.reconciled(.subscriptions, cursor: nil, as: lease)
    }

    private func repair(_ customer: String) async throws {
        let store = store
        do {
            let findings = try await reader.findings(about: customer) { customer in
                StripeReader.Ticket(try await store.stripeTicket(customer))
            }
            let outcome = try await store.write(
                findings, settling: nil, terms, actor: Store.reconcilerActor)
            metrics.count(outcome)
            metrics.differences.add()
            try await store.auditRepair(of: customer, outcome)
            log.warning("Stripe knew better about a customer", ["customer": customer])
        } catch let error where StripeTrouble(error) == .own {
            // One customer's trouble is not the others'.
            log.error("a customer cannot be compared: \(error)", ["customer": customer])
        }
    }
}
