import Core
import Testing

@testable import RelayCore

@Suite struct OfflineConversationTests {
    static func conversation(_ intent: Handshake.Intent, protocolVersion: Int32 = 767) -> OfflineConversation
    {
        OfflineConversation(
            answering: Handshake(
                protocolVersion: protocolVersion, serverAddress: "a.b", port: 1, intent: intent, byteCount: 0),
            reason: .agentAway, name: "sleepy-creeper")
    }

    @Test func aLoginIsKickedWithJSONTextInEveryVersion() throws {
        for version in [4, 47, 764, 765, 772] as [Int32] {
            var conversation = Self.conversation(.login, protocolVersion: version)
            let reply = conversation.receive(Client.loginStart)
            #expect(reply.close && reply.consumed == Client.loginStart.count)
            let packets = Answer.packets(reply.send)
            #expect(packets.map(\.id) == [0])
            #expect(
                try Answer.json(packets[0].fields) == [
                    "text": "sleepy-creeper is offline right now. Try again when its owner has started it."
                ])
        }
    }

    @Test func aStatusEchoesTheClientsProtocol() throws {
        for version in [4, 767, 0x4000_00FF, -1] as [Int32] {
            var conversation = Self.conversation(.status, protocolVersion: version)
            let reply = conversation.receive(Client.statusRequest)
            #expect(!reply.close && reply.consumed == 2)
            let json = try Answer.json(Answer.packets(reply.send)[0].fields)
            #expect(json["version"]?["protocol"] == .integer(Int64(version)))
            #expect(json["players"] == ["max": 0, "online": 0])
            #expect(json["description"]?["text"]?.stringValue?.hasPrefix("sleepy-creeper is offline") == true)
        }
    }

    @Test func aPongRepeatsTheEightBytesAndEndsIt() {
        var conversation = Self.conversation(.status)
        _ = conversation.receive(Client.statusRequest)
        let reply = conversation.receive(Client.ping)
        #expect(reply.send == Client.ping && reply.close && reply.consumed == Client.ping.count)
    }

    @Test func aPingWithoutStatusRequestIsAnswered() {
        var conversation = Self.conversation(.status)
        let reply = conversation.receive(Client.ping)
        #expect(reply.send == Client.ping && reply.close)
    }

    @Test func requestAndPingInOnePieceAreBothAnswered() {
        var conversation = Self.conversation(.status)
        let reply = conversation.receive((Client.statusRequest + Client.ping))
        #expect(Answer.packets(reply.send).map(\.id) == [0, 1] && reply.close)
    }

    @Test(arguments: [
        (Handshake.Intent.status, [0, 0x80, 0x00] + Client.statusRequest + [0] + Client.ping),
        (.login, [0] + Client.loginStart), (.transfer, Client.loginStart),
    ])
    func packetsMayArriveByteByByte(_ intent: Handshake.Intent, _ sent: [UInt8]) {
        var whole = Self.conversation(intent)
        let expected = whole.receive(sent)
        var conversation = Self.conversation(intent)
        var waiting: [UInt8] = []
        var answered: [UInt8] = []
        for (index, byte) in sent.enumerated() {
            waiting.append(byte)
            let reply = conversation.receive(waiting)
            waiting.removeFirst(reply.consumed)
            answered += reply.send
            #expect(reply.close == (index == sent.count - 1))
        }
        #expect(answered == expected.send && waiting.isEmpty && expected.close)
    }

    @Test func aSecondStatusRequestAndUnknownPacketsEndIt() {
        var conversation = Self.conversation(.status)
        _ = conversation.receive(Client.statusRequest)
        let second = conversation.receive(Client.statusRequest)
        #expect(second.close && second.send.isEmpty)
        for hex in ["01 02", "02 00 00", "08 01 01020304050607", "41", "FFFFFF"] {
            var other = Self.conversation(.status)
            let reply = other.receive(bytes(hex))
            #expect(reply.close && reply.send.isEmpty && reply.consumed == bytes(hex).count)
        }
    }

    @Test func anOddLoginIsStillToldWhy() {
        for hex in ["FFFFFF", "FF7F", "02 05 00"] {
            var conversation = Self.conversation(.login)
            let reply = conversation.receive(bytes(hex))
            #expect(Answer.packets(reply.send).map(\.id) == [0] && reply.close)
        }
    }

    @Test func afterTheEndEverythingIsDropped() {
        var conversation = Self.conversation(.login)
        _ = conversation.receive(Client.loginStart)
        let reply = conversation.receive(Client.loginStart)
        #expect(reply.close && reply.send.isEmpty && reply.consumed == Client.loginStart.count)
    }

    @Test func textsOfEveryReasonSayWhatToDoOrWhatIs() {
        let reasons: [OfflineReason] = [
            .unknownName, .agentAway, .localServerAway, .full, .suspended, .elsewhere, .slow, .relayFull,
            .clientTooOld, .badAddress(.empty), .badAddress(.tooLong), .badAddress(.notAName),
            .badAddress(.forwardedIdentity),
        ]
        for reason in reasons {
            let text = reason.text(name: "sleepy-creeper")
            #expect(text.hasSuffix(".") && text.count > 20 && text.count < 120)
        }
    }

    @Test func aTextWithQuotesAndLineBreaksIsStillOneString() throws {
        let kick = OfflineConversation.loginKick("a \"b\"\n§c 🙂")
        #expect(try Answer.json(Answer.packets(kick)[0].fields)["text"] == "a \"b\"\n§c 🙂")
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func garbageNeverCrashesAndNothingBeyondTheInputIsConsumed(_ seed: UInt64) {
        var random = Seeded(seed)
        for _ in 0..<5000 {
            let intent: Handshake.Intent =
                [.status, .login, .transfer].randomElement(using: &random) ?? .login
            var conversation = Self.conversation(intent)
            var waiting: [UInt8] = []
            for _ in 0..<4 {
                waiting += random.bytes(Int.random(in: 0...12, using: &random))
                if Bool.random(using: &random) { waiting += Client.statusRequest }
                let reply = conversation.receive(waiting)
                #expect(reply.consumed <= waiting.count)
                waiting.removeFirst(reply.consumed)
                if reply.close { #expect(waiting.isEmpty) }
            }
        }
    }
}
