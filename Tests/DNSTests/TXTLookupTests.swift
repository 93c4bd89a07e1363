import Core
import IO
import Testing

@testable import DNS

/// A look-up whose randomness is known and whose server is the test.
private struct Driver {
    var lookup: TXTLookup
    var generator = SeededGenerator()

    init(_ name: String = "_minecart.example.com", servers: Int = 2) throws {
        lookup = TXTLookup(try #require(DNSName(name)), servers: servers)
    }

    mutating func start() throws -> TXTLookup.Question { try asked(lookup.start(using: &generator)) }

    mutating func receive(_ packet: [UInt8]) -> TXTLookup.Action {
        lookup.received(packet, using: &generator)
    }

    mutating func fail(_ trouble: String = "no answer in time") -> TXTLookup.Action {
        lookup.failed(trouble, using: &generator)
    }

    func asked(_ action: TXTLookup.Action) throws -> TXTLookup.Question {
        guard case .ask(let question) = action else {
            Issue.record("\(action) is no question")
            throw DNSFormatError.notAnAnswer
        }
        return question
    }
}

@Suite struct TXTLookupTests {
    private static let name = "_minecart.example.com"

    @Test func recordsAreTheAnswer() throws {
        var driver = try Driver()
        let question = try driver.start()
        #expect(question.server == 0 && !question.overTCP)
        let packet = Packets.answer(
            to: question.packet, records: [Packets.txt(Self.name, "a", "b"), Packets.txt(Self.name, "c")])
        #expect(driver.receive(packet) == .done(.records(["ab", "c"])))
    }

    @Test func aServerThatSaysThereIsNothingIsBelieved() throws {
        for flags in [0x8183, 0x8180] {
            var driver = try Driver()
            let question = try driver.start()
            #expect(driver.receive(Packets.answer(to: question.packet, flags: flags)) == .done(.none))
        }
    }

    @Test func failuresMoveOnToTheNextServerAndNeverCountAsNothing() throws {
        var driver = try Driver()
        var action = TXTLookup.Action.ask(try driver.start())
        var servers: [Int] = []
        for code in [2, 5, 1, 4] {
            let question = try driver.asked(action)
            servers.append(question.server)
            action = driver.receive(Packets.answer(to: question.packet, flags: 0x8180 | code))
        }
        #expect(servers == [0, 1, 0, 1])
        guard case .done(.unavailable) = action else {
            Issue.record("\(action)")
            return
        }
    }

    @Test func silenceIsToldAsUnavailable() throws {
        var driver = try Driver(servers: 1)
        _ = try driver.start()
        _ = try driver.asked(driver.fail())
        #expect(driver.fail("no answer in time") == .done(.unavailable("no answer in time")))
    }

    @Test func withoutServersNothingIsAsked() throws {
        var driver = try Driver(servers: 0)
        guard case .done(.unavailable) = driver.lookup.start(using: &driver.generator) else {
            Issue.record("asked nobody")
            return
        }
    }

    @Test func anAnswerThatIsCutIsAskedForByTCP() throws {
        var driver = try Driver()
        let question = try driver.start()
        let again = try driver.asked(driver.receive(Packets.answer(to: question.packet, flags: 0x8380)))
        #expect(again.overTCP && again.server == 0)
        #expect(
            driver.receive(Packets.answer(to: again.packet, records: [Packets.txt(Self.name, "x")]))
                == .done(.records(["x"])))
    }

    @Test func whoDidNotSeeTheQuestionIsNotHeard() throws {
        var driver = try Driver()
        let packet = try driver.start().packet
        let records = [Packets.txt(Self.name, "forged")]
        let id = Array(packet.prefix(2))
        let other = [id[0] ^ 1, id[1]]
        #expect(driver.receive(Packets.answer(to: packet, records: records, id: other)) == .wait)
        let question = Packets.name("_minecart.example.org") + [0, 16, 0, 1]
        #expect(driver.receive(Packets.answer(to: packet, records: records, question: question)) == .wait)
        let type = Array(Packets.question(of: packet).dropLast(4)) + [0, 1, 0, 1]
        #expect(driver.receive(Packets.answer(to: packet, records: records, question: type)) == .wait)
        #expect(driver.receive([1, 2, 3]) == .wait)
        #expect(driver.receive(packet) == .wait)
    }

