import Core
import Wire

@testable import RelayCore

/// What players' clients say and what they understand.
enum Client {
    static func handshake(_ address: String, intent: Int32) -> [UInt8] {
        Packet.encode(
            id: 0, VarInt.encode(767) + Packet.string(address) + [0x63, 0xDD] + VarInt.encode(intent))
    }

    static let loginStart = Packet.encode(id: 0, Packet.string("Steve") + [UInt8](repeating: 7, count: 16))
    static let statusRequest: [UInt8] = [0x01, 0x00]
    static let ping: [UInt8] = [0x09, 0x01, 1, 2, 3, 4, 5, 6, 7, 8]

    static func login(_ name: String) -> [UInt8] {
        handshake("\(name).eu.example.org", intent: 2) + loginStart
    }

    static func status(_ name: String) -> [UInt8] {
        handshake("\(name).eu.example.org", intent: 1) + statusRequest
    }

    /// A ping of 1.6, which names its host.
    static func legacyPing(_ host: String) -> [UInt8] {
        func utf16(_ text: String) -> [UInt8] {
            text.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
        }
        let content = [74, 0, UInt8(host.utf16.count)] + utf16(host) + [0, 0, 0x63, 0xDD]
        return [0xFE, 0x01, 0xFA, 0, 11] + utf16("MC|PingHost") + [0, UInt8(content.count)] + content
    }

    /// The text of a kick.
    static func kick(_ bytes: [UInt8]) throws -> String {
        try json(bytes, packet: 0)["text"]?.stringValue ?? ""
    }

    /// The text in the server list.
    static func motd(_ bytes: [UInt8]) throws -> String {
        try json(bytes, packet: 0)["description"]?["text"]?.stringValue ?? ""
    }

    /// The text of an answer to a client before 1.7.
    static func legacy(_ bytes: [UInt8]) throws -> String {
        guard bytes.count >= 3, bytes[0] == 0xFF, bytes.count == 3 + 2 * (Int(bytes[1]) << 8 | Int(bytes[2]))
        else { throw TestFailure("no legacy answer: \(bytes)") }
        let units = stride(from: 3, to: bytes.count, by: 2).map {
            UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1])
        }
        return String(decoding: units, as: UTF16.self)
    }

    private static func json(_ bytes: [UInt8], packet id: UInt8) throws -> JSON {
        guard case .frame(let start, let count) = Packet.read(bytes.span, at: 0, maxBytes: 32768),
            bytes[start] == id,
            case .value(let length, let used) = VarInt.read(bytes.span, at: start + 1, maxBytes: 5),
            start + 1 + used + Int(length) == start + count
        else { throw TestFailure("no packet with text: \(bytes)") }
        return try JSON.parse(Array(bytes[start + 1 + used..<start + count]))
    }
}
