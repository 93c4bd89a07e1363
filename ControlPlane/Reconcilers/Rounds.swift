import Core
import Store

/// When one of the leader's reconcilers works: on a signal, on a timer, and only while this process leads. Each round
/// begins from what the database says, so that one that failed, or was killed half-way, is simply begun again.
struct Rounds: Sendable {
    private let name: String
    private let leadership: Leadership
    /// What wakes it before its time; nil for nothing.
    private let watch: RegionWatch?
    private let interval: Milliseconds
    private let done: Counter
    private let failed: Counter
    private let log: Log

    /// Changes that come one upon another are looked at together.
    private static let breath = Milliseconds(250)

    init(
        _ name: String, leadership: Leadership, metrics: Metrics, interval: Milliseconds,
        watch: RegionWatch? = nil
    ) {
        self.name = name
        self.leadership = leadership
        self.watch = watch
        self.interval = interval
        log = Log(name)
        func counter(_ result: String) -> Counter {
            metrics.counter(
                "minecart_reconciler_rounds_total", "Rounds of the leader's reconcilers.",
                ["reconciler": name, "result": result])
        }
        done = counter("done")
        failed = counter("failed")
    }

    /// Runs until the task is cancelled. `round` answers how long to wait for the next one at most; nil is as usual.
    func run(_ round: (Lease) async throws -> Milliseconds?) async {
        var changes = 0
        var wait: Milliseconds? = Self.breath
        while await pause(wait, &changes) {
            guard let lease = leadership.current else {
                wait = nil
                continue
            }
            do {
                wait = try await round(lease)
                done.add()
            } catch {
                wait = nil
                if Task.isCancelled { return }
                failed.add()
                switch error {
                case StoreError.leaseLost: log.info("another process leads now")
                case StoreError.unavailable(let reason): log.debug("not now: \(reason)")
                default: log.error("a round failed", ["reason": "\(error)"])
                }
            }
        }
    }

    private func pause(_ wait: Milliseconds?, _ changes: inout Int) async -> Bool {
        let wait = wait ?? interval
        guard let watch else { return await Task.pause(wait) }
        guard await Task.pause(min(wait, Self.breath)) else { return false }
        if wait > Self.breath {
            changes = await watch.waitForAny(
                after: changes, timeout: Milliseconds(wait.count - Self.breath.count))
        }
        return !Task.isCancelled
    }
}
