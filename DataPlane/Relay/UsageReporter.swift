import Core
import Crypto
import IO
import RelayCore
import Synchronization
import Wire

/// The relay's book of what passed: every loop writes into it, the reporter reads from it.
final class UsageLedger: Sendable {
    private let book: Mutex<UsageBook>

    /// The reports of one run of this relay are not those of the run before.
    init(relay: String, run: String) {
        book = Mutex(UsageBook(relay: relay, run: run, now: .now()))
    }

    func add(_ count: UsageCount, to tunnel: String, now: WallTime) {
        book.withLock { $0.add(count, to: tunnel, now: now) }
    }

    func update<Value: Sendable>(_ work: (inout UsageBook) -> sending Value) -> Value {
        book.withLock { work(&$0) }
    }
}

/// Tells the control plane every few seconds what passed through this relay, and once more at the end. Lives on the
/// relay's first loop.
///
/// Nothing is kept on disk: a relay that is killed takes what it had not told yet with it, one interval or, while
/// the control plane is away, all since then.
final class UsageReporter {
    private let loop: EventLoop
    private let context: RelayContext
    private let client: ControlPlaneClient
    private let interval: Milliseconds
    private let log = Log("relay")
    private var isFailing = false
    private var lostBytes = 0
    private var ending: (() -> Void)?
    /// For the last reports, once the players are gone.
    private static let endLimit = Milliseconds.seconds(3)
    private static let endPause = Milliseconds(500)

    init(loop: EventLoop, context: RelayContext, client: ControlPlaneClient, interval: Milliseconds) {
        self.loop = loop
        self.context = context
        self.client = client
        self.interval = interval
    }

    /// Relays that were started together do not all report at once.
    func start() {
        loop.schedule(after: Milliseconds(Int.random(in: 0...interval.count))) { [weak self] in self?.beat() }
    }

    private func beat() {
        report()
        loop.schedule(after: interval) { [weak self] in self?.beat() }
    }

    /// Counts what is running, tells everything, and then calls `done`; not later than a few seconds from now.
    func finish(_ done: @escaping () -> Void) {
        guard ending == nil else { return }
        ending = done
        loop.schedule(after: Self.endLimit) { [weak self] in self?.end() }
        context.countBytes(on: loop) { [weak self] in self?.report() }
    }

    private func end() {
        guard let ending = ending.take() else { return }
        if !context.usage.update({ $0.isEmpty }) {
            log.warning("usage is lost: the control plane did not take the last report")
        }
        ending()
    }

    private func report() {
        let (report, lost) = context.usage.update { ($0.next(now: .now()), $0.lostBytes) }
        context.metrics.usageLostBytes.add(lost - lostBytes)
        lostBytes = lost
        guard let report else {
            if context.usage.update({ $0.isEmpty }) { end() }
            return
        }
        client.report(usage: report) { [weak self] result in self?.answered(report, result) }
    }

    private func answered(_ report: UsageReport, _ result: Result<JSON, ControlPlaneError>) {
        switch result {
        case .success:
            context.metrics.usageReports.add()
            context.usage.update { $0.acknowledged(report.id) }
            if isFailing { log.info("usage is told again") }
            isFailing = false
            // What had to wait meanwhile; nothing, as a rule.
            if ending != nil || context.usage.update({ $0.isBehind }) { self.report() }
        case .failure(let error) where error.isFinal:
            let refused = context.usage.update { $0.refused(report.id) }
            let bytes = refused?.rows.reduce(0) { $0 + $1.bytes_up + $1.bytes_down } ?? 0
            context.metrics.usageLostBytes.add(bytes)
            log.error(
                "a usage report was refused and is lost", ["bytes": String(bytes), "reason": "\(error)"])
            if ending != nil { self.report() }
        case .failure(let error):
            context.usage.update { $0.failed(report.id) }
            if !isFailing {
                log.warning("usage cannot be told now; it is kept", ["reason": "\(error)"])
            }
            isFailing = true
            if ending != nil {
                loop.schedule(after: Self.endPause) { [weak self] in self?.report() }
            }
        }
    }
}
