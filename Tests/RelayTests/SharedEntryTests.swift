import CLinux
import Core
import IO
import Support
import TLS
import Testing
import Wire

@testable import Relay
@testable import RelayCore

/// Several relays behind one address: whichever a connection lands on, it reaches the one it is meant for.
@Suite(.timeLimit(.minutes(2)))
struct SharedEntryTests {
    private static let entry = "entry.example:25565"

    /// Two relays behind one entry.
    private func withTwo(
        shared: Bool = true, _ body: (_ region: TestRegion, _ a: TestRelay, _ b: TestRelay) throws -> Void
    ) throws {
        try TestRegion.with(2, entry: shared ? Self.entry : nil) { region in
            try body(region, region[0], region[1])
        }
    }

    /// What an agent sees of a relay when the entry leads it to another one.
    fileprivate struct Entrance: RelayUnderTest {
        let address: SocketAddress
        let fingerprint: String
        let rendezvous: Rendezvous

        init(at other: SocketAddress, to relay: TestRelay) {
            address = other
            fingerprint = relay.fingerprint
            rendezvous = relay.rendezvous
        }
    }

    /// Brings a player home, over data connections that the agent opens at `entrance`.
    private func play(_ owner: TestRelay, _ agent: FakeAgent) throws -> (player: Peer, data: Peer) {
        let player = try owner.player()
        try player.send(Client.login("home"))
        let data = try agent.dial(agent.nonceToOpen())
        _ = try data.readStart()
        _ = try data.read(Client.login("home").count)
        try data.send(StartAnswer.ready.encode() + [1])
        #expect(try player.read(1) == [1])
        return (player, data)
    }

    @Test func aLinkAndDataConnectionsAtTheWrongRelayReachTheirOwn() throws {
        try withTwo { region, a, b in
            region.assign("home", owner: 1)
            let agent = try FakeAgent(Entrance(at: a.address, to: b), ticket: b.ticket("home"))
            #expect(try agent.next() == .welcome(.none))
            #expect(b.context.metrics.links.current == 1)
            #expect(a.context.metrics.links.current == 0)
            #expect(a.context.metrics.forwardedLinks.current == 1)

            let (player, data) = try play(b, agent)
            let bulk = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            try player.send([2, 3])
            #expect(try data.read(2) == [2, 3])
            let sender = try ThreadHandle.start(name: "bulk") { try? data.send(bulk) }
            #expect(try player.read(bulk.count) == bulk)
            sender.join()
            player.close()
            #expect(try data.readToEnd().isEmpty)
            data.close()
            agent.close()
            #expect(a.context.metrics.forwarded.total == 2)
            #expect(b.context.metrics.forwardArrivals.total == 2)
            #expect(b.context.metrics.forwarded.total == 0)
            a.eventually("something is left") {
                a.context.metrics.forwardedLinks.current == 0
                    && a.context.metrics.forwardedPlayers.current == 0
            }
            b.eventually("the link is left") {
                b.context.metrics.links.current == 0 && b.context.metrics.parked.current == 0
            }
            #expect(a.context.forwards.count == 0)
            #expect(b.context.forwards.count == 0)
        }
    }

    @Test func whoeverTheEntryChoosesPlayersJoin() throws {
        try withTwo { region, a, b in
            region.assign("home", owner: 1)
            let front = try FaultyProxy(to: a.address.port)
            front.lead(inTurnTo: [a.address.port, b.address.port])
            let address = try #require(SocketAddress(front.address))
            for round in 0..<6 {
                let entrance = Entrance(at: address, to: b)
                region.assign("home", owner: 1, generation: round + 1, session: "ses_\(round)")
                let agent = try FakeAgent(
                    entrance, ticket: b.ticket("home", generation: round + 1, session: "ses_\(round)"))
                #expect(try agent.next() == .welcome(.none))
                for _ in 0..<3 {
                    let (player, data) = try play(b, agent)
                    player.close()
                    #expect(try data.readToEnd().isEmpty)
                    data.close()
                }
                agent.close()
                b.eventually("the link stays") { b.context.metrics.links.current == 0 }
            }
            #expect(a.context.metrics.forwarded.total > 0)
            #expect(a.context.metrics.forwarded.total < 24)
        }
    }

    @Test func aTokenThatNobodyAnnouncedOpensNothing() throws {
        try withTwo { _, _, b in
            var random = SystemRandomNumberGenerator()
            let stranger = try b.player()
            try stranger.send(ForwardPreamble(token: ForwardToken(using: &random)).encode())
            try stranger.send(Client.login("home"))
            #expect(try stranger.readToEnd().isEmpty)
            #expect(b.context.metrics.strayForwards.total == 1)
            let garbage = try b.player()
            try garbage.send(ForwardPreamble.magic + [9])
            #expect(try garbage.readToEnd().isEmpty)
            #expect(b.context.metrics.strayForwards.total == 2)
            #expect(b.context.forwards.count == 0)
        }
    }

