import Core

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

    /// Passwords are checked: each costs us a fifth of a second of a core. Per client network.
    public static let signIn = RateLimit("sign-in", quota: 300, window_s: 60)
    /// Any other call with a credential: a program gone wild must not starve the others.
    public static let calls = RateLimit("calls", quota: 60_000, window_s: 60)
    /// All of an account's credentials together.
    public static let account = RateLimit("account", quota: 180_000, window_s: 60)
    /// Each asks name servers, and those of strangers behind them.
    public static let domainChecks = RateLimit("domain-checks", quota: 30, window_s: 60)
    /// Credentials that were not good, per client network.
    public static let badCredentials = RateLimit("bad-credentials", quota: 300, window_s: 60)

    /// The time in which one request is refilled.
    public var step_ns: UInt64 { UInt64(window_s) * 1_000_000_000 / UInt64(max(1, quota)) }
    /// What a whole quota takes to refill.
    public var full_ns: UInt64 { step_ns * UInt64(quota) }

    /// draft-ietf-httpapi-ratelimit-headers-11.
    public var policyField: String { "\"\(name)\";q=\(quota);w=\(window_s)" }
    public func field(remaining: Int, reset_s: Int) -> String { "\"\(name)\";r=\(remaining);t=\(reset_s)" }
}

/// The generic cell rate algorithm over many callers: one instant is kept for each. What was taken here is noted
/// until it is told to the others who count the same callers, and what they tell is added. Pure.
public struct RateCells: Sendable {
    public struct Key: Sendable, Hashable {
        public let limit: RateLimit
        public let caller: String

        public init(limit: RateLimit, caller: String) {
            self.limit = limit
            self.caller = caller
        }
    }

    public enum Verdict: Sendable, Hashable {
        case pass(remaining: Int, reset_s: Int)
        case refuse(retryAfter_s: Int)
    }

    /// Requests that passed here and that nobody else knows of.
    public struct Use: Sendable, Hashable {
        public let key: Key
        public let count: Int
    }

    /// When each caller's bucket will be full again.
    private var full: [Key: Instant] = [:]
    private var untold: [Key: Int] = [:]
    private let maxCallers: Int
    private let tells: Bool

    /// `tells` when `takeNews` is called now and then.
    public init(maxCallers: Int = 50_000, tells: Bool = false) {
        self.maxCallers = maxCallers
        self.tells = tells
    }

    public var count: Int { full.count }

    public mutating func take(_ limit: RateLimit, caller: String, now: Instant) -> Verdict {
        let key = Key(limit: limit, caller: caller)
        let before = max(full[key] ?? now, now)
        let after = Instant(nanoseconds: before.nanoseconds + limit.step_ns)
        let used_ns = after.nanoseconds - now.nanoseconds
        guard used_ns <= limit.full_ns else {
            return .refuse(retryAfter_s: Self.seconds(used_ns - limit.full_ns))
        }
        if full[key] == nil, full.count >= maxCallers { makeRoom(now) }
        full[key] = after
        if tells, untold[key] != nil || untold.count < maxCallers { untold[key, default: 0] += 1 }
        return .pass(
            remaining: Int((limit.full_ns - used_ns) / limit.step_ns), reset_s: Self.seconds(used_ns))
    }

    /// What is to be told, at most of so many callers; it is not told again. When telling fails it is lost to the
    /// others, not here: what an outage kept back must not close a caller's way afterwards.
    public mutating func takeNews(max: Int) -> [Use] {
        let news = untold.prefix(max).map { Use(key: $0.key, count: $0.value) }
        for use in news { untold[use.key] = nil }
        return news
    }

    /// All together have used so much of a caller's bucket: it will be full `used_ns` after `now`.
    public mutating func learn(_ key: Key, used_ns: UInt64, now: Instant) {
        let since_ns = UInt64(untold[key] ?? 0) * key.limit.step_ns
        let told = Instant(nanoseconds: now.nanoseconds + min(used_ns, 2 * key.limit.full_ns) + since_ns)
        full[key] = max(full[key] ?? now, told)
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
