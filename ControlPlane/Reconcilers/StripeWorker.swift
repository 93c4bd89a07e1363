import Core
import Domain
import Store
import Stripe

/// Works on Stripe's events, in every process: claims those of one customer, reads again what they are about, writes
/// down what it comes to. Killed at any moment it leaves a claim that ends by itself.
public struct StripeWorker: Sendable {
    private let store: Store
    private let reader: StripeReader
    private let isLive: Bool?
    private let terms: BillingTerms
    private let bell: Bell
    private let metrics: StripeMetrics
    private let log = Log("stripe")

    private static let width = 4
    private static let lease_s = 15
    private static let renewEvery = Milliseconds.seconds(5)
    private static let callDeadline = Milliseconds.seconds(8)
    /// Without a ring, this often.
    private static let pause = Milliseconds.seconds(1)

    public init(
        store: Store, client: StripeClient, terms: BillingTerms, bell: Bell, metrics: StripeMetrics
    ) {
        self.store = store
        reader = StripeReader(client.with(deadline: Self.callDeadline, maxRetries: 1))
        isLive = client.isLive
        self.terms = terms
        self.bell = bell
        self.metrics = metrics
    }

    /// Runs until the task is cancelled.
    public func run() async {
        await withDiscardingTaskGroup { group in
            for _ in 0..<Self.width { group.addTask { await follow() } }
        }
    }

    private func follow() async {
        while !Task.isCancelled {
            let rings = bell.rings
            do throws(StoreError) {
                if try await step() { continue }
            } catch {
                log.debug("no events can be taken now: \(error)")
            }
            await bell.wait(beyond: rings, timeout: Self.pause)
        }
    }

    /// Works on what is due longest; false when nothing is.
    @discardableResult
    func step() async throws(StoreError) -> Bool {
        guard let batch = try await store.claimStripeEvents(lease_s: Self.lease_s) else { return false }
        let renewal = Task {
            while await Task.pause(Self.renewEvery) {
                try? await store.renew(batch, lease_s: Self.lease_s)
            }
        }
        await work(on: batch)
        renewal.cancel()
        return true
    }

    private func work(on batch: StripeBatch) async {
        do {
            let events = try batch.events.map { try StripeEvent($0.payload) }
            for event in events { try StripeTrouble.checkMode(of: event, key: isLive) }
            let store = store
            let findings = try await reader.findings(
                about: events, customer: batch.customer,
                ticket: batch.ticket.map { StripeReader.Ticket($0) }, now: .now()
            ) { customer in StripeReader.Ticket(try await store.stripeTicket(customer)) }
            metrics.count(try await store.write(findings, settling: batch, terms))
        } catch {
            // Of its own, so that being told to stop does not keep the claim from being given back.
            let isStopping = Task.isCancelled
            await Task { await putBack(batch, error, isStopping: isStopping) }.value
        }
    }

    private func putBack(_ batch: StripeBatch, _ error: any Error, isStopping: Bool) async {
        let trouble = StripeTrouble(error)
        let strikes = batch.events.map(\.strikes).max() ?? 0
        let tries = trouble.isStrike ? strikes : (batch.events.map(\.attempts).min() ?? 1) - 1
        let after_s = isStopping ? 0 : trouble.pause_s(after: tries)
        let fails = !isStopping && trouble.isHopeless(after: strikes + 1)
        if !isStopping {
            let names = batch.events.map(\.id).prefix(3).joined(separator: ",")
            if fails {
                metrics.failed.add(batch.events.count)
                log.error("an event is given up: \(error)", ["events": names])
            } else {
                metrics.postponed.add(batch.events.count)
                log.warning(
                    "events are tried again later: \(error)", ["events": names, "seconds": String(after_s)])
            }
        }
        do throws(StoreError) {
            try await store.postpone(
                batch, after_s: after_s, problem: isStopping ? nil : "\(error)",
                strike: !isStopping && trouble.isStrike, fails: fails)
        } catch {
            log.debug("the claim is left to end by itself: \(error)")
        }
    }
}

extension StripeReader.Ticket {
    init(_ ticket: StripeTicket) {
        self.init(number: ticket.number, known: ticket.known, isDeleted: ticket.isDeleted)
    }
}
