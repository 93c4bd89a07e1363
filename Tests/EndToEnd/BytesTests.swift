import Core
import CLinux
import Testing

extension Whole {
    private static let bulk_bytes = 64 << 20

    /// Both ways at once, in pieces of many sizes; then one side stops and the other goes on.
    @Test(arguments: [true, false])
    func noByteIsLostAddedOrReordered(playerStopsFirst: Bool) async throws {
        try await withFleet { fleet in
            let up = try Self.randomBytes(playerStopsFirst ? 8 << 20 : Self.bulk_bytes)
            let down = try Self.randomBytes(playerStopsFirst ? Self.bulk_bytes : 8 << 20)
            let arrived = Box<[UInt8]>()
            let home = try HomeServer { connection, _ in
                try both(
                    { try Self.send(down, over: connection, finish: true) },
                    { arrived.put(try connection.receiveToEnd(maxBytes: Self.bulk_bytes)) })
            }
            let (_, _, tunnel) = try fleet.newTunnel(home: home)
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            async let sending: Void = Self.send(up, over: player.connection, finish: true)
            async let received = player.connection.receiveToEnd(maxBytes: Self.bulk_bytes)
            try await sending
            try #require(Self.same(try await received, down))
            let atHome = try eventually("home has everything") { arrived.value }
            try #require(Self.same(atHome, up))
        }
    }

    /// Small packets of a game, one after the other, each answered.
    @Test func smallPacketsArriveOneByOne() async throws {
        try await withFleet { fleet in
            let (_, _, tunnel) = try fleet.newTunnel(home: try HomeServer())
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            for count in 1...300 { try player.echo(count) }
            try player.leave()
        }
    }

    @Test func whatTheServerSaysLastArrivesBeforeTheEnd() async throws {
        try await withFleet { fleet in
            let last = Packets.packet(0x1D, Packets.string("Server closed"))
            let home = try HomeServer { connection, _ in try connection.send(last) }
            let (_, _, tunnel) = try fleet.newTunnel(home: home)
            for _ in 0..<20 {
                let player = try Player.join(port: tunnel.port, tunnel.hostname)
                try #require(try player.connection.receiveToEnd() == last)
            }
        }
    }

    private static func send(_ bytes: [UInt8], over connection: Connection, finish: Bool) throws {
        // Primes and powers of two, one byte and more than any buffer on the way.
        let sizes = [1, 7, 1021, 1448, 4096, 16_381, 65_536, 65_537, 262_139, 1_048_583]
        var offset = 0
        var turn = 0
        while offset < bytes.count {
            let end = min(bytes.count, offset + sizes[turn % sizes.count])
            try connection.send(bytes[offset..<end])
            offset = end
            turn += 1
        }
        if finish { connection.finishSending() }
    }

    private static func randomBytes(_ count: Int) throws -> [UInt8] {
        let descriptor = mc_open("/dev/urandom", O_RDONLY | O_CLOEXEC, 0)
        defer { close(descriptor) }
        var got = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            while got < count {
                let some = read(descriptor, buffer.baseAddress.map { $0 + got }, count - got)
                guard some > 0 else { break }
                got += some
            }
            initialized = got
        }
        guard got == count else { throw Trouble("/dev/urandom cannot be read") }
        return bytes
    }

    /// Without a loop over each byte, which would take seconds in a debug build.
    private static func same(_ one: [UInt8], _ other: [UInt8]) -> Bool {
        one.count == other.count
            && one.withUnsafeBytes { left in
                other.withUnsafeBytes { right in
                    guard let left = left.baseAddress, let right = right.baseAddress else { return true }
                    return memcmp(left, right, one.count) == 0
                }
            }
    }
}
