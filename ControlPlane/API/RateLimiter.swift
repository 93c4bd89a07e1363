import Core
import Synchronization

/// How many requests one caller may make: `quota` in `window_s`, evenly refilled.
public struct RateLimit: Sendable, Hashable {
    public let name: String
    public let quota: Int
    public let window_s: Int

    public init(_ name: String, quota: Int, window_s: Int) {
        self.name = name
        self.quota = quota
        self.window_s = window_s
    }

    /// Passwords are checked: each costs us a fifth of a second of a core.
    public static let signIn = RateLimit("sign-in", quota: 300, window_s: 60)
    /// Any other call with a credential: a program gone wild must not starve the others.
    public static let calls = RateLimit("calls", quota: 60_000, window_s: 60)
    /// Each asks name servers, and those of strangers behind them.
    public static let domainChecks = RateLimit("domain-checks", quota: 30, window_s: 60)
    /// Credentials that were not good, per client address.
    public static let badCredentials = RateLimit("bad-credentials", quota: 300, window_s: 60)

    /// draft-ietf-httpapi-ratelimit-headers-11.
    var policyField: String { "\"\(name)\";q=\(quota);w=\(window_s)" }
    func field(remaining: Int, reset_s: Int) -> String { "\"\(name)\";r=\(remaining);t=\(reset_s)" }
}

/// The generic cell rate algorithm over many callers: one instant is kept for each. Pure; `RateLimiter` guards it.
struct RateCells {
    struct Key: Hashable {
        let limit: String
        let caller: String
    }

    enum Verdict: Equatable {
        case pass(remaining: Int, reset_s: Int)
        case refuse(retryAfter_s: Int)
    }

    /// When each caller's bucket will be full again.
    private var full: [Key: Instant] = [:]
    private let maxCallers: Int

    init(maxCallers: Int = 50_000) { self.maxCallers = maxCallers }

    var count: Int { full.count }

    mutating func take(_ limit: RateLimit, caller: String, now: Instant, cost: Int = 1) -> Verdict {
        let key = Key(limit: limit.name, caller: caller)
        let step_ns = UInt64(limit.window_s) * 1_000_000_000 / UInt64(max(1, limit.quota))
        let window_ns = step_ns * UInt64(limit.quota)
        let before = max(full[key] ?? now, now)
        let after = Instant(nanoseconds: before.nanoseconds + step_ns * UInt64(cost))
        let used_ns = after.nanoseconds - now.nanoseconds
        guard used_ns <= window_ns else {
            return .refuse(retryAfter_s: Self.seconds(used_ns - window_ns))
        }
        if full[key] == nil, full.count >= maxCallers { makeRoom(now) }
        full[key] = after
        return .pass(remaining: Int((window_ns - used_ns) / step_ns), reset_s: Self.seconds(used_ns))
    }

    private mutating func makeRoom(_ now: Instant) {
        full = full.filter { $0.value > now }
        // Everyone is busy: forgetting all is fairer than refusing newcomers.
        if full.count >= maxCallers { full = [:] }
    }

    private static func seconds(_ nanoseconds: UInt64) -> Int {
        Int((nanoseconds + 999_999_999) / 1_000_000_000)
    }
}

/// `RateCells` shared by all requests of this process.
final class RateLimiter: Sendable {
    private let cells = Mutex(RateCells())

    /// The fields that tell a caller where it stands.
    @discardableResult
    func take(_ limit: RateLimit, caller: String) throws(Problem) -> [(String, String)] {
        switch cells.withLock({ $0.take(limit, caller: caller, now: .now()) }) {
        case .pass(let remaining, let reset_s):
            return [
                ("RateLimit-Policy", limit.policyField),
                ("RateLimit", limit.field(remaining: remaining, reset_s: reset_s)),
            ]
        case .refuse(let retryAfter_s): throw .tooManyRequests(limit, retryAfter_s: retryAfter_s)
        }
    }
}
