import Core
import Dispatch
import Synchronization

/// A bounded set of sessions. A caller who gets no working connection in `timeouts.connect` is told
/// `.unavailable`; once Postgres is back the next call works.
public final class Pool: Sendable {
    private struct Waiting {
        var state: PoolState
        var continuations: [PoolState.Ticket: CheckedContinuation<PoolState.Slot?, Never>] = [:]
        /// Tickets whose slot or refusal came before their continuation was stored.
        var early: [PoolState.Ticket: PoolState.Slot?] = [:]
        /// When each ticket's patience ends, in the order of tickets, those that were served meanwhile among them.
        var deadlines: [(ticket: PoolState.Ticket, deadline: Instant)] = []
        /// One timer for all: a timer each would cost more than what it waits for.
        var isWatched = false
    }

    private let sessions: [Session]
    private let timeouts: PostgresTimeouts
    private let waiting: Mutex<Waiting>
    private let timers = DispatchQueue(label: "postgres-pool-timers")
    /// More callers than this in the queue are refused at once: they would only wait in vain.
    private static let maxWaiting = 1000
    private static let attempts = 3

    public init(url: String, maxConnections: Int = 8, timeouts: PostgresTimeouts = PostgresTimeouts()) {
        sessions = (0..<maxConnections).map { Session(url: url, label: "postgres-\($0)") }
        self.timeouts = timeouts
        waiting = Mutex(Waiting(state: PoolState(slots: maxConnections, maxWaiting: Self.maxWaiting)))
    }

    /// Runs the closure between BEGIN and COMMIT; what it throws rolls back and is thrown on. A closure whose
    /// transaction lost against another one is run again, so it must not have effects outside the database.
    public func transaction<Result: Sendable>(
        _ isolation: Isolation = .readCommitted, _ body: @Sendable (inout Transaction) throws -> Result
    ) async throws -> Result {
        let connectBy = Instant.now() + timeouts.connect
        let slot = try await acquire(by: connectBy)
        defer { release(slot) }
        var attempt = 1
        while true {
            do {
                return try await sessions[slot].transaction(
                    isolation, timeouts: timeouts,
                    connectBy: attempt == 1 ? connectBy : Instant.now() + timeouts.connect, body)
            } catch PostgresError.serializationFailure where attempt < Self.attempts {
                attempt += 1
            }
        }
    }

    /// Runs a statement that cannot stand in a transaction, on a connection of its own.
    public static func runAlone(_ sql: String, url: String, timeout: Milliseconds) async throws {
        let deadline = Instant.now() + timeout
        try await Session(url: url, label: "postgres-alone").exclusively(connectBy: deadline) { connection in
            _ = try connection.query(sql, [], deadline: deadline)
        }
    }

    /// Closes every idle connection; later calls would open new ones.
    public func close() async {
        for session in sessions { await session.close() }
    }

    private func acquire(by deadline: Instant) async throws(PostgresError) -> PoolState.Slot {
        let (acquired, isFirst) = waiting.withLock { waiting in
            let acquired = waiting.state.acquire()
            guard case .wait(let ticket) = acquired else { return (acquired, false) }
            waiting.deadlines.append((ticket, deadline))
            defer { waiting.isWatched = true }
            return (acquired, !waiting.isWatched)
        }
        if isFirst { watch(until: deadline) }
        switch acquired {
        case .slot(let slot): return slot
        case .full: throw .unavailable("too many callers wait for a connection")
        case .wait(let ticket):
            let slot = await withCheckedContinuation { continuation in
                let early = waiting.withLock { waiting -> PoolState.Slot?? in
                    if let early = waiting.early.removeValue(forKey: ticket) { return .some(early) }
                    waiting.continuations[ticket] = continuation
                    return nil
                }
                if let early { continuation.resume(returning: early) }
            }
            guard let slot else { throw .unavailable("no free connection in time") }
            return slot
        }
    }

    private func release(_ slot: PoolState.Slot) {
        let next = waiting.withLock { waiting in
            waiting.state.release(slot).flatMap { Self.hand(slot, to: $0, &waiting) }
        }
        next?.resume(returning: slot)
    }

    private func watch(until deadline: Instant) {
        timers.asyncAfter(deadline: .now() + .milliseconds(deadline.since(.now()).count + 1)) {
            [weak self] in
            self?.giveUpOverdue(.now())
        }
    }

    /// Tells those whose patience is over, and looks again when the next one's is.
    private func giveUpOverdue(_ now: Instant) {
        let (owners, next) = waiting.withLock { waiting in
            var owners: [CheckedContinuation<PoolState.Slot?, Never>] = []
            var past = 0
            for (ticket, deadline) in waiting.deadlines {
                if waiting.state.isWaiting(ticket) {
                    guard deadline <= now else { break }
                    if waiting.state.giveUp(ticket), let owner = Self.hand(nil, to: ticket, &waiting) {
                        owners.append(owner)
                    }
                }
                past += 1
            }
            waiting.deadlines.removeFirst(past)
            waiting.isWatched = !waiting.deadlines.isEmpty
            return (owners, waiting.deadlines.first?.deadline)
        }
        for owner in owners { owner.resume(returning: nil) }
        if let next { watch(until: next) }
    }

    /// Whom to resume; nil when the owner has not begun to wait yet and will find the answer.
    private static func hand(_ slot: PoolState.Slot?, to ticket: PoolState.Ticket, _ waiting: inout Waiting)
        -> CheckedContinuation<PoolState.Slot?, Never>?
    {
        if let owner = waiting.continuations.removeValue(forKey: ticket) { return owner }
        waiting.early[ticket] = .some(slot)
        return nil
    }
}
