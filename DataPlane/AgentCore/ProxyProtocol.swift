import Wire

/// How the home server is told a player's address (HAProxy's "The PROXY protocol", versions 1 and 2).
public enum ProxyProtocol: String, Sendable, Hashable {
    case off, v1, v2

    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]

    /// What the home server reads before the player's first byte; empty when off. `home` is where the player is
    /// passed on to; one of another family than the player's is replaced by that family's loopback address,
    /// since both must be alike.
    public func header(player: PlayerAddress, home: PlayerAddress?) -> [UInt8] {
        let destination: PlayerAddress
        if let home, home.isIPv6 == player.isIPv6 {
            destination = home
        } else {
            let loopback: [UInt8] = player.isIPv6 ? [UInt8](repeating: 0, count: 15) + [1] : [127, 0, 0, 1]
            guard let address = PlayerAddress(ip: loopback, port: home?.port ?? 25565) else { return [] }
            destination = address
        }
        switch self {
        case .off: return []
        case .v1:
            let family = player.isIPv6 ? "TCP6" : "TCP4"
            return Array(
                "PROXY \(family) \(player.host) \(destination.host) \(player.port) \(destination.port)\r\n"
                    .utf8)
        case .v2:
            let addresses =
                player.ip + destination.ip + Self.bigEndian(player.port) + Self.bigEndian(destination.port)
            // 21: version 2, command PROXY. 11 and 21: TCP over IPv4 and IPv6.
            return Self.signature + [0x21, player.isIPv6 ? 0x21 : 0x11] + Self.bigEndian(addresses.count)
                + addresses
        }
    }

    private static func bigEndian(_ value: Int) -> [UInt8] {
        [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)]
    }
}
