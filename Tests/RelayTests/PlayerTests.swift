import Core
import Testing
import Wire

@testable import Relay
@testable import RelayCore

@Suite(.timeLimit(.minutes(2)))
struct PlayerTests {
    @Test(arguments: [true, false])
    func aPlayerReachesTheHomeServerThroughAParkedConnectionByteForByte(isLogin: Bool) throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent(relay, ticket: relay.ticket("home"))
            #expect(try agent.next() == .welcome(.none))
            let data = try agent.park(agent.nonceToPark(), at: relay)
            let player = try relay.player()
            let hello = isLogin ? Client.login("home") : Client.status("home")
            try player.send(hello)
            let start = try data.readStart()
            #expect(start.routingName == "home.eu.example.org")
            #expect(start.player == PlayerAddress(ip: [127, 0, 0, 1], port: player.localPort))
            #expect(try data.read(hello.count) == hello)
            let answer = SecureRandomBytes.some(3000)
            try data.send(StartAnswer.ready.encode() + answer)
            #expect(try player.read(answer.count) == answer)
            try player.send(Client.ping)
            #expect(try data.read(Client.ping.count) == Client.ping)
            #expect(relay.context.metrics.players.current == 1)
            player.close()
            #expect(try data.readToEnd().isEmpty)
            data.close()
            agent.close()
            relay.expectEmpty()
            #expect(relay.context.metrics.bytesToServers.total == hello.count + Client.ping.count)
            #expect(relay.context.metrics.bytesToPlayers.total == answer.count)
        }
    }

    @Test func aPlayerReachesTheHomeServerThroughAConnectionOpenedForThem() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let player = try relay.player()
            try player.send(Client.login("home"))
            let data = try agent.dial(agent.nonceToOpen())
            _ = try data.readStart()
            #expect(try data.read(Client.login("home").count) == Client.login("home"))
            try data.send(StartAnswer.ready.encode())
            try data.send([1, 2, 3])
            #expect(try player.read(3) == [1, 2, 3])
            data.close()
            #expect(try player.readToEnd().isEmpty)
            player.close()
            agent.close()
            relay.expectEmpty()
        }
    }

    @Test func whatAPlayerSendsWhileWaitingArrivesOnceAndInOrder() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let player = try relay.player()
            var sent = Client.login("home")
            // Byte by byte, so that the first packet comes in pieces.
            for byte in sent { try player.send([byte]) }
            let data = try agent.dial(agent.nonceToOpen())
            _ = try data.readStart()
            var got = try data.read(sent.count)
            let more = SecureRandomBytes.some(5000)
            try player.send(more)
            sent += more
            try data.send(StartAnswer.ready.encode())
            got += try data.read(sent.count - got.count)
            #expect(got == sent)
        }
    }

    @Test func playersOfSeveralTunnelsFindTheirOwnServers() throws {
        try TestRelay.with(loops: 3) { relay in
            let names = (1...6).map { "home\($0)" }
            for name in names { relay.assign(name) }
            let agents = try names.map { try FakeAgent.up(relay, $0) }
            let players = try names.map { name in
                let player = try relay.player()
                try player.send(Client.login(name))
                return player
            }
            for (index, agent) in agents.enumerated() {
                let data = try agent.dial(agent.nonceToOpen())
                #expect(try data.readStart().routingName == "\(names[index]).eu.example.org")
                try data.send(StartAnswer.ready.encode() + [UInt8(index)])
                #expect(try players[index].read(1) == [UInt8(index)])
            }
        }
    }

    @Test func aLegacyPingThatNamesItsHostReachesTheHomeServer() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let player = try relay.player()
            let ping = Client.legacyPing("home.eu.example.org")
            try player.send(ping)
            let data = try agent.dial(agent.nonceToOpen())
            #expect(try data.readStart().routingName == "home.eu.example.org")
            #expect(try data.read(ping.count) == ping)
        }
    }

    @Test(arguments: [true, false])
    func aHalfCloseIsKept(byPlayer: Bool) throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let player = try relay.player()
            try player.send(Client.login("home"))
            let data = try agent.dial(agent.nonceToOpen())
            _ = try data.readStart()
            _ = try data.read(Client.login("home").count)
            try data.send(StartAnswer.ready.encode())
            let (first, second) = byPlayer ? (player, data) : (data, player)
            try first.send([7])
            first.finishSending()
            #expect(try second.readToEnd() == [7])
            let rest = SecureRandomBytes.some(100_000)
            try second.send(rest)
            #expect(try first.read(rest.count) == rest)
            second.finishSending()
            #expect(try first.readToEnd().isEmpty)
            agent.close()
            relay.expectEmpty()
        }
    }

    @Test func bytesAreCountedWhileTheyPass() throws {
        var patience = RelayPatience()
        patience.count = Milliseconds(10)
        try TestRelay.with(patience: patience) { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let player = try relay.player()
            try player.send(Client.login("home"))
            let data = try agent.dial(agent.nonceToOpen())
            try data.send(StartAnswer.ready.encode() + [1, 2, 3])
            let metrics = relay.context.metrics
            relay.eventually("nothing is counted") {
                metrics.bytesToPlayers.total == 3
                    && metrics.bytesToServers.total == Client.login("home").count
            }
            player.close()
            agent.close()
            relay.expectEmpty()
            #expect(metrics.bytesToPlayers.total == 3)
            #expect(metrics.bytesToServers.total == Client.login("home").count)
        }
    }

    @Test func aPlayerWhoLeavesWhileWaitingLeavesAConnectionForTheNext() throws {
        try TestRelay.with { relay in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            let first = try relay.player()
            try first.send(Client.login("home"))
            let nonce = try agent.nonceToOpen()
            first.reset()
            let metrics = relay.context.metrics
            relay.eventually("the player's end was not noticed") { metrics.connections.current == 1 }
            let data = try agent.park(nonce, at: relay)
            let second = try relay.player()
            try second.send(Client.login("home"))
            _ = try data.readStart()
        }
    }

    @Test func aParkedConnectionThatDiedUnnoticedIsReplacedByAFreshOne() throws {
        var patience = RelayPatience()
        patience.desk.retry = Milliseconds(100)
        try TestRelay.with(patience: patience) { relay in
            relay.assign("home")
            let agent = try FakeAgent(relay, ticket: relay.ticket("home"))
            // It never answers START.
            #expect(try agent.next() == .welcome(.none))
            let silent = try agent.park(agent.nonceToPark(), at: relay)
            let player = try relay.player()
            try player.send(Client.login("home"))
            let data = try agent.dial(agent.nonceToOpen())
            _ = try silent.readToEnd()
            _ = try data.readStart()
            try data.send(StartAnswer.ready.encode() + [5])
            #expect(try player.read(1) == [5])
        }
    }
}
