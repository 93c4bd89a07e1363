import Core
import Domain
import Redis
import Synchronization

/// Slows down guessing of passwords, together with the other control planes while Redis answers at once, else alone.
public final class SignInThrottle: Sendable {
    /// A try that was counted: to be ended when the password was right or was not looked at.
    public struct Attempt: Sendable {
        fileprivate let subject: SignInSubject
        fileprivate let isKnown: Bool
        fileprivate let isShared: Bool
    }

    public enum Answer: Sendable {
        case go(Attempt)
        case wait(ms: Int, StrikePolicy)
    }

    private let policies: SignInPolicies
    private let local: Mutex<SignInGuard>
    private let redis: RedisThrottles?
    private let breaker = Mutex(CircuitBreaker(pause: .seconds(2)))
    private let clock: @Sendable () -> Instant
    private let log = Log("throttle")
    private let patience: Milliseconds

    /// Without Redis this process counts by itself. Who signs in waits `patience` for Redis, no longer.
    public init(
        redis: RedisClient? = nil, policies: SignInPolicies = .standard,
        patience: Milliseconds = Milliseconds(100), clock: @escaping @Sendable () -> Instant = { .now() }
    ) {
        self.redis = redis.map { RedisThrottles($0) }
        self.policies = policies
        self.patience = patience
        self.clock = clock
        local = Mutex(SignInGuard(policies))
    }

    /// Counts a try before the password is looked at, unless who tries has to wait. `network` stands for the
    /// client's address.
    public func attempt(email: String, network: String) async -> Answer {
        let subject = SignInSubject(email: email, network: network)
        let shared = await asking { redis throws(RedisError) in
            try await redis.attempt(subject, policies, timeout: patience)
        }
        let now_ms = now_ms
        let verdict = shared ?? local.withLock { $0.attempt(subject, now_ms: now_ms) }
        switch verdict {
        case .pass(let isKnown):
            return .go(Attempt(subject: subject, isKnown: isKnown, isShared: shared != nil))
        case .wait(let ms, let policy): return .wait(ms: ms, policy)
        }
    }

    /// Gives back what was counted.
    public func end(_ attempt: Attempt, _ end: SignInEnd) async {
        let now_ms = now_ms
        guard attempt.isShared else {
            return local.withLock {
                $0.end(attempt.subject, end, wasKnown: attempt.isKnown, now_ms: now_ms)
            }
        }
        _ = await asking { redis throws(RedisError) in
            try await redis.end(
                attempt.subject, policies, end, wasKnown: attempt.isKnown, timeout: patience)
        }
        // For the time when Redis is away.
        if end == .rightPassword { local.withLock { $0.know(attempt.subject, now_ms: now_ms) } }
    }

    /// Whether Redis answered when it was asked last.
    public var isShared: Bool { redis != nil && breaker.withLock { $0.isClosed } }

    private var now_ms: Int { Int(clock().nanoseconds / 1_000_000) }

    /// nil when Redis does not answer, or did not a moment ago.
    private func asking<Value: Sendable>(
        _ question: (RedisThrottles) async throws(RedisError) -> Value
    ) async -> Value? {
        guard let redis, breaker.withLock({ $0.mayTry(now: clock()) }) else { return nil }
        do throws(RedisError) {
            let value = try await question(redis)
            breaker.withLock { $0.succeeded() }
            return value
        } catch {
            let isNews = breaker.withLock { breaker in
                defer { breaker.failed(now: clock()) }
                return breaker.isClosed
            }
            if isNews {
                log.warning("sign-ins are counted by this process alone", ["reason": error.description])
            }
            return nil
        }
    }
}
