import Wire

/// What an account may use. nil is no limit.
public struct Plan: Sendable, Hashable {
    public var id: String
    public var maxTunnels: Int?
    public var limits: Limits
    /// Whether names may be chosen rather than made up.
    public var chosenNames: Bool
    /// What an account has instead of its bytes/s while it is throttled; nil is its usual rate.
    public var throttled_bytes_per_s: Int?

    public init(
        id: String, maxTunnels: Int?, limits: Limits, chosenNames: Bool, throttled_bytes_per_s: Int? = nil
    ) {
        self.id = id
        self.maxTunnels = maxTunnels
        self.limits = limits
        self.chosenNames = chosenNames
        self.throttled_bytes_per_s = throttled_bytes_per_s
    }

    /// What a plan does not allow.
    public enum Refusal: Error, Sendable, Hashable {
        case tunnels(Int)
        case chosenName
        case ownDomain
    }

    /// Throws when one more tunnel is not allowed beside `existing` ones.
    public func admit(existing: Int, nameIsChosen: Bool) throws(Refusal) {
        if let maxTunnels, existing >= maxTunnels { throw .tunnels(maxTunnels) }
        if nameIsChosen && !chosenNames { throw .chosenName }
    }
}
