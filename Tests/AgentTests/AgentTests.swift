import AgentCore
import Core
import IO
import Synchronization
import Testing
import Wire

@testable import Agent

struct AgentTests {
    private let start = Start(
        player: PlayerAddress(ip: [203, 0, 113, 7], port: 51413)!, routingName: "sleepy-creeper.eu.dvv.one")
    private let nonce = Nonce([UInt8](repeating: 9, count: 16))!

    /// A handshake for a login or a ping, and the name behind a login.
    private func hello(intent: UInt8) -> [UInt8] {
        let body: [UInt8] = [0x00, 0x85, 0x06, 4] + Array("a.bb".utf8) + [0x63, 0xDD, intent]
        let login: [UInt8] = [7, 0x00, 5] + Array("Steve".utf8)
        return [UInt8(body.count)] + body + (intent == 2 ? login : [])
    }

    /// Welcomes every agent and asks for one data connection.
    private func openOnce(_ world: World) {
        var isOpened = false
        let nonce = nonce
        world.relay.onFrame { [unowned world] frame, link in
            switch frame {
            case .hello(let ticket):
                #expect(ticket == "the-ticket")
                link.send(.welcome(.none))
                if !isOpened { link.send(.open(nonce, world.relay.rendezvous)) }
                isOpened = true
            case .ping(let token): link.send(.pong(token))
            default: break
            }
        }
    }

