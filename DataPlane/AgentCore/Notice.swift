import Core

/// Something that the person at the keyboard, or their script, is told.
public enum Notice: Sendable, Hashable {
    case starting(local: Endpoint)
    case tunnelCreated(hostname: String)
    /// nil: there was nothing to measure or nothing answered.
    case regionChosen(String, Milliseconds?)
    case connecting(relay: String)
    /// Players can join. `again`: they could before, and then could not for a while.
    case ready(address: String, relay: String, region: String, again: Bool = false)
    /// Players come in by another relay; `lost`: since this one went away.
    case migrated(address: String, relay: String, lost: String? = nil)
    /// A second relay stands by.
    case standbyUp(relay: String)
    case standbyLost(relay: String, reason: String)
    /// Nobody can join until there is a relay again.
    case reconnecting(after: Milliseconds, reason: String)
    case playerJoined(Visit, players: Int)
    case playerLeft(Visit, players: Int, stay: Milliseconds)
    case localServerSilent(Endpoint, playerWaits: Bool)
    case localServerBack(Endpoint)
    /// Closed, since nobody had played for so long. `canWake`: it waits for Enter; else it ends.
    case asleep(address: String, idle_s: Int?, canWake: Bool)
    case failed(AgentFailure)
    /// Serves nobody new; ends when these players have left, at the latest after `limit`.
    case finishing(players: Int, limit: Milliseconds)
    case stopping(players: Int)
}

/// Why the agent stops by itself.
public enum AgentFailure: Error, Sendable, Hashable {
    case badKey(detail: String)
    /// Its checksum is wrong: something was lost in copying.
    case damagedKey
    case forbidden(detail: String)
    case nameTaken(label: String, detail: String)
    case severalTunnels([Tunnel])
    case unknownRegion(String, known: [String])
    case noRegions
    case tunnelGone(address: String)
    case replaced(address: String)
    case revoked(address: String)
    case refused(detail: String)
    /// Something on this machine.
    case local(String)

    public var code: String {
        switch self {
        case .badKey, .damagedKey: "bad_key"
        case .forbidden: "not_allowed"
        case .nameTaken: "name_taken"
        case .severalTunnels: "several_tunnels"
        case .unknownRegion: "unknown_region"
        case .noRegions: "no_regions"
        case .tunnelGone: "tunnel_gone"
        case .replaced: "replaced"
        case .revoked: "revoked"
        case .refused: "refused"
        case .local: "local_problem"
        }
    }
}
