import Core
import Domain
import Store

/// What `/metrics` shows of Stripe's side, and the log lines that people are to act upon.
public struct StripeMetrics: Sendable {
    let done: Counter
    let postponed: Counter
    let failed: Counter
    let caughtUp: Counter
    let differences: Counter
    let changes: Counter
    let pending: Gauge
    let failedNow: Gauge
    private let alerts: [BillingFlag.Kind: Counter]
    private let log = Log("stripe")

    public init(_ metrics: Metrics) {
        func events(_ result: String) -> Counter {
            metrics.counter(
                "minecart_stripe_events_total", "Events of Stripe's that were worked on.", ["result": result])
        }
        done = events("done")
        postponed = events("postponed")
        failed = events("failed")
        caughtUp = metrics.counter(
            "minecart_stripe_caught_up_total", "Events that were fetched because they were not delivered.")
        differences = metrics.counter(
            "minecart_stripe_differences_total", "Differences to Stripe that were found and repaired.")
        changes = metrics.counter(
            "minecart_stripe_changes_total", "Accounts whose billing state changed.")
        pending = metrics.gauge("minecart_stripe_events_pending", "Events that wait to be worked on.")
        failedNow = metrics.gauge("minecart_stripe_events_failed", "Events that were given up.")
        var alerts: [BillingFlag.Kind: Counter] = [:]
        for kind in BillingFlag.Kind.allCases {
            alerts[kind] = metrics.counter(
                "minecart_stripe_alerts_total", "What people must know of.", ["kind": kind.rawValue])
        }
        self.alerts = alerts
    }

    func count(_ outcome: BillingOutcome) {
        done.add(outcome.settled.count)
        if outcome.before != outcome.after { changes.add() }
        for flag in outcome.raised {
            alerts[flag.kind]?.add()
            log.warning(
                "look at this: \(flag.kind.rawValue)",
                ["subject": flag.subject, "account": outcome.account?.text ?? "none"])
        }
    }
}
