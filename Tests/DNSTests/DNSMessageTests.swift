import Core
import Testing

@testable import DNS

@Suite struct DNSMessageTests {
    private let query: [UInt8]

    init() throws { query = DNSQuery.txt(try #require(DNSName("_minecart.Play.example.com.")), id: 0xBEEF) }

    @Test func aQuestionIsWrittenAsTheStandardSays() {
        #expect(Array(query.prefix(12)) == [0xBE, 0xEF, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        let name: [UInt8] =
            [9] + Array("_minecart".utf8) + [4] + Array("Play".utf8) + [7] + Array("example".utf8)
        #expect(Array(query.dropFirst(12)) == name + [3] + Array("com".utf8) + [0, 0, 16, 0, 1])
    }

    @Test func severalRecordsOfSeveralStringsAreRead() throws {
        let answer = try DNSAnswer(
            Packets.answer(
                to: query,
                records: [
                    Packets.txt("_minecart.play.example.com", "one", "", " and more"),
                    Packets.record(Packets.name("_minecart.play.example.com"), type: 1, [127, 0, 0, 1]),
                    Packets.txt("_minecart.play.example.com"),
                ]))
        #expect(answer.id == 0xBEEF)
        #expect(answer.code == .noError)
        #expect(!answer.isTruncated)
        #expect(answer.questionIsTXT)
        #expect(answer.question == DNSName("_MINECART.play.example.com"))
        #expect(answer.records.map(\.data) == [.txt(Array("one and more".utf8)), .txt([])])
    }

    @Test func compressedNamesAreFollowedBackwards() throws {
        // The owner is the question's name at byte 12; the target its part from "Play" on, behind a label.
        let target: [UInt8] = [3] + Array("abc".utf8) + [0xC0, 22]
        let answer = try DNSAnswer(
            Packets.answer(to: query, records: [Packets.record([0xC0, 12], type: 5, target)]))
        let record = try #require(answer.records.first)
        #expect(record.owner == DNSName("_minecart.play.example.com"))
        #expect(record.data == .cname(try #require(DNSName("abc.play.example.com"))))
    }

    @Test(
        arguments: [
            // To itself, forwards, into a circle of two, to beyond the packet.
            [0xC0, 44], [0xC0, 60], [1, 0x61, 0xC0, 44], [0xFF, 0xFF],
            // A label type that nobody uses, a label beyond the packet, half a pointer.
            [0x40, 0], [0x80, 0], [63, 1], [0xC0],
        ] as [[UInt8]])
    func namesThatGoNowhereAreRefused(_ owner: [UInt8]) {
        #expect(query.count == 44)
        #expect(throws: DNSFormatError.self) {
            _ = try DNSAnswer(Packets.answer(to: query, records: [owner]))
        }
    }

    @Test func aNameThatGrowsByPointersIsRefused() {
        // Each name is a label and a pointer to the name before: together more than 255 bytes.
        var packet = Packets.answer(to: query)
        var at = 12
        let label = [UInt8](repeating: 0x61, count: 60)
        for index in 0..<6 {
            let start = packet.count
            packet += Packets.record([60] + label + [0xC0, UInt8(at)], type: 1, [0, 0, 0, 0])
            packet[7] = UInt8(index + 1)
            at = start
            if at > 0xFF { break }
        }
        let chained = [60] + label
        packet += Packets.record(chained + chained + chained + chained + [60] + [0], type: 1, [])
        packet[7] += 1
        #expect(throws: DNSFormatError.self) { _ = try DNSAnswer(packet) }
    }

    @Test func everyCutOfAnAnswerIsRefusedOrShorter() throws {
        let whole = Packets.answer(
            to: query,
            records: [
                Packets.cname("_minecart.play.example.com", "x.example.com"),
                Packets.txt("x.example.com", "one", "two"),
            ])
        _ = try DNSAnswer(whole)
        for length in 0..<whole.count {
            #expect(throws: DNSFormatError.self) { _ = try DNSAnswer(Array(whole[..<length])) }
        }
    }

    @Test func aStringLongerThanItsRecordIsRefused() {
        let record = Packets.record(Packets.name("a.b"), type: 16, [5, 0x61])
        #expect(throws: DNSFormatError.short) {
            _ = try DNSAnswer(Packets.answer(to: query, records: [record]))
        }
    }

    @Test func moreRecordsPromisedThanThereAreIsRefused() {
        var packet = Packets.answer(to: query)
        packet[6] = 0xFF
        packet[7] = 0xFF
        #expect(throws: DNSFormatError.short) { _ = try DNSAnswer(packet) }
    }

    @Test func aQuestionIsNoAnswer() {
        #expect(throws: DNSFormatError.notAnAnswer) { _ = try DNSAnswer(query) }
    }

    @Test(arguments: ["", ".", "a..b", ".a", String(repeating: "a", count: 64) + ".b"])
    func whatIsNoNameIsRefused(_ text: String) { #expect(DNSName(text) == nil) }

    @Test func aNameMayHave255BytesAndNoMore() {
        let label = String(repeating: "a", count: 62)
        let longest = [label, label, label, label, "a"].joined(separator: ".")
        #expect(DNSName(longest)?.bytes.count == 255)
        #expect(DNSName(longest + "a") == nil)
    }

    @Test func randomCaseChangesLettersOnly() throws {
        var generator = SeededGenerator()
        let name = try #require(DNSName("_minecart-1.play.example.com"))
        let mixed = name.withRandomCase(using: &generator)
        #expect(mixed == name)
        #expect(mixed.labels != name.labels)
        #expect(mixed.description.lowercased() == name.description)
    }
}
