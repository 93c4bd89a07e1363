import Core
import Domain
import Store
import Synchronization

/// Whether this process leads, kept by a lease row. Everything done as leader carries the lease's epoch, and the
/// store checks it again in each transaction: what is known here is only when to try.
public final class Leadership: Sendable {
    private struct State {
        var lease: Lease?
        var renewed = Instant(nanoseconds: 0)
        var since: Instant?
        var redisReady = false
        var redisChanged = Instant.now()
        var redisReturns = 0
    }

    static let length_s = 6
    static let renewEvery = Milliseconds.seconds(2)

    private let store: Store
    private let holder: String
    private let state = Mutex(State())
    private let log = Log("leader")

    /// `holder` is this process's own name, new at each start.
    public init(store: Store, holder: String) {
        self.store = store
        self.holder = holder
    }

    /// The lease while it lasts by our own clock, counted from before we asked for it.
    var current: Lease? {
        state.withLock { state in
            Instant.now().since(state.renewed).count < Self.length_s * 1000 ? state.lease : nil
        }
    }

    public var isLeader: Bool { current != nil }

    /// How long we have led without a break; nil when we do not.
    var ledFor: Milliseconds? {
        guard current != nil else { return nil }
        return state.withLock { $0.since.map { Instant.now().since($0) } }
    }

    /// Grows each time Redis comes back: everything there is owed again.
    var redisReturns: Int { state.withLock { $0.redisReturns } }

    var redisIsReady: Bool { state.withLock { $0.redisReady } }

    /// How long Redis has been the way it is.
    var redisSteadyFor: Milliseconds { state.withLock { Instant.now().since($0.redisChanged) } }

    public func redisIs(ready: Bool) {
        state.withLock { state in
            guard state.redisReady != ready else { return }
            state.redisReady = ready
            state.redisChanged = .now()
            if ready { state.redisReturns += 1 }
        }
    }

    /// Runs until the task is cancelled, then lets go of the lease.
    public func run() async {
        repeat { await renew() } while await Task.pause(Self.renewEvery)
        if let lease = current {
            state.withLock { $0.lease = nil }
            try? await store.releaseLease(lease)
        }
    }

    private func renew() async {
        let asked = Instant.now()
        do {
            let lease = try await store.holdLease(Lease.leader, holder: holder, length_s: Self.length_s)
            let before = current
            state.withLock { state in
                if lease != nil, state.lease?.epoch != lease?.epoch || before == nil { state.since = asked }
                state.lease = lease
                state.renewed = asked
            }
            switch (before, lease) {
            case (nil, let lease?): log.info("leading", ["epoch": String(lease.epoch)])
            case (.some, nil): log.warning("another process leads now")
            default: break
            }
        } catch {
            log.debug("the lease could not be renewed: \(error)")
        }
    }
}