    @Test func aPlayersBytesGoHomeAndBack() throws {
        let world = try World()
        openOnce(world)
        let hello = hello(intent: 2)
        let ready = StartAnswer.ready.encode()
        var answer: [UInt8] = []
        world.relay.onData { [start, nonce] preamble, data in
            #expect(preamble == Preamble(relay: "rly_1", nonce: nonce))
            data.onBytes = { bytes in
                guard bytes.count == ready.count + hello.count else { return }
                answer = bytes
                data.close()
            }
            data.send(start.encode() + hello)
        }
        world.onNotice = { [unowned world] notice in
            if case .playerLeft = notice { world.stopAgent() }
        }
        #expect(world.run() == 0)
        #expect(answer == ready + hello.map { $0 &+ 1 })
        #expect(world.home.received == hello)
        let visit = Visit(id: 1, player: start.player, name: "Steve")
        #expect(world.notices.contains(.playerJoined(visit, players: 1)))
        #expect(
            world.notices.contains(
                .ready(address: "sleepy-creeper.eu.dvv.one", relay: "rly_1", region: "eu")))
    }

    @Test func aLookAtTheServerListIsNoPlayer() throws {
        let world = try World()
        openOnce(world)
        let hello = hello(intent: 1)
        world.relay.onData { [start] _, data in
            data.onBytes = { [unowned world] bytes in
                guard bytes.count == 3 + hello.count else { return }
                data.onClosed = { world.stopAgent() }
                data.stream?.closeWhenSent()
            }
            data.send(start.encode() + hello)
        }
        #expect(world.run() == 0)
        for notice in world.notices {
            if case .playerJoined = notice { Issue.record("a ping was counted as a player") }
        }
    }

    @Test func aPlayerWhoseLoginComesInPiecesIsKnownByName() throws {
        let world = try World()
        openOnce(world)
        let hello = hello(intent: 2)
        world.relay.onData { [start, unowned world] _, data in
            data.send(start.encode())
            for (index, byte) in hello.enumerated() {
                world.loop.schedule(after: Milliseconds(index)) { data.send([byte]) }
            }
            data.onBytes = { bytes in
                if bytes.count == 3 + hello.count { world.stopAgent() }
            }
        }
        #expect(world.run() == 0)
        #expect(world.home.received == hello)
        #expect(
            world.notices.contains(
                .playerJoined(Visit(id: 1, player: start.player, name: "Steve"), players: 1)))
    }

    @Test func theHomeServerHearsThePlayersAddressFirst() throws {
        let world = try World(proxyProtocol: .v1)
        openOnce(world)
        let hello = hello(intent: 2)
        let port = world.home.listener.localAddress.port
        let header = Array("PROXY TCP4 203.0.113.7 127.0.0.1 51413 \(port)\r\n".utf8)
        world.relay.onData { [start] _, data in
            data.onBytes = { [unowned world] bytes in
                if bytes.count == 3 + header.count + hello.count { world.stopAgent() }
            }
            data.send(start.encode() + hello)
        }
        #expect(world.run() == 0)
        #expect(world.home.received == header + hello)
    }

    @Test func aParkedConnectionWaitsForItsPlayer() throws {
        let world = try World()
        let nonce = nonce
        var parked: FakeData?
        world.relay.onFrame { [unowned world] frame, link in
            switch frame {
            case .hello:
                link.send(.welcome(.none))
                link.send(.park([nonce], world.relay.rendezvous))
            default: break
            }
        }
        world.relay.onData { [start, unowned world] _, data in
            parked = data
            data.onBytes = { bytes in
                #expect(bytes.starts(with: StartAnswer.ready.encode()))
                world.stopAgent()
            }
            world.loop.schedule(after: Milliseconds(20)) { parked?.send(start.encode()) }
        }
        #expect(world.run() == 0)
    }

    @Test func aSilentHomeIsRefusedWithItsReason() throws {
        let world = try World(isHomeUp: false)
        openOnce(world)
        var refused: [UInt8] = []
        world.relay.onData { [start, unowned world] _, data in
            data.onBytes = { refused = $0 }
            data.onClosed = { world.stopAgent() }
            data.send(start.encode())
        }
        #expect(world.run() == 0)
        #expect(refused == StartAnswer.refused(.localServerUnreachable).encode())
        let texts = world.notices.map { $0.text }.joined()
        #expect(texts.contains("is the Minecraft server running?"))
    }

    @Test func anUnreachableRendezvousIsRefusedOnTheLink() throws {
        let world = try World()
        world.relay.data.close()
        let nonce = nonce
        world.relay.onFrame { [unowned world] frame, link in
            switch frame {
            case .hello:
                link.send(.welcome(.none))
                link.send(.open(nonce, world.relay.rendezvous))
            case .refuse(let refused, let rendezvous, let reason):
                #expect(refused == nonce)
                #expect(rendezvous == world.relay.rendezvous)
                #expect(reason == .rendezvousUnreachable)
                world.stopAgent()
            default: break
            }
        }
        #expect(world.run() == 0)
    }

    @Test func aRelayWithAnotherCertificateIsNotTrusted() throws {
        let world = try World(fingerprint: String(repeating: "ab", count: 32))
        world.relay.onFrame { frame, _ in Issue.record("the wrong relay heard \(frame)") }
        world.onNotice = { [unowned world] _ in
            if world.control.placements.count == 2 { world.stopAgent() }
        }
        #expect(world.run() == 0)
        #expect(world.control.placements.first == #"{"session":"ses_test"}"#)
        #expect(world.control.placements.last == #"{"session":"ses_test","exclude":["rly_1"]}"#)
    }

    @Test func playersStayWhenTheLinkBreaksAndTheControlPlaneIsAway() throws {
        let world = try World()
        openOnce(world)
        var player: FakeData?
        var link: FakeLink?
        var readyCount = 0
        let hello = hello(intent: 2)
        world.relay.onData { [start] _, data in
            player = data
            data.send(start.encode() + hello)
        }
        let nonce = nonce
        world.relay.onFrame { [unowned world] frame, from in
            guard case .hello = frame else { return }
            link = from
            from.send(.welcome(.none))
            if readyCount == 0 { from.send(.open(nonce, world.relay.rendezvous)) }
        }
        world.onNotice = { [unowned world] notice in
            switch notice {
            case .ready:
                readyCount += 1
                guard readyCount == 2 else { return }
                // Over a new link, with the old ticket; the player never noticed.
                player?.onBytes = { if $0.last == 78 { world.stopAgent() } }
                player?.send([77])
            case .playerJoined:
                world.control.isAway.withLock { $0 = true }
                link?.stream?.close()
            case .playerLeft: Issue.record("the player was dropped")
            default: break
            }
        }
        #expect(world.run() == 0)
        #expect(readyCount == 2)
    }

    @Test func aReplacedAgentStopsInsteadOfFighting() throws {
        let world = try World()
        world.relay.onFrame { frame, link in
            guard case .hello = frame else { return }
            link.send(.welcome(.none))
            link.send(.goAway(reconnectIn: .seconds(1), .replaced))
        }
        #expect(world.run() == 1)
        #expect(world.notices.last == .failed(.replaced(address: "sleepy-creeper.eu.dvv.one")))
    }

    @Test func stoppingSaysGoodbyeToTheRelay() throws {
        let world = try World()
        var goodbye: LinkFrame?
        world.relay.onFrame { frame, link in
            if case .hello = frame { link.send(.welcome(.none)) }
            if case .goAway = frame { goodbye = frame }
        }
        world.onNotice = { [unowned world] notice in if case .ready = notice { world.stopAgent() } }
        #expect(world.run() == 0)
        #expect(goodbye == .goAway(reconnectIn: Milliseconds(0), .stopping))
    }

    @Test func aWrongKeyEndsWithWhatToDo() throws {
        let world = try World(key: "another-key")
        #expect(world.run() == 1)
        #expect(world.notices.last == .failed(.badKey(detail: "Who are you?")))
    }

    @Test(arguments: ["", "  ", "mca_short", "two words", "mcä_x", "a\nb"])
    func aDamagedKeyIsNoticedBeforeAnybodyIsAsked(_ text: String) {
        #expect(throws: AgentFailure.damagedKey) { try AgentKey(.text(text)) }
    }
}
