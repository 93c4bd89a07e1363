import Core
import Testing

@testable import Wire

@Suite struct LinkFrameTests {
    static let examples: [(hex: String, frame: LinkFrame)] = [
        ("01 01 000005 0003 612E62", .hello(ticket: "a.b")),
        (
            "02 01 000010 00000014 00000000000F4240 FFFFFFFF",
            .welcome(Limits(players: 20, bytes_per_s: 1_000_000))
        ),
        ("03 01 000018 02 7231 03 683A31 01 \(nonceHex)", .park([nonce], rendezvous)),
        ("04 01 000017 \(nonceHex) 02 7231 03 683A31", .open(nonce, rendezvous)),
        (
            "05 01 000018 \(nonceHex) 02 7231 03 683A31 01",
            .refuse(nonce, rendezvous, .localServerUnreachable)
        ),
        ("06 01 000008 0102030405060708", .ping(0x0102_0304_0506_0708)),
        ("07 01 000008 0102030405060708", .pong(0x0102_0304_0506_0708)),
        ("08 01 000005 00007530 01", .migrate(within: .seconds(30), leave: true)),
        (
            "09 01 000010 00000000 0000000000000400 0000003C",
            .limits(Limits(players: 0, bytes_per_s: 1024, idle_timeout_s: 60))
        ),
        ("0A 01 000005 000003E8 01", .goAway(reconnectIn: .seconds(1), .draining)),
    ]

    @Test(arguments: examples.indices)
    func everyExampleOfTheProtocolPageIsReadAndWritten(_ index: Int) throws {
        let (hex, frame) = Self.examples[index]
        let wire = bytes(hex)
        #expect(try LinkFrame.decode(wire.span) == .message(frame, consumed: wire.count))
        #expect(frame.encode() == wire)
    }

    @Test(arguments: examples.indices)
    func aFrameIsAwaitedUntilItsLastByteAndEndsThere(_ index: Int) throws {
        let wire = bytes(Self.examples[index].hex)
        for count in 0..<wire.count {
            #expect(try LinkFrame.decode(Array(wire[..<count]).span) == .needMore)
        }
        let next = wire + LinkFrame.ping(1).encode()
        #expect(try LinkFrame.decode(next.span) == .message(Self.examples[index].frame, consumed: wire.count))
    }

    @Test func unknownTypesAndVersionsAreSkipped() throws {
        #expect(try LinkFrame.decode(bytes("7F 01 000003 010203 06").span) == .skipped(consumed: 8))
        #expect(try LinkFrame.decode(bytes("00 01 000000").span) == .skipped(consumed: 5))
        #expect(try LinkFrame.decode(bytes("06 02 000001 00").span) == .skipped(consumed: 6))
        #expect(try LinkFrame.decode(bytes("7F 01 000003 0102").span) == .needMore)
    }

    @Test func newFieldsBehindTheKnownOnesAreIgnored() throws {
        #expect(
            try LinkFrame.decode(bytes("08 01 000007 00007530 00 ABCD").span)
                == .message(.migrate(within: .seconds(30), leave: false), consumed: 12))
    }

    @Test func unknownReasonsAreUnspecified() throws {
        #expect(
            try LinkFrame.decode(bytes("0A 01 000005 00000000 EE").span)
                == .message(.goAway(reconnectIn: Milliseconds(0), .unspecified), consumed: 10))
    }

    @Test func anOversizeFrameIsRefusedByItsHeader() {
        #expect(throws: WireError.tooLarge(what: "a frame", bytes: 16385, limit: 16384)) {
            try LinkFrame.decode(bytes("7F 01 004001").span)
        }
    }

    @Test func fieldsThatLieAboutTheirLengthAreRefused() {
        for hex in [
            "01 01 000004 0003 6161", "03 01 000008 02 7231 03 683A31 41", "06 01 000000",
            "03 01 000008 02 7231 03 683A31 01", "04 01 000002 0000", "01 01 000003 0001 FF",
        ] {
            #expect(throws: WireError.self) { try LinkFrame.decode(bytes(hex).span) }
        }
    }

    @Test func aTicketOverTheCapIsRefused() {
        let wire = bytes("01 01 002003 2001") + [UInt8](repeating: 0x61, count: 8193)
        #expect(throws: WireError.self) { try LinkFrame.decode(wire.span) }
        // What is too long to be sent is cut and never passes for what it was.
        let sent = LinkFrame.hello(ticket: String(repeating: "a", count: 70000)).encode()
        #expect(sent.count == LinkFrame.headerBytes + 2 + LinkFrame.maxTicketBytes)
    }

    @Test func theFullParkFits() throws {
        let nonces = (0..<70).map { byte in Nonce([UInt8](repeating: UInt8(byte), count: 16))! }
        let sent = LinkFrame.park(nonces, rendezvous).encode()
        #expect(
            try LinkFrame.decode(sent.span)
                == .message(.park(Array(nonces.prefix(64)), rendezvous), consumed: sent.count))
    }

    @Test func ticketsAndNoncesDoNotPrint() {
        #expect("\(LinkFrame.hello(ticket: "secret"))" == "HELLO")
        #expect("\(LinkFrame.open(nonce, rendezvous))" == "OPEN at r1")
        #expect("\(nonce)" == "nonce")
        #expect("\(Preamble(relay: "r1", nonce: nonce))".contains("nonce: nonce"))
    }

    @Test func whatWasReplacedOrRevokedDoesNotComeBack() {
        #expect(GoAwayReason.replaced.isFinal && GoAwayReason.revoked.isFinal)
        #expect(!GoAwayReason.draining.isFinal && !GoAwayReason.unspecified.isFinal)
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func garbageNeverCrashesAndNothingBeyondTheInputIsConsumed(_ seed: UInt64) {
        var random = Seeded(seed)
        for round in 0..<20_000 {
            var wire = random.bytes(Int.random(in: 0...80, using: &random))
            // Mostly plausible headers, so that the fields are reached.
            if round % 4 != 0, wire.count >= 5 {
                wire[0] = UInt8.random(in: 0...11, using: &random)
                wire[1] = 1
                wire[2] = 0
                wire[3] = 0
                wire[4] = UInt8(max(0, wire.count - 5 + Int.random(in: -2...1, using: &random)))
            }
            guard let decoded = try? LinkFrame.decode(wire.span) else { continue }
            switch decoded {
            case .needMore: break
            case .skipped(let consumed): #expect(consumed >= 5 && consumed <= wire.count)
            case .message(let frame, let consumed):
                #expect(consumed >= 5 && consumed <= wire.count)
                let again = frame.encode()
                #expect((try? LinkFrame.decode(again.span)) == .message(frame, consumed: again.count))
            }
        }
    }
}
