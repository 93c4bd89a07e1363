import Core
import Testing
import Wire

@testable import AgentCore

struct DataConnectionTests {
    private let start = Start(player: PlayerAddress(host: "192.0.2.7", port: 51413)!, routingName: "a.bb")
    private let now = Instant(nanoseconds: 0)

    private func connection(
        isParked: Bool = false, proxyProtocol: ProxyProtocol = .off
    ) -> DataConnection {
        DataConnection(
            DataRequest(
                link: LinkID(1), nonce: nonce(5)!, rendezvous: Rendezvous(relay: "r1", endpoint: "h:1"),
                isParked: isParked), home: PlayerAddress(host: "127.0.0.1", port: 25565),
            proxyProtocol: proxyProtocol)
    }

    @Test func thePreambleNamesTheRelayAndTheNonce() {
        var connection = connection()
        let preamble = Preamble(relay: "r1", nonce: nonce(5)!).encode()
        #expect(connection.handle(.connected, at: now) == [.send(preamble)])
    }

    @Test func startDialsHomeAndReadyComesWhenHomeAnswers() {
        var connection = connection(isParked: true)
        _ = connection.handle(.connected, at: now)
        #expect(connection.isParked)
        let bytes = start.encode() + [0x10, 0x00]
        #expect(connection.handle(.received(bytes), at: now) == [.take(bytes.count - 2), .dialHome])
        #expect(!connection.isParked)
        #expect(connection.player == start.player)
        #expect(
            connection.handle(.homeConnected, at: now) == [
                .join(answer: StartAnswer.ready.encode(), home: [])
            ])
        #expect(connection.handle(.received([1]), at: now) == [])
    }

    @Test func aStartInPiecesIsPutTogether() {
        let bytes = start.encode()
        for cut in 0..<bytes.count {
            var connection = connection()
            _ = connection.handle(.connected, at: now)
            #expect(connection.handle(.received(Array(bytes[..<cut])), at: now) == [])
            #expect(connection.handle(.received(bytes), at: now) == [.take(bytes.count), .dialHome])
        }
    }

    @Test func aSilentHomeIsAReasonedRefusal() {
        var connection = connection()
        _ = connection.handle(.connected, at: now)
        _ = connection.handle(.received(start.encode()), at: now)
        #expect(
            connection.handle(.homeFailed, at: now) == [
                .send(StartAnswer.refused(.localServerUnreachable).encode()), .close,
            ])
    }

    @Test func anythingButStartCloses() {
        for bytes: [UInt8] in [[0x02, 0, 0], [0x01, 0xFF, 0xFF], [0x01, 0, 2, 9, 9], [0xFE, 1]] {
            var connection = connection()
            _ = connection.handle(.connected, at: now)
            #expect(connection.handle(.received(bytes), at: now) == [.close], "\(bytes)")
        }
    }

    @Test func oneOpenedForAPlayerDoesNotWaitForeverAParkedOneDoes() {
        var opened = connection()
        _ = opened.handle(.connected, at: now)
        #expect(opened.deadline == now + .seconds(10))
        #expect(opened.handle(.timePassed, at: now + .seconds(9)) == [])
        #expect(opened.handle(.timePassed, at: now + .seconds(10)) == [.close])
        var parked = connection(isParked: true)
        _ = parked.handle(.connected, at: now)
        #expect(parked.deadline == nil)
    }

    @Test func theProxyHeaderGoesHomeBeforeThePlayersBytes() {
        var connection = connection(proxyProtocol: .v1)
        _ = connection.handle(.connected, at: now)
        _ = connection.handle(.received(start.encode()), at: now)
        #expect(
            connection.handle(.homeConnected, at: now) == [
                .join(
                    answer: StartAnswer.ready.encode(),
                    home: Array("PROXY TCP4 192.0.2.7 127.0.0.1 51413 25565\r\n".utf8))
            ])
    }
}

struct ProxyProtocolTests {
    private let home = PlayerAddress(host: "127.0.0.1", port: 25565)

    @Test func versionTwoIsTheDocumentedBytes() throws {
        let player = try #require(PlayerAddress(host: "192.0.2.7", port: 51413))
        let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
        let expected: [UInt8] =
            signature + [0x21, 0x11, 0x00, 0x0C, 192, 0, 2, 7, 127, 0, 0, 1, 0xC8, 0xD5, 0x63, 0xDD]
        #expect(ProxyProtocol.v2.header(player: player, home: home) == expected)
    }

    @Test func anIPv6PlayerBeforeAnIPv4HomeGetsAHeaderOfOneFamily() throws {
        let player = try #require(PlayerAddress(host: "2001:db8::7", port: 51413))
        #expect(
            String(decoding: ProxyProtocol.v1.header(player: player, home: home), as: UTF8.self)
                == "PROXY TCP6 2001:db8::7 ::1 51413 25565\r\n")
        let header = ProxyProtocol.v2.header(player: player, home: home)
        #expect(header[12..<16] == [0x21, 0x21, 0x00, 0x24])
        #expect(header.count == 16 + 36)
    }

    @Test func offIsNothing() throws {
        let player = try #require(PlayerAddress(host: "192.0.2.7", port: 51413))
        #expect(ProxyProtocol.off.header(player: player, home: nil) == [])
    }
}

struct PlayerGreetingTests {
    private func handshake(intent: UInt8) -> [UInt8] {
        let host = Array("a.bb".utf8)
        let body: [UInt8] = [0x00, 0x85, 0x06, UInt8(host.count)] + host + [0x63, 0xDD, intent]
        return [UInt8(body.count)] + body
    }

    private func loginStart(_ name: String) -> [UInt8] {
        let body = [0x00, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8](repeating: 7, count: 16)
        return [UInt8(body.count)] + body
    }

    @Test func aLookAtTheServerListIsAPing() {
        #expect(PlayerGreeting.read(handshake(intent: 1)) == .ping)
        #expect(PlayerGreeting.read([0xFE, 0x01]) == .ping)
        #expect(PlayerGreeting.read([0xFE]) == .ping)
    }

    @Test func aLoginHasANameWhenItIsThere() {
        #expect(PlayerGreeting.read(handshake(intent: 2)) == .login(name: nil))
        #expect(PlayerGreeting.read(handshake(intent: 2) + loginStart("Steve_7")) == .login(name: "Steve_7"))
        #expect(PlayerGreeting.read(handshake(intent: 3) + loginStart("Alex")) == .login(name: "Alex"))
    }

    @Test func aNameThatCouldTouchATerminalIsNotShown() {
        for name in ["\u{1B}[31m", "a b", String(repeating: "x", count: 17), ""] {
            #expect(PlayerGreeting.read(handshake(intent: 2) + loginStart(name)) == .login(name: nil))
        }
    }

    @Test func piecesAndGarbageAreUnknown() {
        let whole = handshake(intent: 2)
        for cut in 0..<whole.count { #expect(PlayerGreeting.read(Array(whole[..<cut])) == .unknown) }
        #expect(PlayerGreeting.read([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]) == .unknown)
        #expect(PlayerGreeting.read(handshake(intent: 9)) == .unknown)
    }
}
