import Core
import Testing

extension Whole {
    @Test func aPlayerReachesAHomeServer() async throws {
        try await withFleet { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let name = tunnel.hostname
            try #require(name.hasSuffix(".eu.\(Fleet.baseDomain)"))

            // As players type it, as SRV records spell it, as mods and proxies mark it.
            let spellings = [
                name, name.uppercased(), name + ".", "\(name):25565", name + "\0FML\0", name + "\0FML2\0",
                name.uppercased() + ".\0FML3\0", name + "\0FORGE", name + "///203.0.113.7:5000///1700000000",
            ]
            for (index, spelling) in spellings.enumerated() {
                try #require(try Player.ping(port: tunnel.port, spelling) == home.status)
                let player = try Player.join(port: tunnel.port, spelling, as: "Player_\(index)")
                try player.echo()
                try player.leave()
                let login = try #require(home.logins.last)
                try #require(login.address == spelling)
                try #require(login.handshake == Packets.handshake(spelling, intent: 2))
                try #require(login.player == "Player_\(index)")
            }
            let joined = try agent.event("player_joined")
            try #require(joined["name"]?.stringValue == "Player_0")
            try #require(joined["player"]?.stringValue?.hasPrefix("127.0.0.1") == true)
            try agent.event("player_left")
            try #require(try agent.part.stop() == .code(0))
        }
    }

    @Test func aPlayerWhoIsTransferredReachesAHomeServer() async throws {
        try await withFleet { fleet in
            let home = try HomeServer()
            let (_, _, tunnel) = try fleet.newTunnel(home: home)
            let connection = try Connection(to: tunnel.port)
            let start = Packets.packet(0, Packets.string("Alex") + [UInt8](repeating: 0, count: 16))
            try connection.send(Packets.handshake(tunnel.hostname, intent: 3) + start)
            try #require(try connection.receivePacket().id == 2)
            try Player(connection: connection).echo()
        }
    }

    @Test func theHomeServersStatusArrivesUnchanged() async throws {
        try await withFleet { fleet in
            // Larger than one read, with text that a codec would be tempted to write in another way.
            let icon = String(repeating: "iVBORw0KGgo/+A=", count: 1500)
            let home = try HomeServer(
                status: """
                    {"version" :{"name":"Paper 1.21.4","protocol":769}, "players":{"max":20.0,"online":3,\
                    "sample":[{"name":"§aJürgen","id":"4566e69f-c907-48ee-8d71-d7ba5aa00d20"}]},\
                    "description":{"text":"\\u00a76Gr\\u00fc\\u00dfe \\/ 👋 \\ud83d\\udc4b"},"a":1e2,"a":-0,\
                    "favicon":"data:image/png;base64,\(icon)"}
                    """)
            let (_, _, tunnel) = try fleet.newTunnel(home: home)
            for _ in 0..<3 {
                try #require(try Player.ping(port: tunnel.port, tunnel.hostname) == home.status)
            }
        }
    }

    @Test(arguments: [HomeServer.ProxyHeader.v1, .v2])
    func theHomeServerIsToldThePlayersAddressWhenItWantsTo(version: HomeServer.ProxyHeader) async throws {
        try await withFleet { fleet in
            let home = try HomeServer(proxyHeader: version)
            let (_, _, tunnel) = try fleet.newTunnel(home: home, ["--proxy-protocol", version.rawValue])
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            try player.echo()
            let ports = [player.connection.localPort, home.port]
            let expected =
                switch version {
                case .v1: Array("PROXY TCP4 127.0.0.1 127.0.0.1 \(ports[0]) \(ports[1])\r\n".utf8)
                case .v2:
                    Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [0x21, 0x11, 0, 12, 127, 0, 0, 1, 127, 0, 0, 1]
                        + ports.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
                }
            try #require(home.logins.first?.proxyHeader == expected)
        }
    }

    @Test func whoIsAwayIsToldInWords() async throws {
        try await withFleet { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let label = String(tunnel.hostname.prefix { $0 != "." })
            try #require(try agent.part.stop() == .code(0))
            try eventually("a login is told that nobody is home") {
                let kick = try Player.kick(port: tunnel.port, tunnel.hostname)
                return kick.contains(label) && kick.contains("offline")
            }
            let status = try Player.ping(port: tunnel.port, tunnel.hostname)
            try #require(status.contains("offline"))
        }
    }
}
