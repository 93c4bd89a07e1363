import Core
import Domain
import IO
import Store
import Stripe

/// As leader, works out what accounts used beyond their plans' volume and tells Stripe of it: never twice, whatever
/// becomes of answers and of this process.
public final class MeterSender: Sendable {
    private let store: Store
    private let meter: StripeMeter
    private let leadership: Leadership
    private let clock: @Sendable () -> WallTime
    private let results: [String: Counter]
    private let due: Gauge
    private let unclear: Gauge
    private let late: Gauge
    private let log = Log("meter")

    private static let interval = Milliseconds.seconds(20)
    private static let batch = 20

    public init(
        store: Store, meter: StripeMeter, leadership: Leadership, metrics: Metrics,
        clock: @escaping @Sendable () -> WallTime = { .now() }
    ) {
        self.store = store
        self.meter = meter
        self.leadership = leadership
        self.clock = clock
        var results: [String: Counter] = [:]
        for result in ["recorded", "duplicate", "refused", "unclear"] {
            results[result] = metrics.counter(
                "minecart_meter_events_total", "Tries to tell Stripe's meters of overage.",
                ["result": result])
        }
        self.results = results
        func gauge(_ state: String) -> Gauge {
            metrics.gauge(
                "minecart_meter_events", "Meter events that Stripe may not have counted.", ["state": state])
        }
        due = gauge("due")
        unclear = gauge("unclear")
        late = gauge("late")
    }

    /// Runs until the task is cancelled; an attempt under way is finished.
    public func run() async {
        while !Task.isCancelled {
            if let lease = leadership.current {
                let count = await Task { await turn(as: lease) }.value
                if count == Self.batch { continue }
            }
            if await !Task.pause(Self.interval) { return }
        }
    }

    /// Notes what is owed and sends what is due, up to a batch; how many attempts that were.
    func turn(as lease: Lease) async -> Int {
        do throws(StoreError) {
            try await store.followMetering(now: clock(), as: lease)
            try await store.noteOverage(now: clock(), as: lease)
            let claims = try await store.claimMeterEvents(limit: Self.batch, now: clock(), as: lease)
            for claim in claims { try await send(claim) }
            let counts = try await store.meterCounts()
            due.set(counts.due)
            unclear.set(counts.unclear)
            late.set(counts.late)
            return claims.count
        } catch {
            log.debug("cannot be metered now: \(error)")
            return 0
        }
    }

    private func send(_ claim: ClaimedMeterEvent) async throws(StoreError) {
        let answer = await meter.tell(claim.event)
        switch answer {
        case .recorded: results["recorded"]?.add()
        case .duplicate: results["duplicate"]?.add()
        case .refused(let reason):
            results["refused"]?.add()
            log.warning(
                "a meter event was not taken", ["event": claim.event.identifier, "problem": reason])
        case .unclear(let reason):
            results["unclear"]?.add()
            log.warning(
                "a meter event may have been taken; it is sent again under the same identifier",
                ["event": claim.event.identifier, "problem": reason])
        }
        try await store.finishMeterEvent(claim, answer)
    }
}
