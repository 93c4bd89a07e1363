import Core
import Testing

@testable import Wire

@Suite struct DataConnectionTests {
    let preamble = Preamble(relay: "r1", nonce: nonce)
    let preambleBytes = bytes("4D434450 01 02 7231 \(nonceHex)")
    let start = Start(player: PlayerAddress(ip: [192, 0, 2, 7], port: 51413)!, routingName: "a.bb")
    let startBytes = bytes("01 000C 04 C0000207 C8D5 04 612E6262")

    @Test func theExamplesOfThePageAreReadAndWritten() throws {
        #expect(preamble.encode() == preambleBytes)
        #expect(try Preamble.decode(preambleBytes.span) == .message(preamble, consumed: 24))
        #expect(start.encode() == startBytes)
        #expect(try Start.decode(startBytes.span) == .message(start, consumed: 15))
        #expect(StartAnswer.ready.encode() == bytes("02 0000"))
        #expect(try StartAnswer.decode(bytes("02 0000").span) == .message(.ready, consumed: 3))
        let refused = StartAnswer.refused(.localServerUnreachable)
        #expect(refused.encode() == bytes("03 0001 01"))
        #expect(try StartAnswer.decode(bytes("03 0001 01").span) == .message(refused, consumed: 4))
    }

    @Test func rawBytesBehindAMessageAreLeftAlone() throws {
        #expect(try Preamble.decode((preambleBytes + [1, 2]).span) == .message(preamble, consumed: 24))
        #expect(try Start.decode((startBytes + [1, 2]).span) == .message(start, consumed: 15))
        #expect(try StartAnswer.decode(bytes("02 0000 FF").span) == .message(.ready, consumed: 3))
    }

    @Test func messagesAreAwaitedUntilTheirLastByte() throws {
        for count in 0..<preambleBytes.count {
            #expect(try Preamble.decode(Array(preambleBytes[..<count]).span) == .needMore)
        }
        for count in 0..<startBytes.count {
            #expect(try Start.decode(Array(startBytes[..<count]).span) == .needMore)
        }
        for count in 0..<3 {
            #expect(try StartAnswer.decode(Array(bytes("03 0001 01")[..<count]).span) == .needMore)
        }
    }

