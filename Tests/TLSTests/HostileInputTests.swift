import Core
import Crypto
import IO
import Testing

@testable import TLS

@Suite struct HostileInputTests {
    let fixture: Fixture

    init() throws { fixture = try Fixture() }

    @Test func whatIsNotTLSIsSaidToBeNone() throws {
        for text in [
            "GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n", "\u{10}\0\u{2F}\u{09}localhost",
            "SSH-2.0-OpenSSH_9.2\r\n", String(repeating: "\0", count: 64),
        ] {
            for codec in [try fixture.server.codec(), try fixture.client().codec()] {
                let end = MemoryPair.End(codec)
                end.start()
                end.receive(Array(text.utf8))
                let reason = try #require(end.error?.reason)
                #expect(reason.hasPrefix("the other side does not speak TLS"), "\(reason)")
            }
        }
    }

    @Test func anHTTPClientGetsAClearReason() throws {
        let end = MemoryPair.End(try fixture.server.codec())
        end.start()
        end.receive(Array("GET / HTTP/1.1\r\n\r\n".utf8))
        #expect(end.error?.reason.hasPrefix("the other side does not speak TLS") == true)
    }

    @Test func aFailedCodecStaysFailed() throws {
        let end = MemoryPair.End(try fixture.server.codec())
        end.start()
        end.receive(Array("GET / HTTP/1.1\r\n\r\n".utf8))
        let first = try #require(end.error)
        end.error = nil
        end.receive([0x16, 0x03, 0x01])
        #expect(end.error == first)
        end.error = nil
        end.send([1])
        #expect(end.error == first)
        let before = end.wire.count
        end.finish()
        #expect(end.wire.count == before)
    }

    @Test func aChangedRecordIsNoticed() throws {
        for position in [0, 3, 5, 12, -1] {
            let pair = try fixture.openPair()
            pair.client.send(Array("a secret".utf8))
            var record = pair.client.wire
            pair.client.wire = []
            record[position < 0 ? record.count + position : position] ^= 0x40
            pair.server.receive(record)
            pair.server.receive([UInt8](repeating: 0, count: 17_000))
            #expect(pair.server.error != nil)
            #expect(pair.server.received.isEmpty)
            #expect(!pair.server.wire.isEmpty, "an alert tells the other side")
        }
    }

    @Test func aRepeatedRecordIsNoticed() throws {
        let pair = try fixture.openPair()
        pair.client.send(Array("once".utf8))
        let record = pair.client.wire
        pair.server.receive(record)
        pair.server.receive(record)
        #expect(pair.server.text == "once")
        #expect(pair.server.error != nil)
    }

    @Test func aChangedByteAnywhereInTheHandshakeNeverOpensBothEnds() throws {
        let whole = try fixture.pair(serverName: "relay.example")
        let helloCount = whole.client.wire.count
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<150 {
            let pair = try fixture.pair(serverName: "relay.example")
            let position = Int.random(in: 5..<helloCount, using: &generator)
            pair.client.wire[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            pair.pump()
            #expect(!pair.bothOpen, "position \(position)")
        }
    }

    @Test func randomBytesNeverCrashACodec() throws {
        var generator = SeededGenerator(seed: 20)
        let hello = try fixture.pair(serverName: "relay.example").client.wire
        for round in 0..<600 {
            let codec = round % 2 == 0 ? try fixture.server.codec() : try fixture.client().codec()
            let end = MemoryPair.End(codec)
            end.start()
            var bytes = (0..<Int.random(in: 1...400, using: &generator)).map { _ in
                UInt8.random(in: .min ... .max, using: &generator)
            }
            switch round % 3 {
            case 0: bytes = [0x16, 0x03, 0x03, 0x01, 0x00] + bytes
            case 1: bytes = Array(hello.prefix(Int.random(in: 1...hello.count, using: &generator))) + bytes
            default: break
            }
            end.receive(bytes)
            end.receive(bytes)
            #expect(!codec.isOpen)
            #expect(end.received.isEmpty)
            #expect(end.wire.count < 8192)
        }
    }

    @Test func aFloodOfKeyUpdatesIsAnsweredWithNoMoreThanItSent() throws {
        let pair = try fixture.openPair()
        for _ in 0..<500 { try #require(pair.client.codec.requestKeyUpdate(wire: &pair.client.wire)) }
        let sent = pair.client.wire.count
        pair.server.receive(pair.client.wire)
        pair.client.wire = []
        #expect(pair.server.wire.count <= sent)
        pair.pump()
        pair.client.send(Array("still here".utf8))
        pair.pump()
        #expect(pair.server.text == "still here" || pair.server.error != nil)
    }
}

/// SplitMix64: the same numbers for the same seed, so that a failure can be run again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
