import Core
import IO
import RelayCore
import Testing
import Wire

@testable import Relay

/// What a relay notes of what passed through it.
@Suite(.timeLimit(.minutes(2)))
struct UsageTests {
    /// What the relay would report now.
    private func told(_ relay: TestRelay) -> [UsageReport.Row] {
        relay.context.forEachLoop { relayLoop in relayLoop.forEachRoom { $0.countBytes() } }
        relay.settle()
        return relay.context.usage.update { book in
            guard let report = book.next(now: .now()) else { return [] }
            book.acknowledged(report.id)
            return report.rows
        }
    }

    @Test func bytesMeteredAreBytesMovedExactly() throws {
        try TestRelay.with { relay in
            for name in ["one", "two"] { relay.assign(name) }
            var moved: [String: (up: Int, down: Int)] = [:]
            for (name, size) in [("one", 5_000_000), ("two", 137)] {
                let agent = try FakeAgent.up(relay, name)
                let player = try relay.player()
                let login = Client.login(name)
                try player.send(login)
                let data = try agent.dial(agent.nonceToOpen())
                _ = try data.readStart()
                _ = try data.read(login.count)
                try data.send(StartAnswer.ready.encode())
                let down = SecureRandomBytes.some(size)
                let sender = try ThreadHandle.start(name: "sender") { try? data.send(down) }
                #expect(try player.read(size).elementsEqual(down))
                sender.join()
                let up = SecureRandomBytes.some(size / 3)
                try player.send(up)
                #expect(try data.read(up.count).elementsEqual(up))
                player.finishSending()
                #expect(try data.readToEnd().isEmpty)
                data.close()
                _ = try player.readToEnd()
                player.close()
                agent.close()
                moved["t-\(name)"] = (login.count + up.count, size)
            }
            relay.expectEmpty()
            let rows = told(relay)
            #expect(rows.map(\.tunnel) == ["t-one", "t-two"])
            for row in rows {
                #expect(row.bytes_up == moved[row.tunnel]?.up)
                #expect(row.bytes_down == moved[row.tunnel]?.down)
            }
            #expect(told(relay).isEmpty, "nothing is told twice")
        }
    }

    /// A server-list ping moves bytes, but is no player.
    @Test func playersAreTimedAndPingsAreNot() throws {
        var patience = RelayPatience()
        patience.count = Milliseconds(50)
        try TestRelay.with(patience: patience) { relay in
            for name in ["game", "list"] { relay.assign(name) }
            func connect(_ name: String, _ first: [UInt8]) throws -> (Peer, Peer, FakeAgent) {
                let agent = try FakeAgent.up(relay, name)
                let player = try relay.player()
                try player.send(first)
                let data = try agent.dial(agent.nonceToOpen())
                _ = try data.readStart()
                _ = try data.read(first.count)
                try data.send(StartAnswer.ready.encode() + [1])
                #expect(try player.read(1) == [1])
                return (player, data, agent)
            }
            let start = Instant.now()
            let peers = [
                try connect("game", Client.login("game")), try connect("list", Client.status("list")),
            ]
            var seconds: [String: Int] = [:]
            while seconds["t-game", default: 0] < 2 {
                for row in told(relay) { seconds[row.tunnel, default: 0] += row.player_s }
            }
            #expect(Instant.now().since(start) >= .seconds(2))
            #expect(seconds["t-list", default: 0] == 0)
            for (player, data, agent) in peers {
                player.close()
                data.close()
                agent.close()
            }
            relay.expectEmpty()
        }
    }
}
