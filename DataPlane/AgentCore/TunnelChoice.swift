/// Which tunnel `up` serves, decided from what the account has.
enum TunnelChoice: Hashable {
    case serve(Tunnel)
    case create
    /// The person has to name one of these.
    case ambiguous([Tunnel])

    /// With a label: the tunnel of that label, or a new one. Without: the only tunnel, or a first one. A region
    /// that was asked for leaves only its own tunnels to choose from.
    static func choose(label: String?, region: String?, from tunnels: [Tunnel]) -> TunnelChoice {
        let fitting = tunnels.filter { tunnel in
            (label == nil || tunnel.label.lowercased() == label) && (region == nil || tunnel.region == region)
        }
        if let only = fitting.first { return fitting.count == 1 ? .serve(only) : .ambiguous(fitting) }
        return .create
    }
}
