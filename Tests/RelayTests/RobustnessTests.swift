import Core
import Crypto
import IO
import TLS
import Testing
import Wire

@testable import RelayCore

/// What strangers do to a public port.
enum BadConnection: CaseIterable {
    case silent, garbage, partialHandshake, handshakeOnly, oversizedFrame, endlessLength
    case partialPreamble, oversizedPreamble, strayPreamble
    case tlsBegun, clientHelloOnly, clientHelloThenGarbage, legacyBegun, immediateReset

    func words(clientHello: [UInt8]) -> [UInt8] {
        switch self {
        case .silent, .immediateReset: []
        case .garbage: SecureRandom.bytes(100)
        case .partialHandshake: Array(Client.login("home").prefix(9))
        case .handshakeOnly: Client.handshake("home.eu.example.org", intent: 1)
        case .oversizedFrame: [0xFF, 0xFF, 0x7F, 0x00] + [UInt8](repeating: 0x41, count: 2000)
        case .endlessLength: [UInt8](repeating: 0xFF, count: 64)
        case .partialPreamble: Array("MCDP".utf8) + [1, 11, 0x72]
        case .oversizedPreamble: Array("MCDP".utf8) + [1, 255] + [UInt8](repeating: 0x72, count: 300)
        case .strayPreamble:
            Array("MCDP".utf8) + [1, 11] + Array("rly_process".utf8) + SecureRandom.bytes(16)
        case .tlsBegun: [0x16, 0x03, 0x01]
        case .clientHelloOnly: clientHello
        case .clientHelloThenGarbage: clientHello + SecureRandom.bytes(500)
        case .legacyBegun: [0xFE, 0x01, 0xFA, 0, 11, 0, 0x4D]
        }
    }
}

@Suite(.timeLimit(.minutes(3)), .serialized)
struct RobustnessTests {
    private static let total = 20_000 * BadConnection.allCases.count
    private static let wave = 280

    @Test func twentyThousandOfEachLeaveNoDescriptorBehindAndItStillServes() throws {
        ProcessLimits.raiseDescriptors()
        let relay = try RelayProcess()
        defer { relay.end() }
        try serve(relay)
        let before = try relay.descriptors()
        let hello = try clientHello(relay)
        var made = 0
        while made < Self.total {
            // Each wave comes from an address of its own, so that ports never run out.
            let number = made / Self.wave
            let source = SocketAddress(
                octets: [127, 1, UInt8(number / 250), UInt8(1 + number % 250)], port: 0)
            try open(relay, count: Self.wave, from: source, hello)
            made += Self.wave
            #expect(relay.isRunning)
        }
        #expect(try relay.descriptors(settlingTo: before) <= before)
        try serve(relay)
        #expect(try relay.descriptors(settlingTo: before) <= before)
    }

    /// Opens a mix of all kinds, holds them together, and drops them in three ways.
    private func open(
        _ relay: RelayProcess, count: Int, from source: SocketAddress?, _ hello: [UInt8]
    ) throws {
        let kinds = BadConnection.allCases
        var peers: [Peer] = []
        for index in 0..<count {
            let kind = kinds[index % kinds.count]
            let peer = try Peer(to: relay.address, from: source)
            let words = kind.words(clientHello: hello)
            // The relay may have had enough of it while it still speaks.
            if !words.isEmpty { try? peer.send(words) }
            if kind == .immediateReset { peer.reset() } else { peers.append(peer) }
        }
        for (index, peer) in peers.enumerated() {
            switch index % 3 {
            case 0: peer.close()
            case 1: peer.reset()
            default: peer.finishSending()
            }
        }
    }

    /// The first flight of a real TLS client.
    private func clientHello(_ relay: RelayProcess) throws -> [UInt8] {
        var wire: [UInt8] = []
        try TLSClientContext(verify: .pinned(fingerprint: relay.fingerprint)).codec().start(wire: &wire)
        return wire
    }

    /// An agent comes, a player plays, both leave.
    private func serve(_ relay: RelayProcess) throws {
        let agent = try agent(relay)
        // Without a control plane the ticket counts, after two seconds.
        let end = Instant.now() + Milliseconds(2200)
        while Instant.now() < end {
            let ping = try relay.player()
            try ping.send(Client.status("nobody") + Client.ping)
            #expect(try Client.motd(ping.readToEnd()).hasPrefix("No server is called nobody"))
        }
        let player = try relay.player()
        try player.send(Client.login("home"))
        let data = try agent.dial(agent.nonceToOpen())
        _ = try data.readStart()
        #expect(try data.read(Client.login("home").count) == Client.login("home"))
        try data.send(StartAnswer.ready.encode() + [1, 2, 3])
        #expect(try player.read(3) == [1, 2, 3])
        player.close()
        #expect(try data.readToEnd().isEmpty)
    }

    /// TLS handshakes are capped: after a flood an agent may have to knock twice.
    private func agent(_ relay: RelayProcess) throws -> FakeAgent {
        let end = Instant.now() + .seconds(Peer.deadline_s)
        while true {
            do {
                let agent = try FakeAgent(relay, ticket: relay.ticket("home"))
                guard case .welcome = try agent.next() else { throw TestFailure("no WELCOME came") }
                return agent
            } catch  where Instant.now() < end {}
        }
    }
}
