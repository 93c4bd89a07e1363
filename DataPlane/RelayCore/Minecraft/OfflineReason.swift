/// Why a player cannot be brought home now, in words for the player.
public enum OfflineReason: Sendable, Hashable {
    /// No tunnel has this name.
    case unknownName
    /// No agent is connected.
    case agentAway
    /// Closed because nobody had played for a while.
    case asleep
    /// The agent is there, the Minecraft server behind it is not.
    case localServerAway
    /// As many players as the tunnel may have.
    case full
    /// Switched off by its owner, or the account is suspended.
    case suspended
    /// This relay ends; the tunnel moves to others.
    case elsewhere
    /// The agent is there but did not bring a connection in time.
    case slow
    /// This relay has no room.
    case relayFull
    /// The client is older than 1.7, whose login does not say enough.
    case clientTooOld
    /// The address in the handshake is none: too long, an IP address, or made by a proxy.
    case badAddress(RoutingName.Refusal)

    /// One or two sentences. `name` is what the player knows the server by, for example "sleepy-creeper".
    public func text(name: String) -> String {
        switch self {
        case .unknownName: "No server is called \(name) here. Check the address for a typing error."
        case .agentAway: "\(name) is offline right now. Try again when its owner has started it."
        case .asleep:
            "\(name) is sleeping because nobody had played for a while. Its owner must start it again."
        case .localServerAway: "\(name) is connected, but its Minecraft server is not running right now."
        case .full: "\(name) is full right now. Try again when someone has left."
        case .suspended: "\(name) is switched off right now. Its owner can switch it on again."
        case .elsewhere: "\(name) is on its way to another place. Please reconnect in a few seconds."
        case .slow: "\(name) did not answer in time. Please try again."
        case .relayFull: "This entrance to \(name) is crowded right now. Please try again in a minute."
        case .clientTooOld: "This address needs Minecraft 1.7 or newer."
        case .badAddress(.tooLong): "This server address is too long."
        case .badAddress(.forwardedIdentity): "Proxies that forward player addresses cannot join here."
        case .badAddress: "Join by the server's name, as its owner gave it to you."
        }
    }
}
