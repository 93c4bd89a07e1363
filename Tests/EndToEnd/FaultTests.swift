import Core
import Crypto
import IO
import Redis
import Support
import Testing

/// The tools with which the failure gates do harm: they harm what they should, and nothing else.
@Suite(.ownThreads) struct FaultTests {
    private static func fault(_ change: (inout Fault) -> Void) -> Fault {
        var fault = Fault()
        change(&fault)
        return fault
    }

    private static let harmless: [Fault] = [
        Fault(), fault { $0.slice_bytes = 7 }, fault { $0.bytes_per_s = 4_000_000 },
        fault { ($0.latency, $0.jitter) = (Milliseconds(30), Milliseconds(20)) },
        fault { $0.slowClose = Milliseconds(100) },
        fault { ($0.slice_bytes, $0.latency, $0.slowClose) = (1000, Milliseconds(5), Milliseconds(50)) },
    ]

    @Test(arguments: harmless)
    func everyByteAndBothEndsPass(fault: Fault) throws {
        let server = try RawServer.echo()
        let proxy = try FaultyProxy(to: server.port)
        proxy.set(fault)
        let connection = try Connection(to: proxy.port)
        let bytes = SecureRandom.bytes(fault.slice_bytes == 7 ? 50_000 : 500_000)
        try both(
            { try connection.send(bytes) }, { try Self.same(connection.receive(exactly: bytes.count), bytes) }
        )
        connection.finishSending()
        try #require(try connection.receiveToEnd().isEmpty)
        try eventually("nothing is left of it") { proxy.connectionCount == 0 }
    }

    private static func same(_ one: [UInt8], _ other: [UInt8]) throws {
        guard SHA256.hash(one) == SHA256.hash(other) else { throw Trouble("other bytes came") }
    }

    @Test func aHalfThatHasEndedLetsTheOtherGoOn() throws {
        let server = try RawServer { connection in
            guard try connection.receiveToEnd().count == 3 else { return }
            try connection.send([UInt8](repeating: 9, count: 200_000))
        }
        let proxy = try FaultyProxy(to: server.port)
        let connection = try Connection(to: proxy.port)
        try connection.send([1, 2, 3])
        connection.finishSending()
        try #require(try connection.receiveToEnd().count == 200_000)
    }

