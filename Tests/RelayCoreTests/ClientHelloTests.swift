import Core
import RelayCore
import Testing

@Suite struct ClientHelloTests {
    private static func u16(_ value: Int) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }

    private static func serverName(_ name: String, type: UInt8 = 0) -> [UInt8] {
        let entry = [type] + u16(name.utf8.count) + Array(name.utf8)
        let list = u16(entry.count) + entry
        return u16(0) + u16(list.count) + list
    }

    private static func message(extensions: [UInt8]?) -> [UInt8] {
        var body: [UInt8] = [3, 3] + [UInt8](repeating: 7, count: 32)
        body += [2, 1, 2]
        body += u16(4) + [0x13, 1, 0x13, 2]
        body += [1, 0]
        if let extensions { body += u16(extensions.count) + extensions }
        return [1, 0] + u16(body.count) + body
    }

    private static func record(_ bytes: some Collection<UInt8>) -> [UInt8] {
        [22, 3, 1] + u16(bytes.count) + bytes
    }

    private static let other: [UInt8] = [0, 43, 0, 3, 2, 3, 4]
    private static let whole = record(message(extensions: other + serverName("rly_AbC") + other))

    @Test func theNameIsReadAsItWasSent() {
        #expect(ClientHello.serverName(in: Self.whole) == .serverName("rly_AbC"))
    }

    @Test func untilItIsThereMoreIsNeeded() {
        let end = Self.whole.count - Self.other.count
        for count in 0..<end {
            #expect(ClientHello.serverName(in: Array(Self.whole[..<count])) == .needMore, "\(count) bytes")
        }
        for count in end...Self.whole.count {
            #expect(ClientHello.serverName(in: Array(Self.whole[..<count])) == .serverName("rly_AbC"))
        }
        #expect(ClientHello.serverName(in: Self.whole + [1, 2, 3]) == .serverName("rly_AbC"))
    }

    /// RFC 8446 section 5.1: a message may be cut into records anywhere.
    @Test func itMayComeInManyRecords() {
        let message = Self.message(extensions: Self.serverName("rly_AbC"))
        for size in 1...message.count {
            var bytes: [UInt8] = []
            for start in stride(from: 0, to: message.count, by: size) {
                bytes += Self.record(message[start..<min(start + size, message.count)])
            }
            #expect(ClientHello.serverName(in: bytes) == .serverName("rly_AbC"), "records of \(size) bytes")
        }
    }

    @Test func withoutAHostNameThereIsNone() {
        for extensions in [nil, [], Self.other, Self.serverName("x", type: 1), Self.serverName("")] {
            let hello = Self.record(Self.message(extensions: extensions))
            #expect(ClientHello.serverName(in: hello) == .none)
        }
    }

    @Test func aNameOfAnotherTypeIsPassedOver() {
        let first = [UInt8](arrayLiteral: 9) + Self.u16(1) + [65]
        let second = [UInt8](arrayLiteral: 0) + Self.u16(2) + Array("r2".utf8)
        let list = Self.u16(first.count + second.count) + first + second
        let hello = Self.record(Self.message(extensions: Self.u16(0) + Self.u16(list.count) + list))
        #expect(ClientHello.serverName(in: hello) == .serverName("r2"))
    }

    @Test func whatIsNoClientHelloHasNone() {
        #expect(ClientHello.serverName(in: Array("GET / HTTP/1.1\r\n".utf8)) == .none)
        #expect(ClientHello.serverName(in: [22, 3, 1, 0, 4, 2, 0, 0, 0]) == .none)
        #expect(ClientHello.serverName(in: [22, 3, 1, 0, 0]) == .none)
        #expect(ClientHello.serverName(in: [22, 3, 1, 0x40, 1]) == .none)
        #expect(ClientHello.serverName(in: [23, 3, 1, 0, 4]) == .none)
        // Lengths that go beyond what they are in.
        var bytes = Self.record(Self.message(extensions: Self.serverName("rly_AbC")))
        bytes[5 + 4 + 2 + 32] = 255
        #expect(ClientHello.serverName(in: bytes) == .none)
        #expect(
            ClientHello.serverName(in: Self.record(Self.message(extensions: Self.serverName("a b")))) == .none
        )
        #expect(
            ClientHello.serverName(in: Self.record(Self.message(extensions: Self.serverName("ä")))) == .none)
    }

    @Test func oneThatIsTooLongHasNone() {
        let padding = [UInt8](arrayLiteral: 0, 21) + Self.u16(5000) + [UInt8](repeating: 0, count: 5000)
        let hello = Self.record(Self.message(extensions: padding + Self.serverName("rly_AbC")))
        #expect(ClientHello.serverName(in: Array(hello[..<4095])) == .needMore)
        #expect(ClientHello.serverName(in: Array(hello[..<4096])) == .none)
        #expect(
            ClientHello.serverName(
                in: Self.record(Self.message(extensions: Self.serverName(String(repeating: "a", count: 256))))
            ) == .none)
    }
}
