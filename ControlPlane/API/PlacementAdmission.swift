import Core
import Domain
import Synchronization

/// The line before placements: requests wait in it without holding a database connection.
public final class PlacementAdmission: Sendable {
    private struct Waiting {
        let hasPriority: Bool
        let isGone: @Sendable () -> Bool
        /// nil lets in; seconds send away.
        let continuation: CheckedContinuation<Int?, Never>
    }

    private struct State {
        var line: PlacementLine
        var waiting: [Int: Waiting] = [:]
        var isWatched = false
    }

    private let state: Mutex<State>
    private let clock: @Sendable () -> Instant
    private let admitted: [Counter]
    private let refused: [Counter]
    /// Between two looks at who may go on: at 500 a second ten go together.
    private static let pause = Milliseconds(20)

    public init(
        _ rules: PlacementLine.Rules = PlacementLine.Rules(), metrics: Metrics,
        clock: @escaping @Sendable () -> Instant = { .now() }
    ) {
        state = Mutex(State(line: PlacementLine(rules)))
        self.clock = clock
        let plans = ["other", "priority"]
        admitted = plans.map {
            metrics.counter(
                "minecart_placements_admitted_total", "Placement requests that went on to the database.",
                ["plan": $0])
        }
        refused = plans.map {
            metrics.counter(
                "minecart_placements_refused_total", "Placement requests that were told to come back.",
                ["reason": "busy", "plan": $0])
        }
        metrics.gauge("minecart_placements_waiting", "Placement requests in line.") { [weak self] in
            self?.waitingCount ?? 0
        }
    }

    /// For placements that were let in and found no room, or no relay at all.
    static func otherRefusals(_ metrics: Metrics) -> (Counter, Counter) {
        func counter(_ reason: String) -> Counter {
            metrics.counter(
                "minecart_placements_refused_total", "Placement requests that were told to come back.",
                ["reason": reason])
        }
        return (counter("region-full"), counter("no-relay"))
    }

    var waitingCount: Int { state.withLock { $0.line.waiting } }

    /// Does the work when it is the caller's turn; throws `busy` when it is to come back later. One that is gone
    /// meanwhile is not let in: its turn is another's.
    func run<Value>(
        hasPriority: Bool, isGone: @escaping @Sendable () -> Bool = { false },
        _ work: () async throws -> Value
    ) async throws -> Value {
        try await enter(hasPriority: hasPriority, isGone: isGone)
        defer { state.withLock { $0.line.done() } }
        return try await work()
    }

    private func enter(hasPriority: Bool, isGone: @escaping @Sendable () -> Bool) async throws(Problem) {
        let plan = hasPriority ? 1 : 0
        let after_s: Int? = await withCheckedContinuation { continuation in
            let (answer, watches) = state.withLock { state in
                let answer = state.line.ask(hasPriority: hasPriority, now: clock())
                guard case .waits(let number) = answer else { return (answer, false) }
                state.waiting[number] = Waiting(
                    hasPriority: hasPriority, isGone: isGone, continuation: continuation)
                defer { state.isWatched = true }
                return (answer, !state.isWatched)
            }
            switch answer {
            case .enters: continuation.resume(returning: nil)
            case .comesBack(let after_s): continuation.resume(returning: after_s)
            case .waits: if watches { Task { await watch() } }
            }
        }
        guard let after_s else { return admitted[plan].add() }
        refused[plan].add()
        throw .busy(retryAfter_s: after_s)
    }

    /// While anybody waits.
    private func watch() async {
        while true {
            try? await Task.sleep(for: .milliseconds(Self.pause.count))
            let (resumed, isDone) = state.withLock { Self.advance(&$0, now: clock()) }
            for (continuation, after_s) in resumed { continuation.resume(returning: after_s) }
            if isDone { return }
        }
    }

    private static func advance(_ state: inout State, now: Instant) -> (
        [(CheckedContinuation<Int?, Never>, Int?)], Bool
    ) {
        var resumed: [(CheckedContinuation<Int?, Never>, Int?)] = []
        for (number, waiting) in state.waiting where waiting.isGone() {
            state.line.leave(number, hasPriority: waiting.hasPriority)
            state.waiting[number] = nil
            resumed.append((waiting.continuation, 1))
        }
        let news = state.line.advance(now: now)
        for number in news.entered {
            if let waiting = state.waiting.removeValue(forKey: number) {
                resumed.append((waiting.continuation, nil))
            }
        }
        for away in news.sentAway {
            if let waiting = state.waiting.removeValue(forKey: away.number) {
                resumed.append((waiting.continuation, away.after_s))
            }
        }
        state.isWatched = !state.waiting.isEmpty
        return (resumed, !state.isWatched)
    }
}

extension Problem {
    static func busy(retryAfter_s: Int) -> Problem {
        var problem = Problem(
            503, "busy", "Many agents ask for their place at once: try again in \(retryAfter_s) s.")
        problem.headers = [("Retry-After", String(retryAfter_s))]
        return problem
    }
}
