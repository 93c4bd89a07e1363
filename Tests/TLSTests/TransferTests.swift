import Crypto
import IO
import Testing

@testable import TLS

@Suite struct TransferTests {
    let fixture: Fixture

    init() throws { fixture = try Fixture() }

    @Test func bytesGoBothWays() throws {
        let pair = try fixture.openPair()
        pair.client.send(Array("HELLO".utf8))
        pair.server.send(Array("WELCOME".utf8))
        pair.pump()
        #expect(pair.server.text == "HELLO")
        #expect(pair.client.text == "WELCOME")
        #expect(pair.client.codec.peerFinished == false)
    }

    @Test func receivedBytesAreAppended() throws {
        let pair = try fixture.openPair()
        for word in ["one ", "two ", "three"] {
            pair.client.send(Array(word.utf8))
            pair.pump()
        }
        #expect(pair.server.text == "one two three")
    }

    @Test(arguments: [1 << 20, 16_384, 1460, 7])
    func largeTransfersArriveWhole(chunk: Int) throws {
        let pair = try fixture.openPair()
        let count = chunk < 1000 ? 200_000 : 8_000_000
        let down = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
        let up = Array(down.reversed())
        var offset = 0
        while offset < count {
            let end = min(count, offset + 300_000)
            pair.server.send(Array(down[offset..<end]))
            pair.client.send(Array(up[offset..<end]))
            pair.pump(chunk: chunk)
            offset = end
        }
        #expect(pair.client.error == nil && pair.server.error == nil)
        #expect(pair.client.received.array() == down)
        #expect(pair.server.received.array() == up)
    }

    @Test func whatIsSentBeforeTheHandshakeFollowsIt() throws {
        let pair = try fixture.pair()
        pair.client.send(Array("early ".utf8))
        pair.client.send(Array("bird".utf8))
        pair.server.send(Array("worm".utf8))
        pair.pump()
        #expect(pair.server.text == "early bird")
        #expect(pair.client.text == "worm")
    }

    @Test func whatIsSentBeforeTheHandshakeIsBounded() throws {
        let codec = try fixture.client().codec()
        var wire: [UInt8] = []
        try codec.send([UInt8](repeating: 1, count: 64 * 1024), wire: &wire)
        #expect(throws: CodecError.self) { try codec.send([1], wire: &wire) }
        #expect(wire.isEmpty)
    }

    @Test func theFarewellIsSeenAndTheOtherDirectionGoesOn() throws {
        let pair = try fixture.openPair()
        pair.client.send(Array("last".utf8))
        pair.client.finish()
        pair.pump()
        #expect(pair.server.text == "last")
        #expect(pair.server.codec.peerFinished && pair.server.error == nil)
        #expect(!pair.client.codec.peerFinished)
        pair.server.send(Array("answer".utf8))
        pair.server.finish()
        pair.pump()
        #expect(pair.client.text == "answer")
        #expect(pair.client.codec.peerFinished && pair.client.error == nil)
    }

    @Test func theFarewellIsSaidOnce() throws {
        let pair = try fixture.openPair()
        pair.client.finish()
        #expect(!pair.client.wire.isEmpty)
        let once = pair.client.wire.count
        pair.client.finish()
        #expect(pair.client.wire.count == once)
        pair.client.send([1])
        #expect(pair.client.error?.reason == "bytes were sent after the end of the TLS connection")
    }

    @Test func thereIsNoFarewellBeforeTheHandshake() throws {
        let pair = try fixture.pair()
        pair.pump(chunk: .max)
        let fresh = try fixture.server.codec()
        var wire: [UInt8] = []
        fresh.finish(wire: &wire)
        #expect(wire.isEmpty)
    }

    @Test func bytesAfterTheFarewellAreIgnored() throws {
        let pair = try fixture.openPair()
        pair.client.finish()
        pair.pump()
        pair.server.receive(Array("garbage".utf8))
        #expect(pair.server.error == nil && pair.server.received.isEmpty)
    }
}