    @Test func anIPv6PlayerKeepsTheAddress() throws {
        let player = PlayerAddress(host: "2001:db8::7", port: 1)!
        let wire = Start(player: player, routingName: "").encode()
        #expect(
            try Start.decode(wire.span)
                == .message(Start(player: player, routingName: ""), consumed: wire.count))
    }

    @Test func aNewerPreambleIsRefusedByItsVersion() {
        #expect(throws: WireError.unsupportedVersion(2)) { try Preamble.decode(bytes("4D434450 02").span) }
    }

    @Test func whatIsNoneOfTheMessagesIsRefusedAtOnce() {
        for hex in ["4D00", "16", "4D434450 01 41", "4D434450 01 01 FF \(nonceHex)"] {
            #expect(throws: WireError.self) { try Preamble.decode(bytes(hex).span) }
        }
        for hex in ["02", "FE", "01 FFFF", "01 0001 04", "01 0008 05 0000000000 0000", "01 0000"] {
            #expect(throws: WireError.self) { try Start.decode(bytes(hex).span) }
        }
        for hex in ["01", "04", "02 0001", "03 0041", "03 0000"] {
            #expect(throws: WireError.self) { try StartAnswer.decode(bytes(hex).span) }
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func garbageNeverCrashesAndNothingBeyondTheInputIsConsumed(_ seed: UInt64) {
        var random = Seeded(seed)
        for round in 0..<20_000 {
            var wire = random.bytes(Int.random(in: 0...60, using: &random))
            if round % 3 == 0 {
                wire = preambleBytes + wire
                wire[4...].indices.randomElement(using: &random).map { wire[$0] = 0 }
            } else if round % 3 == 1 {
                wire = [UInt8.random(in: 1...3, using: &random), 0, UInt8(wire.count)] + wire
            }
            if case .message(_, let consumed) = try? Preamble.decode(wire.span) {
                #expect(consumed <= wire.count)
            }
            if case .message(let start, let consumed) = try? Start.decode(wire.span) {
                #expect(consumed <= wire.count)
                let again = start.encode()
                #expect((try? Start.decode(again.span)) == .message(start, consumed: again.count))
            }
            if case .message(_, let consumed) = try? StartAnswer.decode(wire.span) {
                #expect(consumed <= wire.count)
            }
            _ = FirstBytes.sniff(wire.span)
        }
    }
}

@Suite struct ForwardPreambleTests {
    private static let hex = "4D434657 01 000102030405060708090A0B0C0D0E0F"

    @Test func theExampleIsReadAndWritten() throws {
        let wire = bytes(Self.hex)
        let token = try #require(ForwardToken((0..<16).map { UInt8($0) }))
        #expect(ForwardPreamble(token: token).encode() == wire)
        guard case .message(let preamble, let consumed) = try ForwardPreamble.decode((wire + [9, 9]).span)
        else {
            Issue.record("it is not read")
            return
        }
        #expect(preamble.token == token)
        #expect(consumed == wire.count)
        #expect(consumed == ForwardPreamble.byteCount)
    }

    @Test func aPartOfItIsNotEnough() throws {
        let wire = bytes(Self.hex)
        for count in 0..<wire.count {
            guard case .needMore = try ForwardPreamble.decode(Array(wire[..<count]).span) else {
                Issue.record("\(count) bytes are taken for all")
                return
            }
        }
    }

    @Test(arguments: ["4D434658", "4D43465702", "00"])
    func whatCannotBecomeOneIsRefusedAtOnce(_ hex: String) {
        #expect(throws: WireError.self) { try ForwardPreamble.decode(bytes(hex).span) }
    }
}

@Suite struct FirstBytesTests {
    @Test(arguments: [
        ("", FirstBytes.needMore), ("16", .needMore), ("16 03", .tls), ("16 03 01 02", .tls),
        ("4D", .needMore), ("4D43", .needMore), ("4D4344", .needMore), ("4D434450", .dataConnection),
        ("4D43445001", .dataConnection), ("4D4346", .needMore), ("4D434657", .forwarded),
        ("4D43465701", .forwarded),
        ("4D434658", .minecraft),
        // Minecraft frames of 0x16 and 0x4D bytes, old pings and logins, other protocols.
        ("16 00", .minecraft), ("4D00", .minecraft), ("4D4300", .minecraft), ("FE", .minecraft),
        ("02", .minecraft), ("10 00", .minecraft), ("474554", .minecraft), ("00", .minecraft),
    ])
    func guestsAreToldApartByTheirFirstBytes(_ hex: String, _ expected: FirstBytes) {
        #expect(FirstBytes.sniff(bytes(hex).span) == expected)
    }
}

@Suite struct PlayerAddressTests {
    @Test(arguments: [
        ("192.0.2.7", "192.0.2.7"), ("::1", "::1"), ("::", "::"), ("1::", "1::"),
        ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("fe80::1%eth0", "fe80::1"), ("::ffff:192.0.2.7", "192.0.2.7"),
        ("64:ff9b::192.0.2.7", "64:ff9b::c000:207"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
    ])
    func addressesAreReadAndWrittenInOneForm(_ text: String, _ expected: String) {
        #expect(PlayerAddress(host: text, port: 25565)?.host == expected)
    }

    @Test(arguments: [
        "", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.+4", "1.2.3.0004", ":", ":::", "1:2:3:4:5:6:7", "::1::",
        "1:2:3:4:5:6:7:8:9", "12345::", "1:2:3:4:5:6:7::8:9", "::1.2.3.4:5", ":1::", "1::2:", "::-1", "g::",
        "localhost", "1.2.3.4:", "[::1]",
    ])
    func otherTextsAreNoAddresses(_ text: String) {
        #expect(PlayerAddress(host: text, port: 1) == nil)
    }

    @Test func aV4PlayerThroughAV6SocketIsV4() {
        let mapped = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 192, 0, 2, 7]
        #expect(PlayerAddress(ip: mapped, port: 9)?.description == "192.0.2.7:9")
        #expect(PlayerAddress(host: "::1", port: 9)?.description == "[::1]:9")
        #expect(PlayerAddress(ip: mapped, port: 65536) == nil && PlayerAddress(ip: [1], port: 1) == nil)
    }
}
