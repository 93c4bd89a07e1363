import Core
import Domain
import Redis
import Synchronization

/// The rates of callers, shared by all requests of this process and, now and then, with the other control planes:
/// requests never wait for that.
public final class RateLimiter: Sendable {
    private let cells: Mutex<RateCells>
    private let redis: RedisThrottles?
    private let clock: @Sendable () -> Instant
    private let isSharedFlag = Atomic<Bool>(false)
    private let log = Log("throttle")
    private static let interval = Milliseconds(200)
    private static let outageInterval = Milliseconds.seconds(1)
    private static let maxUsesAtOnce = 500

    /// Without Redis, or while it is away, each process counts by itself.
    public init(redis: RedisClient? = nil, clock: @escaping @Sendable () -> Instant = { .now() }) {
        self.redis = redis.map { RedisThrottles($0) }
        self.clock = clock
        cells = Mutex(RateCells(tells: redis != nil))
    }

    /// Whether the last exchange with the others worked.
    public var isShared: Bool { isSharedFlag.load(ordering: .relaxed) }

    public func verdict(_ limit: RateLimit, caller: String) -> RateCells.Verdict {
        let now = clock()
        return cells.withLock { $0.take(limit, caller: caller, now: now) }
    }

    /// Exchanges with the others what was used, until the task is cancelled.
    public func run() async {
        guard redis != nil else { return }
        while await Task.pause(isShared ? Self.interval : Self.outageInterval) { await exchange() }
    }

    /// Tells the others what was used here and learns what all have used.
    public func exchange() async {
        guard let redis else { return }
        var isFirst = true
        while true {
            let uses = cells.withLock { $0.takeNews(max: Self.maxUsesAtOnce) }
            if uses.isEmpty, !isFirst || isShared { return }
            isFirst = false
            do throws(RedisError) {
                let used = try await redis.exchange(uses)
                let now = clock()
                cells.withLock { cells in
                    for (use, used_ns) in zip(uses, used) { cells.learn(use.key, used_ns: used_ns, now: now) }
                }
                if !isSharedFlag.exchange(true, ordering: .relaxed) { log.info("rates are shared") }
            } catch {
                if isSharedFlag.exchange(false, ordering: .relaxed) {
                    log.warning("rates are counted by this process alone", ["reason": error.description])
                }
                return
            }
        }
    }
}
