import Core
import Crypto
import IO
import Synchronization
import Testing
import Wire

@testable import Relay

/// No byte lost, added or reordered, whatever the sizes and whoever is slow.
@Suite(.timeLimit(.minutes(4)), .serialized)
struct BulkTests {
    private static let byteCount = 64 << 20

    /// Copying only, and with splice(2) where there is bulk.
    @Test(arguments: [0, 16])
    func sixtyFourMebibytesPassBothWaysUnchanged(pipes: Int) throws {
        try TestRelay.with(pipes: pipes) { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let player = try Peer(to: relay.address, receiveBuffer: 16 * 1024)
            try player.send(Client.login("home"))
            let data = try agent.dial(agent.nonceToOpen())
            _ = try data.readStart()
            _ = try data.read(Client.login("home").count)
            try data.send(StartAnswer.ready.encode())
            let up = SecureRandomBytes.some(Self.byteCount)
            let down = SecureRandomBytes.some(Self.byteCount)
            let results = Gathering<(String, String)>(expecting: 4)
            try run(results, "sent up") { try send(up, to: player, from: 1) }
            try run(results, "sent down") { try send(down, to: data, from: 65_537) }
            try run(results, "got up") { try digest(data, Self.byteCount, slowly: false) }
            try run(results, "got down") { try digest(player, Self.byteCount, slowly: true) }
            let digests = Dictionary(uniqueKeysWithValues: results.wait())
            #expect(digests["sent up"] == "done" && digests["sent down"] == "done")
            #expect(digests["got up"] == Hex.encode(SHA256.hash(up)))
            #expect(digests["got down"] == Hex.encode(SHA256.hash(down)))
            player.close()
            data.close()
            agent.close()
            relay.expectEmpty()
            #expect(relay.context.metrics.bytesToPlayers.total == Self.byteCount)
        }
    }

    private func run(
        _ results: Gathering<(String, String)>, _ name: String,
        _ work: @escaping @Sendable () throws -> String
    ) throws {
        try ThreadHandle.start(name: name) {
            do { results.add((name, try work())) } catch { results.add((name, "failed: \(error)")) }
        }.detach()
    }

    /// Odd pieces from one byte to a quarter of a megabyte.
    private func send(_ bytes: [UInt8], to peer: Peer, from first: Int) throws -> String {
        var sent = 0
        var size = first
        while sent < bytes.count {
            let end = min(bytes.count, sent + size)
            try peer.send(bytes[sent..<end])
            sent = end
            size = size * 7 % 262_139 + 1
        }
        return "done"
    }

    /// A slow reader takes small pieces, so that the relay is always held up.
    private func digest(_ peer: Peer, _ count: Int, slowly: Bool) throws -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        var size = 1
        while bytes.count < count {
            let more = try peer.receive(atMost: min(count - bytes.count, slowly ? size % 9001 + 1 : 1 << 18))
            if more.isEmpty { throw TestFailure("the end came after \(bytes.count) bytes") }
            bytes += more
            size = size * 31 % 65_521 + 1
        }
        return Hex.encode(SHA256.hash(bytes))
    }
}
