import CLinux
import Core
import Crypto
import Support
import Testing

/// Gates 13 and 14 of the failure gates: bytes through bad networks, and what many connections leave behind.
extension Broken {
    @Test func gate13BytesArriveWholeThroughBadNetworks() async throws {
        try await withFleet(relays: []) { fleet in
            let (relay, wires) = try fleet.addRelayBehindWires("eu")
            let count = 6 << 20
            let (up, down) = (SecureRandom.bytes(count), SecureRandom.bytes(count))
            let arrived = Box<[UInt8]>()
            let home = try HomeServer { connection, _ in
                try both(
                    {
                        try connection.send(down)
                        connection.finishSending()
                    }, { arrived.put(try connection.receiveToEnd(maxBytes: count)) })
            }
            let homeWire = try FaultyProxy(to: home.port)
            let account = try fleet.signUp()
            let agent = try fleet.startAgent(account, home: homeWire.port, ["--region", "eu"])
            let tunnel = try agent.waitForTunnel()
            let playerWire = try FaultyProxy(to: relay.port)

            var bad = Fault()
            bad.slice_bytes = 1400
            bad.latency = Milliseconds(3)
            bad.jitter = Milliseconds(15)
            bad.slowClose = Milliseconds(50)
            for wire in [wires.entry, homeWire, playerWire] { wire.set(bad) }
            // A reader who takes little at a time.
            bad.bytes_per_s = 3 << 20
            playerWire.set(bad, .down)
            homeWire.set(bad, .up)

            for endsFirst in ["player", "home"] {
                let player = try Player.join(port: playerWire.port, tunnel.hostname)
                async let sending: Void = {
                    try player.connection.send(endsFirst == "player" ? up[..<(count / 8)] : up[...])
                    player.connection.finishSending()
                }()
                let received = try player.connection.receiveToEnd(maxBytes: count, within: .minutes(2))
                try await sending
                try #require(SHA256.hash(received) == SHA256.hash(down))
                let expected = endsFirst == "player" ? Array(up[..<(count / 8)]) : up
                try eventually("home has everything", within: .minutes(2)) {
                    arrived.value.map { $0.count == expected.count } ?? false
                }
                try #require(arrived.value.map { SHA256.hash($0) } == SHA256.hash(expected))
            }
            for wire in [wires.entry, homeWire, playerWire] { wire.heal() }
        }
    }

    @Test func gate14WhatComesAndGoesLeavesNothingBehind() async throws {
        try await withFleet { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let stays = try Player.join(port: tunnel.port, tunnel.hostname)
            for _ in 0..<100 { try Self.comeAndGo(tunnel) }
            try Self.settle(fleet, tunnel.relay)
            let parts = [tunnel.relay.part, agent.part]
            let before = parts.map { ($0.descriptorCount, $0.resident_KiB) }

            for _ in 0..<400 { try Self.comeAndGo(tunnel) }
            try Self.settle(fleet, tunnel.relay)
            for (part, before) in zip(parts, before) {
                try eventually("the descriptors of \(part.name) are back") {
                    part.descriptorCount <= before.0 + 10
                }
                print(
                    "gate 14: \(part.name) descriptors \(before.0) -> \(part.descriptorCount),",
                    "resident \(before.1) -> \(part.resident_KiB) KiB")
                try #require(part.resident_KiB < before.1 + 32 * 1024)
            }
            try stays.echo(100_000)
        }
    }

    /// One of each kind.
    private static func comeAndGo(_ tunnel: Tunnel) throws {
        _ = try Connection(to: tunnel.port)
        _ = try Player.ping(port: tunnel.port, tunnel.hostname)
        let player = try Player.join(port: tunnel.port, tunnel.hostname)
        try player.echo(10)
        try player.leave()
        try Connection(to: tunnel.port).send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
        // Gone in the middle of the game, and with bytes unread.
        try Player.join(port: tunnel.port, tunnel.hostname).connection.send([1, 2, 3])
    }

    private static func settle(_ fleet: Fleet, _ relay: Fleet.Relay) throws {
        try eventually("only what stays is connected", within: .minutes(1)) {
            let connections = try fleet.metric("minecart_relay_connections", of: relay)
            let players = try fleet.metric("minecart_relay_players", of: relay)
            let parked = try fleet.metric("minecart_relay_parked", of: relay)
            return players == 1 && parked <= 1 && connections <= 4 + parked
        }
    }
}
