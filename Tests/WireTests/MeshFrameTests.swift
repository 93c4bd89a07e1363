import Core
import Testing

@testable import Wire

@Suite struct MeshFrameTests {
    private static let token = ForwardToken(Array(0..<16))!
    static let examples: [(hex: String, frame: MeshFrame)] = [
        ("41 01 000006 02 7231 02 6575", .hello(relay: "r1", region: "eu")),
        ("42 01 000000", .welcome),
        (
            "43 01 00002B 0000000000000007 0000000000000009 02 7431 \(nonceHex) 02 7231 03 683A31 01",
            .ask(
                MeshQuestion(
                    number: 7, player: 9, tunnel: "t1", nonce: nonce, rendezvous: rendezvous, isLogin: true))
        ),
        ("44 01 00000C 0000000000000007 01 02 6B31", .answer(number: 7, .opened(agentKey: "k1"))),
        ("45 01 000011 \(nonceHex) 01", .refused(nonce, .localServerUnreachable)),
        (
            "46 01 000015 00000005 0001 02 7431 00000003 0000000000000400",
            .presence(
                PresenceReport(
                    answersHeard: 5,
                    rows: [PresenceReport.Row(tunnel: "t1", players: 3, bytes_per_s: 1024)]))
        ),
        (
            "47 01 00000D 0001 02 7431 0000000000000200",
            .shares(ShareReport(rows: [ShareReport.Row(tunnel: "t1", bytes_per_s: 512)]))
        ),
        ("48 01 000010 \(nonceHex)", .forward(token)),
        ("49 01 000008 0102030405060708", .ping(0x0102_0304_0506_0708)),
        ("4A 01 000008 0102030405060708", .pong(0x0102_0304_0506_0708)),
    ]

    @Test(arguments: examples.indices)
    func everyExampleOfTheProtocolPageIsReadAndWritten(_ index: Int) throws {
        let (hex, frame) = Self.examples[index]
        let wire = bytes(hex)
        #expect(try MeshFrame.decode(wire.span) == .message(frame, consumed: wire.count))
        #expect(frame.encode() == wire)
    }

    @Test(arguments: examples.indices)
    func aFrameIsAwaitedUntilItsLastByteAndEndsThere(_ index: Int) throws {
        let wire = bytes(Self.examples[index].hex)
        for count in 0..<wire.count {
            #expect(try MeshFrame.decode(Array(wire[..<count]).span) == .needMore)
        }
        let next = wire + MeshFrame.ping(1).encode()
        #expect(try MeshFrame.decode(next.span) == .message(Self.examples[index].frame, consumed: wire.count))
    }

    @Test func everyAnswerIsReadAsItWasWritten() throws {
        for answer: MeshAnswer in [
            .noLink, .opened(agentKey: nil), .opened(agentKey: "k1"), .full, .asleep, .suspended,
        ] {
            let wire = MeshFrame.answer(number: 1, answer).encode()
            #expect(
                try MeshFrame.decode(wire.span)
                    == .message(.answer(number: 1, answer), consumed: wire.count))
        }
        #expect(
            try MeshFrame.decode(bytes("44 01 00000A 0000000000000007 EE 00").span)
                == .message(.answer(number: 7, .noLink), consumed: 15))
    }

    /// The first frame on a TLS connection tells a relay from an agent.
    @Test func framesOfLinksAndOfTheMeshAreNotTakenForEachOther() throws {
        for (hex, _) in Self.examples {
            let wire = bytes(hex)
            #expect(try LinkFrame.decode(wire.span) == .skipped(consumed: wire.count))
        }
        for (hex, _) in LinkFrameTests.examples {
            let wire = bytes(hex)
            #expect(try MeshFrame.decode(wire.span) == .skipped(consumed: wire.count))
        }
        #expect(MeshFrame.hello(relay: "r1", region: "eu").encode().first == MeshFrame.firstByte)
    }

    @Test func unknownTypesAndVersionsAreSkippedAndNewFieldsIgnored() throws {
        #expect(try MeshFrame.decode(bytes("7F 01 000003 010203 06").span) == .skipped(consumed: 8))
        #expect(try MeshFrame.decode(bytes("49 02 000001 00").span) == .skipped(consumed: 6))
        #expect(try MeshFrame.decode(bytes("42 01 000002 ABCD").span) == .message(.welcome, consumed: 7))
    }

    @Test func fieldsThatLieAboutTheirLengthAreRefused() {
        for hex in [
            "41 01 000003 03 7231", "43 01 000008 0000000000000007", "45 01 000010 \(nonceHex)",
            "46 01 000006 00000000 0001", "46 01 000006 00000000 00C9", "47 01 000002 FFFF",
            "48 01 000001 00", "49 01 000000",
            "41 01 000004 01 FF 01 65",
        ] {
            #expect(throws: WireError.self) { try MeshFrame.decode(bytes(hex).span) }
        }
        #expect(throws: WireError.tooLarge(what: "a frame", bytes: 16385, limit: 16384)) {
            try MeshFrame.decode(bytes("7F 01 004001").span)
        }
    }

    @Test func theFullestReportsFit() throws {
        let name = String(repeating: "t", count: 64)
        let presence = PresenceReport(
            answersHeard: .max,
            rows: (0..<PresenceReport.maxRows).map { _ in
                PresenceReport.Row(tunnel: name, players: 1, bytes_per_s: 2)
            })
        let sent = MeshFrame.presence(presence).encode()
        #expect(sent.count <= MeshFrame.headerBytes + MeshFrame.maxPayloadBytes)
    }

    @Test func secretsDoNotPrint() {
        #expect("\(MeshFrame.answer(number: 1, .opened(agentKey: "secret")))" == "ANSWER 1: opened")
        #expect("\(MeshFrame.forward(Self.token))" == "FORWARD")
        #expect("\(Self.token)" == "token")
        #expect(ForwardToken([1]) == nil)
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func garbageNeverCrashesAndNothingBeyondTheInputIsConsumed(_ seed: UInt64) {
        var random = Seeded(seed)
        for round in 0..<20_000 {
            var wire = random.bytes(Int.random(in: 0...80, using: &random))
            // Mostly plausible headers, so that the fields are reached.
            if round % 4 != 0, wire.count >= 5 {
                wire[0] = UInt8.random(in: 0x40...0x4B, using: &random)
                wire[1] = 1
                wire[2] = 0
                wire[3] = 0
                wire[4] = UInt8(max(0, wire.count - 5 + Int.random(in: -2...1, using: &random)))
            }
            guard let decoded = try? MeshFrame.decode(wire.span) else { continue }
            switch decoded {
            case .needMore: break
            case .skipped(let consumed): #expect(consumed >= 5 && consumed <= wire.count)
            case .message(let frame, let consumed):
                #expect(consumed >= 5 && consumed <= wire.count)
                let again = frame.encode()
                #expect((try? MeshFrame.decode(again.span)) == .message(frame, consumed: again.count))
            }
        }
    }
}
