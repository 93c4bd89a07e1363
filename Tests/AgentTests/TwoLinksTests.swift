import AgentCore
import Core
import IO
import Synchronization
import Testing
import Wire

@testable import Agent

/// Owner and standby over real sockets.
struct TwoLinksTests {
    private static let address = "sleepy-creeper.eu.dvv.one"
    private let start = Start(
        player: PlayerAddress(ip: [203, 0, 113, 7], port: 51413)!, routingName: Self.address)
    private let nonce = Nonce([UInt8](repeating: 9, count: 16))!

    /// A handshake for a login and its name.
    private var hello: [UInt8] {
        let body: [UInt8] = [0x00, 0x85, 0x06, 4] + Array("a.bb".utf8) + [0x63, 0xDD, 2]
        return [UInt8(body.count)] + body + [7, 0x00, 5] + Array("Steve".utf8)
    }

    private func world() throws -> World {
        let world = try World()
        world.control.placement.withLock {
            $0.standby = FakePlacement.Relay(world.other, ticket: "ticket-2")
        }
        return world
    }

    /// The other relay owns the tunnel alone.
    private func promote(_ world: World) {
        world.control.placement.withLock {
            $0 = FakePlacement(generation: 2, owner: FakePlacement.Relay(world.other, ticket: "ticket-2-2"))
        }
    }

    @Test func aPlayerComesByTheStandbyOnceTheOwnerIsGone() throws {
        let world = try world()
        let hello = hello
        var owner: FakeLink?
        var standbyHellos: [String] = []
        world.relay.onFrame { frame, link in
            guard case .hello(let ticket) = frame else { return }
            #expect(ticket == "the-ticket")
            owner = link
            link.send(.welcome(.none))
        }
        world.other.onFrame { [unowned world, nonce] frame, link in
            switch frame {
            case .hello(let ticket):
                standbyHellos.append(ticket)
                link.send(.welcome(.none))
                guard standbyHellos.count == 1 else { return world.stopAgent() }
                owner?.stream?.close()
                link.send(.open(nonce, world.other.rendezvous))
            case .ping(let token): link.send(.pong(token))
            case .goAway: break
            default: Issue.record("the standby heard \(frame)")
            }
        }
        world.other.onData { [start, unowned world] preamble, data in
            #expect(preamble.relay == "rly_2")
            data.onBytes = { bytes in
                guard bytes.count == 3 + hello.count else { return }
                // The tunnel is the standby's now.
                self.promote(world)
                world.other.links(send: .migrate(within: Milliseconds(0), leave: false))
            }
            data.send(start.encode() + hello)
        }
        #expect(world.run() == 0)
        #expect(standbyHellos == ["ticket-2", "ticket-2-2"])
        #expect(world.home.received == hello)
        #expect(world.control.placements.last == #"{"session":"ses_test","exclude":["rly_1"]}"#)
        #expect(world.notices.contains(.migrated(address: Self.address, relay: "rly_2", lost: "rly_1")))
        let readies = world.notices.filter { if case .ready = $0 { true } else { false } }
        #expect(readies == [.ready(address: Self.address, relay: "rly_1", region: "eu")])
        for case .reconnecting(_, let reason) in world.notices { Issue.record("alarmed: \(reason)") }
    }

    @Test func aMoveIsMadeBeforeTheOldLinkIsBrokenAndPlayersStay() throws {
        let world = try World()
        let hello = hello
        var player: FakeData?
        var order: [String] = []
        world.relay.onFrame { [unowned world, nonce] frame, link in
            switch frame {
            case .hello:
                link.send(.welcome(.none))
                link.send(.open(nonce, world.relay.rendezvous))
            case .goAway:
                order.append("the old one is let go")
                // The player never noticed.
                player?.onBytes = { if $0.last == 78 { world.stopAgent() } }
                player?.send([77])
            default: break
            }
        }
        world.other.onFrame { frame, link in
            guard case .hello(let ticket) = frame else { return }
            #expect(ticket == "ticket-2-2")
            order.append("the new one is up")
            link.send(.welcome(.none))
        }
        world.relay.onData { [start] _, data in
            player = data
            data.send(start.encode() + hello)
        }
        world.onNotice = { [unowned world] notice in
            switch notice {
            case .playerJoined:
                promote(world)
                world.relay.links(send: .migrate(within: Milliseconds(0), leave: true))
            case .playerLeft: Issue.record("the player was dropped")
            default: break
            }
        }
        #expect(world.run() == 0)
        #expect(order == ["the new one is up", "the old one is let go"])
        #expect(world.notices.contains(.migrated(address: Self.address, relay: "rly_2")))
    }

    @Test func aReplacedAgentsPlayersPlayOnUntilTheyLeave() throws {
        let world = try world()
        let hello = hello
        world.relay.onFrame { [unowned world, nonce] frame, link in
            guard case .hello = frame else { return }
            link.send(.welcome(.none))
            link.send(.open(nonce, world.relay.rendezvous))
        }
        world.other.onFrame { frame, link in if case .hello = frame { link.send(.welcome(.none)) } }
        var parked = 0
        world.relay.onData { [start] _, data in
            data.onBytes = { [unowned world] bytes in
                if bytes.count == 3 + hello.count {
                    world.other.links(send: .goAway(reconnectIn: Milliseconds(0), .replaced))
                }
                if bytes.last == 78 { data.close() }
            }
            data.send(start.encode() + hello)
            parked += 1
            world.onNotice = { notice in if case .finishing = notice { data.send([77]) } }
        }
        #expect(world.run() == 1)
        #expect(parked == 1)
        #expect(world.home.received == hello + [77])
        #expect(
            world.notices.suffix(4).map { $0.json["event"]?.stringValue }
                == ["error", "finishing", "player_left", "stopping"])
    }
}
