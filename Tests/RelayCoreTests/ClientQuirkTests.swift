import Core
import Testing

@testable import RelayCore

/// One test or more for each way in which clients, mods and proxies differ in their first bytes.
@Suite struct ClientQuirkTests {
    static let name = "sleepy-creeper.eu.dvv.one"

    // MARK: The frame

    @Test func frameLengthsAreVarIntsOfAtMostThreeBytes() throws {
        let plain = Client.handshake(Self.name)
        #expect(try handshake(plain).byteCount == plain.count)
        let padded = [plain[0] | 0x80, 0x80, 0x00] + plain.dropFirst()
        #expect(try handshake(padded).serverAddress == Self.name)
        let fourBytes: [UInt8] = [plain[0] | 0x80, 0x80, 0x80, 0x00] + plain.dropFirst()
        #expect(firstPacket(fourBytes) == .invalid(.notAHandshake))
        #expect(firstPacket(bytes("FF FF 7F")) == .invalid(.frameTooLong))
        #expect(firstPacket(bytes("81 08")) == .invalid(.frameTooLong))
    }

    @Test func emptyFramesBeforeTheHandshakeAreSkippedButStayInItsBytes() throws {
        let sent = [0, 0, 0] + Client.handshake(Self.name)
        #expect(try handshake(sent).byteCount == sent.count)
        #expect(firstPacket([0, 0, 0]) == .needMore)
        #expect(firstPacket([UInt8](repeating: 0, count: 17)) == .invalid(.notAHandshake))
    }

    @Test(arguments: [22, 77, 126, 127, 128, 254, 382, 510, 638])
    func framesWhoseFirstBytesLookLikeSomethingElseAreHandshakes(_ length: Int) throws {
        let sent = Client.handshake(frameLength: length)
        #expect(sent.count == length + (length < 128 ? 1 : 2))
        if [254, 382, 510, 638].contains(length) { #expect(sent[0] == 0xFE) }
        if length == 22 { #expect(sent[0] == 0x16) }
        #expect(try handshake(sent).byteCount == sent.count)
        // And also when they arrive byte by byte.
        for count in 1..<sent.count {
            let read = firstPacket(Array(sent[..<count]))
            let mayBePing = sent[0] == 0xFE && (count == 1 || count == 2 && sent[1] == 1)
            #expect(read == (mayBePing ? .ambiguous : .needMore))
        }
    }

    // MARK: Clients before 1.7

    @Test func aPingUpTo1_3IsFEAndSilence() {
        #expect(firstPacket([0xFE]) == .ambiguous)
        let ping = LegacyPing(age: .upTo1_3, host: nil, byteCount: 1)
        #expect(firstPacket([0xFE], quiet: true) == .legacyPing(ping))
        #expect(Answer.legacy(LegacyReply.status("off§line", to: ping)) == "off line§0§0")
    }

    @Test func aPingOf1_4And1_5IsFE01AndSilence() {
        #expect(firstPacket([0xFE, 0x01]) == .ambiguous)
        let ping = LegacyPing(age: .since1_4, host: nil, byteCount: 2)
        #expect(firstPacket([0xFE, 0x01], quiet: true) == .legacyPing(ping))
        #expect(
            Answer.legacy(LegacyReply.status("o\0k", to: ping))
                == "§1\u{0}127\u{0}offline\u{0}o k\u{0}0\u{0}0")
    }

    @Test func aPingOf1_6NamesItsHostAndMayArriveInPieces() {
        let sent = Client.ping1_6("Sleepy.eu.dvv.one")
        let ping = LegacyPing(
            age: .since1_6(protocolVersion: 74), host: "Sleepy.eu.dvv.one", byteCount: sent.count)
        #expect(firstPacket(sent) == .legacyPing(ping))
        for count in 3..<sent.count {
            #expect(firstPacket(Array(sent[..<count])) == .needMore)
            let cut = LegacyPing(age: .since1_6(protocolVersion: nil), host: nil, byteCount: count)
            #expect(firstPacket(Array(sent[..<count]), quiet: true) == .legacyPing(cut))
        }
        #expect(
            Answer.legacy(LegacyReply.status("ok 🙂", to: ping))
                == "§1\u{0}74\u{0}offline\u{0}ok 🙂\u{0}0\u{0}0")
    }

    @Test func a1_6PingThatLiesAboutItsLengthsIsRefused() {
        var sent = Client.ping1_6("ab")
        sent[27 + 3 - 1] = 200
        #expect(firstPacket(sent) != .needMore)
        #expect(firstPacket(bytes("FE 01 FA 00 0C")) == .invalid(.notAHandshake))
        let huge = Array(Client.ping1_6("ab")[..<27]) + [0xFF, 0xFF]
        #expect(firstPacket(huge) == .invalid(.notAHandshake))
    }

    @Test func aLoginBefore1_7GetsAKickItCanRead() {
        #expect(firstPacket(bytes("02 4A 0005")) == .legacyLogin)
        let kick = LegacyReply.kick(OfflineReason.clientTooOld.text(name: ""))
        #expect(Answer.legacy(kick) == "This address needs Minecraft 1.7 or newer.")
    }

