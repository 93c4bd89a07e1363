/// Why a tunnel is suspended though its account is not.
public enum Suspension: String, Sendable, Hashable {
    /// The account's limits allow fewer tunnels. It comes back by itself when there is room.
    case surplus
    /// Somebody decided so, and only somebody undoes it.
    case `operator`
}

/// Which tunnels an account that may have fewer than it has keeps: the oldest ones. The newest are suspended and
/// come back, oldest first, when there is room again. A tunnel that an operator suspended keeps its place in the
/// count, so that a suspension does not make room for another tunnel.
public enum Surplus {
    public struct Change<ID: Sendable & Hashable>: Sendable, Hashable {
        public var suspended: [ID]
        public var resumed: [ID]
    }

    /// `tunnels` are all of one account's, oldest first; `maxTunnels` nil is no limit.
    public static func change<ID: Sendable & Hashable>(
        _ tunnels: [(id: ID, suspension: Suspension?)], maxTunnels: Int?
    ) -> Change<ID> {
        let kept = maxTunnels.map { max(0, $0) } ?? tunnels.count
        return Change(
            suspended: tunnels.dropFirst(kept).filter { $0.suspension == nil }.map(\.id),
            resumed: tunnels.prefix(kept).filter { $0.suspension == .surplus }.map(\.id))
    }
}
