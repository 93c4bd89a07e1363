import Core
import IO
import RelayCore
import Synchronization
import Testing
import Wire

@testable import Relay

/// An agent on a thread of its own: for every OPEN it dials the rendezvous and greets the player, then the home server
/// does what it likes with the connection. It parks none.
final class ServingAgent: Sendable {
    /// A home server that says nothing more and closes when its player does.
    static let listening: @Sendable (Peer) -> Void = { data in
        while let bytes = try? data.receive(), !bytes.isEmpty {}
        data.close()
    }
    /// One that sends as fast as it is let.
    static let pouring: @Sendable (Peer) -> Void = { data in
        let bytes = [UInt8](repeating: 7, count: 64 * 1024)
        while (try? data.send(bytes)) != nil {}
    }
    /// No packet of a relay's own begins with it.
    static let greeting: UInt8 = 0xAB

    private let reason: Gathering<GoAwayReason?>

    /// A link belongs to the thread that serves it.
    private struct Handed: @unchecked Sendable {
        let agent: FakeAgent
    }

    init(
        _ name: String, at relay: TestRelay, role: Ticket.Role = .owner, limits: Limits,
        home: @escaping @Sendable (Peer) -> Void = ServingAgent.listening
    ) throws {
        let agent = try FakeAgent.up(relay, name, role: role, limits: limits)
        let reason = Gathering<GoAwayReason?>(expecting: 1)
        self.reason = reason
        let handed = Handed(agent: agent)
        try ThreadHandle.start(name: "agent") { reason.add(try? Self.serve(handed.agent, home)) }.detach()
    }

    private static func serve(
        _ agent: FakeAgent, _ home: @escaping @Sendable (Peer) -> Void
    ) throws -> GoAwayReason {
        while true {
            switch try agent.next() {
            case .goAway(_, let reason): return reason
            case .open(let nonce, let rendezvous):
                let endpoint = try #require(Endpoint(rendezvous.endpoint))
                let address = try #require(SocketAddress(octets: [127, 0, 0, 1], port: endpoint.port))
                let data = try Peer(to: address)
                try data.send(Preamble(relay: rendezvous.relay, nonce: nonce).encode())
                try ThreadHandle.start(name: "home") {
                    guard (try? data.readStart()) != nil else { return }
                    try? data.send(StartAnswer.ready.encode() + [greeting])
                    home(data)
                }.detach()
            default: break
            }
        }
    }

    /// What the relay said when it ended the link; nil when it just ended.
    func goAway() -> GoAwayReason? { reason.wait().first ?? nil }
}

/// Players at a relay whose tunnel a `ServingAgent` has.
extension TestRelay {
    enum Login {
        case playing(Peer)
        case kicked(String)
    }

    /// A login until the home server has said something, or the relay why not.
    func login(_ name: String) throws -> Login {
        let player = try player()
        try player.send(Client.login(name))
        let first = try player.read(1)
        if first == [ServingAgent.greeting] { return .playing(player) }
        return .kicked(try Client.kick(first + player.readToEnd()))
    }

    func play(_ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Peer {
        switch try login(name) {
        case .playing(let player): return player
        case .kicked(let text):
            Issue.record("kicked: \(text)", sourceLocation: sourceLocation)
            throw TestFailure("a player was kicked")
        }
    }

    /// Tries until there is room.
    func playWhenThereIsRoom(
        _ name: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Peer {
        let end = Instant.now() + .seconds(Peer.deadline_s)
        while Instant.now() < end {
            if case .playing(let player) = try login(name) { return player }
        }
        Issue.record("there was never room", sourceLocation: sourceLocation)
        throw TestFailure("a player was kicked")
    }

    func expectFull(_ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        guard case .kicked(let text) = try login(name) else {
            Issue.record("a player got in", sourceLocation: sourceLocation)
            return
        }
        #expect(text == OfflineReason.full.text(name: name), sourceLocation: sourceLocation)
    }

    /// What the tunnel's players here may use together, in bytes a second; nil without a limit or a room.
    func rate(_ name: String) -> Int? { room(name) { $0.meter?.bytes_per_s } ?? nil }

    /// What has passed the tunnel's limit here.
    func metered(_ name: String) -> Int { (room(name) { $0.meter?.bytes } ?? nil) ?? 0 }

    /// nil when there is no room for the tunnel.
    func room<Value: Sendable>(_ name: String, _ look: @escaping @Sendable (TunnelRoom) -> Value) -> Value? {
        let tunnel = "t-\(name)"
        let answer = Gathering<Value?>(expecting: 1)
        guard let door = context.door(forTunnel: tunnel) else { return nil }
        door.post { relayLoop in answer.add(relayLoop.existingRoom(tunnel).map(look)) }
        return answer.wait().first ?? nil
    }
}