    // MARK: The address

    @Test func namesOver255CharactersAreRefused() throws {
        let longest = String(repeating: "a", count: 255)
        #expect(try RoutingName(serverAddress: longest).text == longest)
        #expect(try RoutingName(serverAddress: longest + "\0FML2\0").text == longest)
        #expect(throws: RoutingName.Refusal.tooLong) { try RoutingName(serverAddress: longest + "a") }
        // Characters count, not bytes.
        #expect(throws: RoutingName.Refusal.notAName) {
            try RoutingName(serverAddress: String(repeating: "ü", count: 255))
        }
        // They still get an answer: the handshake itself can be read.
        #expect(try handshake(Client.handshake(longest + "a")).serverAddress.count == 256)
    }

    @Test(arguments: ["\0FML\0", "\0FML2\0", "\0FML3\0", "\0FORGE", "\0FORGE2", "\0FORGE\0"])
    func forgeMarkersAreCutForRoutingAndKeptForForwarding(_ marker: String) throws {
        #expect(try RoutingName(serverAddress: Self.name + marker).text == Self.name)
        #expect(try RoutingName(serverAddress: Self.name + "." + marker).text == Self.name)
        let sent = Client.handshake(Self.name + marker)
        let read = try handshake(sent)
        #expect(read.serverAddress == Self.name + marker && read.byteCount == sent.count)
    }

    @Test(arguments: [
        "\u{0}192.0.2.7\u{0}0123456789abcdef", "\u{0}192.0.2.7\u{0}0123456789abcdef\u{0}[{}]",
        "\u{0}\u{0}0123456789abcdef", "\u{0}FML2\u{0}\u{0}192.0.2.7\u{0}uuid", "\u{0}::1\u{0}uuid\u{0}\u{0}",
    ])
    func hostsWithAForwardedIdentityAreRefused(_ suffix: String) {
        #expect(throws: RoutingName.Refusal.forwardedIdentity) {
            try RoutingName(serverAddress: Self.name + suffix)
        }
    }

    @Test func tcpShieldsSuffixIsCut() throws {
        let suffix = "///192.0.2.7:51413///1770000000///c2lnbmF0dXJl"
        #expect(try RoutingName(serverAddress: Self.name + suffix).text == Self.name)
        #expect(try RoutingName(serverAddress: Self.name + suffix + "\0FML2\0").text == Self.name)
        #expect(try RoutingName(serverAddress: Self.name + ".///x").text == Self.name)
        #expect(try RoutingName(serverAddress: Self.name + "\\filter").text == Self.name)
    }

    @Test func caseTrailingDotsAndPortsDoNotMatter() throws {
        for typed in [
            "SLEEPY-Creeper.EU.dvv.one", "\(Self.name).", "\(Self.name)..", "\(Self.name):25565",
            "\(Self.name).:25565", "\(Self.name):",
        ] {
            #expect(try RoutingName(serverAddress: typed).text == Self.name)
        }
    }

    @Test func internationalNamesArriveAsASCII() throws {
        #expect(try RoutingName(serverAddress: "XN--MNCHEN-3YA.example.").text == "xn--mnchen-3ya.example")
        #expect(throws: RoutingName.Refusal.notAName) { try RoutingName(serverAddress: "münchen.example") }
    }

    @Test(arguments: [
        "192.0.2.7", "192.0.2.7:25565", "[::1]:25565", "2001:db8::1", "a b", "a/b", "a\n", "127.1",
    ])
    func addressesThatAreNoNamesAreRefused(_ typed: String) {
        #expect(throws: RoutingName.Refusal.notAName) { try RoutingName(serverAddress: typed) }
    }

    @Test(arguments: ["", ".", "\0FML\0", ":25565", "///x", "\0\0\0"])
    func anEmptyNameIsRefused(_ typed: String) {
        #expect(throws: RoutingName.Refusal.empty) { try RoutingName(serverAddress: typed) }
    }

    @Test func thePingCarriesTheTypedNameAndTheLoginTheSRVTarget() throws {
        let status = try handshake(Client.handshake("Play.Example.org", intent: 1))
        let login = try handshake(Client.handshake("sleepy-creeper.eu.dvv.one.", intent: 2))
        #expect(try RoutingName(serverAddress: status.serverAddress).text == "play.example.org")
        let target = try RoutingName(serverAddress: login.serverAddress)
        #expect(target.text == Self.name && target.label == "sleepy-creeper")
    }

    // MARK: Intents

    @Test func intents1To3AreKnownAndOthersRefused() throws {
        #expect(try handshake(Client.handshake("a.b", intent: 1)).intent == .status)
        #expect(try handshake(Client.handshake("a.b", intent: 2)).intent == .login)
        #expect(try handshake(Client.handshake("a.b", intent: 3)).intent == .transfer)
        for intent in [0, 4, 127, 128, -1] as [Int32] {
            let sent = Client.handshake("a.b", intent: intent)
            #expect(firstPacket(sent) == .invalid(.unknownIntent))
        }
    }

    @Test func aTransferIsALoginAndKeepsItsBytes() throws {
        let sent = Client.handshake("a.b", intent: 3)
        let read = try handshake(sent + Client.loginStart)
        #expect(read.intent.isLogin && read.byteCount == sent.count && sent.last == 3)
        var conversation = OfflineConversation(answering: read, text: "away")
        let reply = conversation.receive(Client.loginStart)
        #expect(Answer.packets(reply.send).map(\.id) == [0])
    }

    @Test func whatFollowsTheHandshakeIsNobodysBusiness() throws {
        // Cookies of up to 5 KiB travel behind the login, for example.
        let sent = Client.handshake("a.b", intent: 3)
        let after = Client.loginStart + [UInt8](repeating: 0xFE, count: 5 * 1024)
        #expect(try handshake(sent + after).byteCount == sent.count)
    }

    @Test func snapshotProtocolsAndOldOnesAreRead() throws {
        for version in [4, 767, 0x4000_00FF, -1, 0] as [Int32] {
            #expect(
                try handshake(Client.handshake("a.b", protocolVersion: version)).protocolVersion == version)
        }
        #expect(try handshake(Client.handshake("a.b", port: 65535)).port == 65535)
    }

    // MARK: Pieces

    @Test(arguments: ["a.b", "sleepy-creeper.eu.dvv.one\0FML3\0", String(repeating: "x", count: 255)])
    func aHandshakeMayArriveByteByByteAndWithTheNextPackets(_ address: String) throws {
        let sent = Client.handshake(address)
        for count in 0..<sent.count where sent[0] != 0xFE || count > 2 {
            #expect(firstPacket(Array(sent[..<count])) == .needMore)
        }
        let whole = try handshake(sent)
        #expect(try handshake(sent + Client.loginStart) == whole)
        #expect(whole.serverAddress == address)
    }

    @Test(arguments: [
        // HTTP, SSH, and frames that are too short, lie about their content, or have more than a handshake.
        "474554202F", "5353482D", "05 00 00 00 0000", "06 00 04 05 6161 00", "08 00 04 01 61 63DD 01 00",
        "07 00 FFFFFFFFFF 00", "06 00 04 01 61 63DD", "06 01 04 00 0000 01", "06 00 04 FF 0000 01",
    ])
    func whatIsNoHandshakeIsRefusedAsSoonAsItIsWhole(_ hex: String) {
        let sent = bytes(hex) + [0x01, 0x01]
        guard case .invalid = firstPacket(sent) else {
            Issue.record("\(hex) is \(firstPacket(sent))")
            return
        }
    }

    @Test func anAddressThatIsNoTextIsRefused() {
        #expect(firstPacket(bytes("07 00 04 01 FF 63DD 01")) == .invalid(.addressNotText))
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func garbageNeverCrashesAndNothingBeyondTheInputIsTaken(_ seed: UInt64) {
        var random = Seeded(seed)
        for round in 0..<20_000 {
            var sent = random.bytes(Int.random(in: 0...60, using: &random))
            switch round % 4 {
            case 0: sent = Client.handshake(String(decoding: sent.map { $0 & 0x7F }, as: UTF8.self))
            case 1: sent = [UInt8(sent.count), 0] + sent
            case 2: sent = Array(Client.ping1_6("abc").prefix(Int.random(in: 1...40, using: &random))) + sent
            default: break
            }
            if !sent.isEmpty, Bool.random(using: &random) {
                sent[Int.random(in: 0..<sent.count, using: &random)] = UInt8.random(
                    in: 0...255, using: &random)
            }
            for quiet in [false, true] {
                switch firstPacket(sent, quiet: quiet) {
                case .handshake(let handshake):
                    #expect(handshake.byteCount > 0 && handshake.byteCount <= sent.count)
                    if let name = try? RoutingName(serverAddress: handshake.serverAddress) {
                        #expect((try? RoutingName(serverAddress: name.text)) == name)
                        #expect(!name.text.isEmpty && name.text.utf8.count <= 255)
                    }
                case .legacyPing(let ping):
                    #expect(ping.byteCount > 0 && ping.byteCount <= sent.count)
                    _ = LegacyReply.status(ping.host ?? "", to: ping)
                case .ambiguous: #expect(!quiet)
                case .needMore, .legacyLogin, .invalid: break
                }
            }
        }
    }

    @Test func anAnswerNeverNeedsMoreThanTheCap() {
        var random = Seeded(9)
        for _ in 0..<2000 {
            var sent = random.bytes(FirstPacket.maxBytes)
            sent[0] = UInt8.random(in: 0x80...0xFF, using: &random)
            sent[1] = UInt8.random(in: 0...8, using: &random)
            sent[2] = [0, 0xFA].randomElement(using: &random) ?? 0
            #expect(firstPacket(sent) != .needMore)
        }
    }
}