    @Test func silenceHoldsBackAndLosesNothing() throws {
        let server = try RawServer.echo()
        let proxy = try FaultyProxy(to: server.port)
        let connection = try Connection(to: proxy.port)
        try connection.send([1])
        try #require(try connection.receive(exactly: 1) == [1])
        for way in [FaultyProxy.Way.up, .down, .both] {
            proxy.silence(way)
            try connection.send([2, 3])
            #expect(throws: Connection.Late.self) {
                try connection.receive(upTo: 1, within: Milliseconds(200))
            }
            proxy.heal()
            try #require(try connection.receive(exactly: 2) == [2, 3])
        }
    }

    @Test func resetsAndRefusals() throws {
        let server = try RawServer.echo()
        let proxy = try FaultyProxy(to: server.port)
        let connection = try Connection(to: proxy.port)
        try connection.send([1])
        try #require(try connection.receive(exactly: 1) == [1])
        proxy.reset()
        #expect(throws: SystemError.self) { try connection.receive(upTo: 1) }
        proxy.refuse(true)
        #expect(throws: SystemError.self) {
            let refused = try Connection(to: proxy.port)
            if try refused.receive(upTo: 1).isEmpty { throw SystemError("ended", code: 0) }
        }
        proxy.refuse(false)
        let other = try RawServer { try $0.send([7]) }
        proxy.lead(to: other.port)
        try #require(try Connection(to: proxy.port).receiveToEnd() == [7])
    }

    @Test func aLimitOfBytesEndsTheConnection() throws {
        let server = try RawServer.echo()
        let proxy = try FaultyProxy(to: server.port)
        proxy.set(Self.fault { $0.limit_bytes = 1000 }, .down)
        let connection = try Connection(to: proxy.port)
        try connection.send([UInt8](repeating: 1, count: 900))
        try #require(try connection.receive(exactly: 900).count == 900)
        try connection.send([UInt8](repeating: 1, count: 900))
        try #require(try connection.receive(exactly: 100).count == 100)
        // Bytes that nobody took any more make a reset of the end.
        #expect((try? connection.receiveToEnd())?.isEmpty ?? true)
    }

    @Test func theBridgeLosesRepeatsAndReordersAssignmentsOnly() async throws {
        let (from, to) = (try PrivateRedis(), try PrivateRedis())
        defer {
            from.end()
            to.end()
        }
        let urls = try [from, to].map { try #require(RedisURL($0.url)) }
        let bridge = try LossyBridge(from: urls[0], to: urls[1], region: "eu")
        let (listener, arrived) = try Self.listener(at: to.port, "assignments:eu")
        let (loads, arrivedLoads) = try Self.listener(at: from.port, "load:eu")
        defer { withExtendedLifetime((listener, loads)) {} }
        try eventually("the bridge hears both sides") { bridge.isReady }
        let sender = try Connection(to: from.port)
        let relay = try Connection(to: to.port)
        func publish(_ numbers: ClosedRange<Int>) throws {
            for number in numbers {
                try sender.send(Array("PUBLISH assignments:eu n\(number)\r\n".utf8))
                _ = try sender.receive(upTo: 100)
            }
        }
        try publish(1...50)
        try eventually("all arrive in order") { arrived.value?.count == 50 }
        try #require(arrived.value == (1...50).map { "n\($0)" })

        bridge.set(.bad(0.3))
        try publish(51...1050)
        try eventually("some arrive") { (arrived.value?.count ?? 0) > 800 }
        let counts = bridge.counts
        let later = arrived.value?.dropFirst(50) ?? []
        #expect(counts.lost > 200 && counts.twice > 100 && counts.late > 100)
        #expect(Set(later).count < 1000)
        #expect(Set(later).count < later.count)
        #expect(Array(later) != later.sorted { $0.count == $1.count ? $0 < $1 : $0.count < $1.count })

        try sender.send(Array("SET snapshot:eu s1\r\n".utf8))
        _ = try sender.receive(upTo: 100)
        try eventually("the snapshot is copied") {
            try relay.send(Array("GET snapshot:eu\r\n".utf8))
            return String(decoding: try relay.receive(upTo: 100), as: UTF8.self).hasSuffix("s1\r\n")
        }
        let load = #"{"relay":"r","epoch":2,"rev":7,"digest":"d"}"#
        try relay.send(
            Array("*3\r\n$7\r\nPUBLISH\r\n$7\r\nload:eu\r\n$\(load.utf8.count)\r\n\(load)\r\n".utf8))
        try eventually("what relays tell passes") { arrivedLoads.value == [load] }
        try eventually("and is noted") { bridge.positions["r"]?.last?.rev == 7 }
    }

    /// Everything published on a channel, in the order in which it comes.
    private static func listener(at port: Int, _ channel: String) throws -> (Connection, Box<[String]>) {
        let connection = try Connection(to: port)
        try connection.send(Array("SUBSCRIBE \(channel)\r\n".utf8))
        _ = try connection.receive(upTo: 200)
        let box = Box<[String]>()
        try ThreadHandle.start(name: "listener") {
            var texts: [String] = []
            var lines: [Substring] = []
            var rest = ""
            while let bytes = try? connection.receive(upTo: 65_536), !bytes.isEmpty {
                rest += String(decoding: bytes, as: UTF8.self)
                let whole = rest.split(separator: "\r\n", omittingEmptySubsequences: false)
                lines += whole.dropLast().map { Substring(String($0)) }
                rest = String(whole.last ?? "")
                while lines.count >= 7 {
                    texts.append(String(lines[6]))
                    lines.removeFirst(7)
                }
                box.put(texts)
            }
        }.detach()
        return (connection, box)
    }
}