    @Test func aNameThatCameBackInAnotherCaseIsAskedForByTCP() throws {
        var driver = try Driver()
        let packet = try driver.start().packet
        let forged = Packets.answer(
            to: packet, records: [Packets.txt(Self.name, "forged")],
            question: Packets.name(Self.name) + [0, 16, 0, 1])
        let again = try driver.asked(driver.receive(forged))
        #expect(again.overTCP)
        // A server that always writes small letters is fine there.
        let plain = Packets.answer(
            to: again.packet, records: [Packets.txt(Self.name, "true")],
            question: Packets.name(Self.name) + [0, 16, 0, 1])
        #expect(driver.receive(plain) == .done(.records(["true"])))
    }

    @Test func aChainOfAliasesIsFollowedWithinAnAnswer() throws {
        var driver = try Driver()
        let packet = Packets.answer(
            to: try driver.start().packet,
            records: [
                Packets.txt("c.example.net", "proof"), Packets.cname("b.example.net", "C.example.net"),
                Packets.cname(Self.name, "b.example.net"), Packets.txt("stranger.example.net", "no"),
            ])
        #expect(driver.receive(packet) == .done(.records(["proof"])))
    }

    @Test func whereAnAnswerLeavesOffTheAliasIsAskedFor() throws {
        var driver = try Driver()
        let first = Packets.answer(
            to: try driver.start().packet, records: [Packets.cname(Self.name, "b.example.net")])
        let question = try driver.asked(driver.receive(first))
        #expect(!question.overTCP)
        let second = Packets.answer(to: question.packet, records: [Packets.txt("b.example.net", "proof")])
        #expect(driver.receive(second) == .done(.records(["proof"])))
    }

    @Test func aCircleOfAliasesComesToAnEnd() throws {
        var driver = try Driver()
        let circle = [Packets.cname(Self.name, "b.example.net"), Packets.cname("b.example.net", Self.name)]
        guard
            case .done(.unavailable) = driver.receive(
                Packets.answer(to: try driver.start().packet, records: circle))
        else {
            Issue.record("went round")
            return
        }
    }

    @Test func anEndlessChainComesToAnEnd() throws {
        var driver = try Driver()
        var action = TXTLookup.Action.ask(try driver.start())
        var owner = Self.name
        for step in 0..<100 {
            guard case .ask(let question) = action else { break }
            action = driver.receive(
                Packets.answer(to: question.packet, records: [Packets.cname(owner, "n\(step).example.net")]))
            owner = "n\(step).example.net"
            #expect(step <= TXTLookup.maxChain)
        }
        guard case .done(.unavailable) = action else {
            Issue.record("\(action)")
            return
        }
    }

    @Test func theRecordsOfAnotherNameAreNotTheAnswer() throws {
        var driver = try Driver()
        let packet = Packets.answer(
            to: try driver.start().packet, records: [Packets.txt("other.example.com", "forged")])
        #expect(driver.receive(packet) == .done(.none))
    }

    @Test func aStrangersRecordsAreBounded() throws {
        var driver = try Driver()
        let long = String(repeating: "x", count: 255)
        let record = Packets.txt(Self.name, long, long, long, long, long)
        let packet = Packets.answer(
            to: try driver.start().packet, records: [[UInt8]](repeating: record, count: 40))
        guard case .done(.records(let records)) = driver.receive(packet) else {
            Issue.record("no records")
            return
        }
        #expect(records.count == 20 && records.allSatisfy { $0.utf8.count == 1024 })
    }
}

@Suite struct DNSServersTests {
    @Test func resolvConfNamesTheServers() {
        let text = """
            # a comment
            search example.com
            nameserver 10.0.0.1
            nameserver\tfd00::1
            nameserver not-an-address
            ;nameserver 10.0.0.9
            nameserver 10.0.0.2 # trailing
            nameserver 10.0.0.3
            """
        #expect(
            DNSServers.resolvConf(text).map(\.description) == ["10.0.0.1:53", "[fd00::1]:53", "10.0.0.2:53"])
        #expect(DNSServers.resolvConf("").map(\.description) == ["127.0.0.1:53"])
    }

    @Test func aListMayNamePorts() {
        #expect(
            DNSServers.list("9.9.9.9, 127.0.0.1:5353,[2620:fe::fe]:54")?.map(\.description)
                == ["9.9.9.9:53", "127.0.0.1:5353", "[2620:fe::fe]:54"])
        #expect(DNSServers.list("dns.example") == nil)
        #expect(DNSServers.list("9.9.9.9,") == nil)
        #expect(DNSServers.list("9.9.9.9:0") == nil)
    }
}
