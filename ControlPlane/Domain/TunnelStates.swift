import Wire

extension TunnelState {
    /// An agent that has not linked so long after its placement is not on its way any more.
    public static let connectingLimit_s = 60

    /// What a tunnel shows, from what is stored about it. `awaited_s` is how long its agent has been on its way; nil
    /// when it has left again.
    public static func derived(
        isSuspended: Bool, isPlaced: Bool, isLinked: Bool, awaited_s: Int?
    ) -> TunnelState {
        if isSuspended { return .suspended }
        guard isPlaced else { return .offline }
        if isLinked { return .online }
        guard let awaited_s else { return .offline }
        return awaited_s < connectingLimit_s ? .connecting : .offline
    }
}
