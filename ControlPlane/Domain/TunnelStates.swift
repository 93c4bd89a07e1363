import Wire

extension TunnelState {
    /// An agent that has not linked so long after its placement is not on its way any more.
    public static let connectingLimit_s = 60

    /// What a tunnel shows, from what is stored about it.
    public static func derived(
        isSuspended: Bool, isPlaced: Bool, isLinked: Bool, placedSecondsAgo: Int
    ) -> TunnelState {
        if isSuspended { return .suspended }
        guard isPlaced else { return .offline }
        if isLinked { return .online }
        return placedSecondsAgo < connectingLimit_s ? .connecting : .offline
    }
}
