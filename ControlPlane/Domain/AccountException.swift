import Wire

/// One number of an account's exception.
public enum Override: Sendable, Hashable {
    /// No exception: the plan's number counts.
    case plan
    case unlimited
    case limit(Int)

    /// The number that counts beside `planned`; nil is no limit.
    public func over(_ planned: Int?) -> Int? {
        switch self {
        case .plan: planned
        case .unlimited: nil
        case .limit(let value): value
        }
    }
}

/// What an operator gave one account instead of its plan's numbers.
public struct AccountException: Sendable, Hashable {
    public var maxTunnels: Override
    public var players: Override
    public var bytes_per_s: Override
    public var idle_timeout_s: Override
    public var bytes_per_month: Override

    public static let none = AccountException()

    public init(
        maxTunnels: Override = .plan, players: Override = .plan, bytes_per_s: Override = .plan,
        idle_timeout_s: Override = .plan, bytes_per_month: Override = .plan
    ) {
        self.maxTunnels = maxTunnels
        self.players = players
        self.bytes_per_s = bytes_per_s
        self.idle_timeout_s = idle_timeout_s
        self.bytes_per_month = bytes_per_month
    }

    public func over(_ limits: Limits) -> Limits {
        Limits(
            players: players.over(limits.players), bytes_per_s: bytes_per_s.over(limits.bytes_per_s),
            idle_timeout_s: idle_timeout_s.over(limits.idle_timeout_s))
    }
}

extension Plan {
    /// What an account with this exception may use.
    public func with(_ exception: AccountException, isThrottled: Bool = false) -> Plan {
        var limits = exception.over(limits)
        if isThrottled { limits = limits.throttled(bytes_per_s: throttled_bytes_per_s) }
        return Plan(
            id: id, maxTunnels: exception.maxTunnels.over(maxTunnels), limits: limits,
            chosenNames: chosenNames, throttled_bytes_per_s: throttled_bytes_per_s)
    }
}

extension Limits {
    /// The same with at most `bytes_per_s`; nil changes nothing.
    public func throttled(bytes_per_s throttled: Int?) -> Limits {
        guard let throttled else { return self }
        return Limits(
            players: players, bytes_per_s: min(bytes_per_s ?? throttled, throttled),
            idle_timeout_s: idle_timeout_s)
    }
}
