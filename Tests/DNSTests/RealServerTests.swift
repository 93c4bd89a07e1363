import CLinux
import Core
import IO
import Support
import Synchronization
import Testing

@testable import DNS

/// A client on a loop of its own.
private struct Client {
    let client: DNSClient
    private let thread: LoopThread

    init(_ servers: String...) throws {
        thread = try LoopThread.start(name: "dns-test")
        let addresses = try #require(DNSServers.list(servers.joined(separator: ",")))
        client = DNSClient(servers: addresses, on: thread.mailbox)
    }

    func end() {
        thread.stop()
        thread.join()
    }
}

/// Against NSD, over real sockets.
@Suite(.timeLimit(.minutes(5)))
struct RealServerTests {
    private static let long = String(repeating: "x", count: 200)
    private static let server = Result {
        try PrivateNameServer(
            zones: [
                "example.test": """
                _minecart.one TXT "minecart-verify=abc"
                _minecart.many TXT "first"
                _minecart.many TXT "second " "part" "" "s"
                _minecart.large TXT "\(long)a"
                _minecart.large TXT "\(long)b"
                _minecart.large TXT "\(long)c"
                _minecart.large TXT "\(long)d"
                _minecart.alias CNAME _minecart.one
                _minecart.chain CNAME _minecart.alias
                _minecart.away CNAME _minecart.there.example2.test.
                _minecart.address A 127.0.0.1
                """,
                "example2.test": "_minecart.there TXT \"from afar\"",
            ], broken: ["broken.test"])
    }

    private func ask(_ name: String) async throws -> TXTAnswer {
        let client = try Client(try Self.server.get().address)
        defer { client.end() }
        return await client.client.txt("_minecart.\(name)")
    }

    @Test func aRecordIsFound() async throws {
        #expect(try await ask("one.example.test") == .records(["minecart-verify=abc"]))
    }

    @Test func severalRecordsOfSeveralStringsAreFound() async throws {
        guard case .records(let records) = try await ask("many.example.test") else {
            Issue.record("nothing found")
            return
        }
        #expect(Set(records) == ["first", "second parts"])
    }

    @Test func whatDoesNotFitADatagramComesByTCP() async throws {
        guard case .records(let records) = try await ask("large.example.test") else {
            Issue.record("nothing found")
            return
        }
        #expect(Set(records) == Set(["a", "b", "c", "d"].map { Self.long + $0 }))
    }

    @Test(arguments: ["alias", "chain"]) func aliasesAreFollowed(_ name: String) async throws {
        #expect(try await ask("\(name).example.test") == .records(["minecart-verify=abc"]))
    }

    @Test func anAliasIntoAnotherZoneIsFollowed() async throws {
        #expect(try await ask("away.example.test") == .records(["from afar"]))
    }

    @Test(arguments: ["nobody.example.test", "address.example.test"])
    func whatIsNotThereIsNone(_ name: String) async throws { #expect(try await ask(name) == .none) }

    @Test(arguments: ["a.broken.test", "not-served.test"])
    func aFailureIsNotTheSameAsNothing(_ name: String) async throws {
        guard case .unavailable = try await ask(name) else {
            Issue.record("\(name) was answered")
            return
        }
    }

    @Test func aServerThatIsSilentIsPassedOver() async throws {
        let silent = try SilentServer()
        let client = try Client("127.0.0.1:\(silent.port)", try Self.server.get().address)
        defer { client.end() }
        #expect(await client.client.txt("_minecart.one.example.test") == .records(["minecart-verify=abc"]))
    }

    @Test func silenceEverywhereIsUnavailable() async throws {
        let silent = try SilentServer()
        let client = try Client("127.0.0.1:\(silent.port)")
        defer { client.end() }
        #expect(await client.client.txt("_minecart.one.example.test") == .unavailable("no answer in time"))
    }

    @Test func aServerThatIsNotThereIsUnavailable() async throws {
        let client = try Client("127.0.0.1:\(try Files.freePort())")
        defer { client.end() }
        guard case .unavailable = await client.client.txt("_minecart.one.example.test") else {
            Issue.record("nobody answered")
            return
        }
    }

    @Test func aThousandQuestionsAtOnceAreAnsweredOrTurnedAway() async throws {
        let client = try Client(try Self.server.get().address)
        defer { client.end() }
        let found = await withTaskGroup(of: TXTAnswer.self) { group in
            for _ in 0..<1000 { group.addTask { await client.client.txt("_minecart.one.example.test") } }
            return await group.reduce(into: 0) { $0 += $1 == .records(["minecart-verify=abc"]) ? 1 : 0 }
        }
        #expect(found > 0)
        #expect(await client.client.txt("_minecart.one.example.test") == .records(["minecart-verify=abc"]))
    }

    @Test func whoIsCancelledDoesNotWaitForTheAnswer() async throws {
        let silent = try SilentServer()
        let thread = try LoopThread.start(name: "dns-test")
        defer {
            thread.stop()
            thread.join()
        }
        let address = try #require(SocketAddress("127.0.0.1:\(silent.port)"))
        let client = DNSClient(servers: [address], on: thread.mailbox)
        let task = Task { await client.txt("_minecart.one.example.test") }
        try silent.waitForQuestion()
        task.cancel()
        #expect(await task.value == .unavailable("the program ends"))
        // One that is cancelled before it asks ends as well.
        let late = Task {
            while !Task.isCancelled { await Task.yield() }
            return await client.txt("_minecart.one.example.test")
        }
        late.cancel()
        #expect(await late.value == .unavailable("the program ends"))
    }

    @Test func whoWaitsIsTurnedAwayWhenTheLoopEnds() async throws {
        let silent = try SilentServer()
        let thread = try LoopThread.start(name: "dns-test")
        let address = try #require(SocketAddress("127.0.0.1:\(silent.port)"))
        let client = DNSClient(servers: [address], on: thread.mailbox)
        async let answer = client.txt("_minecart.one.example.test")
        try silent.waitForQuestion()
        thread.stop()
        thread.join()
        #expect(await answer == .unavailable("the program ends"))
    }
}

/// Takes datagrams and never answers.
private final class SilentServer: Sendable {
    let port: Int
    private let descriptor: Int32

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(O_CLOEXEC), 0)
        let any = try #require(SocketAddress("127.0.0.1:0"))
        let result = any.withSockaddr { bind(descriptor, $0, $1) }
        try #require(result == 0)
        port = try #require(SocketAddress.local(of: descriptor)).port
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    func waitForQuestion() throws {
        var byte: UInt8 = 0
        try #require(recv(descriptor, &byte, 1, 0) == 1)
    }
}