    @Test(arguments: [true, false])
    func theAnnouncementMayComeBeforeOrAfterTheConnection(_ before: Bool) throws {
        try withTwo { region, _, b in
            region.assign("home", owner: 1)
            let agent = try FakeAgent(b, ticket: b.ticket("home"))
            #expect(try agent.next() == .welcome(.none))
            let nonce = try agent.nonceToPark()
            var random = SystemRandomNumberGenerator()
            let token = ForwardToken(using: &random)
            if before { b.context.forwards.announced(token) }
            let data = try b.player()
            try data.send(
                ForwardPreamble(token: token).encode() + Preamble(relay: "rly_2", nonce: nonce).encode())
            if !before {
                b.eventually("it does not wait") { b.context.forwards.count == 1 }
                b.context.forwards.announced(token)
            }
            b.eventually("the connection was not parked") { b.context.metrics.parked.current == 1 }
            // Good once.
            let second = try b.player()
            try second.send(ForwardPreamble(token: token).encode())
            #expect(try second.readToEnd().isEmpty)
        }
    }

    /// Promise: what was forwarded is never forwarded again, whatever it asks for. This is the second step of any loop:
    /// a neighbour, wrongly informed or lying, passes on what is meant for itself.
    @Test func whatWasForwardedIsNeverForwardedAgain() throws {
        try withTwo { _, a, b in
            var random = SystemRandomNumberGenerator()
            let accepted = a.context.metrics.accepted.total

            let data = try b.player()
            try data.send(
                announced(at: b, &random)
                    + Preamble(relay: a.info().id, nonce: Nonce(loop: 0, using: &random)).encode())
            #expect(try data.readToEnd().isEmpty)
            #expect(b.context.metrics.strayData.total == 1)

            // TLS ends here, whatever name it asks for.
            let codec = try TLSClientContext(verify: .pinned(fingerprint: a.fingerprint))
                .codec(serverName: a.info().id)
            var hello: [UInt8] = []
            try codec.start(wire: &hello)
            let link = try b.player()
            try link.send(announced(at: b, &random) + hello)
            #expect(try link.read(1) == [0x16])

            #expect(b.context.metrics.forwardArrivals.total == 2)
            #expect(b.context.metrics.forwarded.total == 0)
            #expect(a.context.metrics.accepted.total == accepted)
        }
    }

    /// What a connection begins with that a neighbour passes on to `relay`.
    private func announced(at relay: TestRelay, _ random: inout SystemRandomNumberGenerator) -> [UInt8] {
        let token = ForwardToken(using: &random)
        relay.context.forwards.announced(token)
        return ForwardPreamble(token: token).encode()
    }

    @Test func aForwardedForwardAndAForwardedPlayerAreRefused() throws {
        try withTwo { _, _, b in
            var random = SystemRandomNumberGenerator()
            for next in [ForwardPreamble(token: ForwardToken(using: &random)).encode(), Client.login("home")]
            {
                let token = ForwardToken(using: &random)
                b.context.forwards.announced(token)
                let peer = try b.player()
                try peer.send(ForwardPreamble(token: token).encode() + next)
                #expect(try peer.readToEnd().isEmpty)
            }
            #expect(b.context.metrics.strayForwards.total == 2)
            #expect(b.context.metrics.turnedAway.total == 0)
        }
    }

    @Test func aNeighbourOutOfReachEndsTheConnectionAndIsCounted() throws {
        try withTwo { region, a, b in
            let nobody = try PortClaim(try #require(SocketAddress("127.0.0.1:0")))
            var gone = b.info()
            gone.id = "rly_gone"
            gone.meshAddress = nobody.address.description
            region.tell(relays: [gone])
            var random = SystemRandomNumberGenerator()
            let data = try a.player()
            try data.send(Preamble(relay: "rly_gone", nonce: Nonce(loop: 0, using: &random)).encode())
            #expect(try data.readToEnd().isEmpty)
            #expect(a.context.metrics.forwardFailures.total == 1)
            // One that nobody knows is a stray data connection.
            let stray = try a.player()
            try stray.send(Preamble(relay: "rly_none", nonce: Nonce(loop: 0, using: &random)).encode())
            #expect(try stray.readToEnd().isEmpty)
            #expect(a.context.metrics.strayData.total == 1)
        }
    }

    @Test func relaysWithTheirOwnAddressesPassNothingOn() throws {
        try withTwo(shared: false) { _, a, b in
            var random = SystemRandomNumberGenerator()
            let data = try a.player()
            try data.send(Preamble(relay: "rly_2", nonce: Nonce(loop: 0, using: &random)).encode())
            #expect(try data.readToEnd().isEmpty)
            #expect(throws: (any Error).self) {
                try FakeAgent(Entrance(at: a.address, to: b), ticket: b.ticket("home"))
            }
            #expect(a.context.metrics.forwarded.total == 0)
        }
    }
}

extension SharedEntryTests.Entrance {
    fileprivate init(address: SocketAddress, fingerprint: String, relay: String) {
        self.address = address
        self.fingerprint = fingerprint
        rendezvous = Rendezvous(relay: relay, endpoint: address.description)
    }
}
