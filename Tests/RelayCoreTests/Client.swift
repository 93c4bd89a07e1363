import Core
import Testing

@testable import RelayCore

/// Hex with spaces.
func bytes(_ hex: String) -> [UInt8] { Hex.decode(hex.filter { $0 != " " }) ?? [] }

/// Writes what clients of all ages write.
enum Client {
    static func handshake(
        _ address: String, intent: Int32 = 2, protocolVersion: Int32 = 767, port: UInt16 = 25565
    ) -> [UInt8] {
        Packet.encode(
            id: 0,
            VarInt.encode(protocolVersion) + Packet.string(address)
                + [UInt8(port >> 8), UInt8(port & 0xFF)] + VarInt.encode(intent))
    }

    /// A handshake whose frame has exactly `length` bytes, with a letter repeated as its address.
    static func handshake(frameLength length: Int) -> [UInt8] {
        for count in 0..<length {
            let made = handshake(String(repeating: "a", count: count))
            guard case .frame(_, length) = Packet.read(made.span, at: 0, maxBytes: 4096) else { continue }
            return made
        }
        return []
    }

    static let loginStart = Packet.encode(id: 0, Packet.string("Steve") + [UInt8](repeating: 7, count: 16))
    static let statusRequest: [UInt8] = [0x01, 0x00]
    static let ping: [UInt8] = [0x09, 0x01, 1, 2, 3, 4, 5, 6, 7, 8]

    static func utf16(_ text: String) -> [UInt8] {
        text.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
    }

    static func ping1_6(_ host: String) -> [UInt8] {
        let content = [74, 0, UInt8(host.utf16.count)] + utf16(host) + [0, 0, 0x63, 0xDD]
        return [0xFE, 0x01, 0xFA, 0, 11] + utf16("MC|PingHost") + [0, UInt8(content.count)] + content
    }
}

/// Reads what clients read.
enum Answer {
    /// The packets in `bytes`, each as id and fields.
    static func packets(_ bytes: [UInt8]) -> [(id: UInt8, fields: [UInt8])] {
        var offset = 0
        var packets: [(UInt8, [UInt8])] = []
        while case .frame(let start, let count) = Packet.read(bytes.span, at: offset, maxBytes: 65536),
            count > 0
        {
            packets.append((bytes[start], Array(bytes[start + 1..<start + count])))
            offset = start + count
        }
        return packets
    }

    /// A string field that is JSON.
    static func json(_ fields: [UInt8]) throws -> JSON {
        guard case .value(let count, let used) = VarInt.read(fields.span, at: 0, maxBytes: 5) else {
            throw FirstPacket.Reason.notAHandshake
        }
        #expect(fields.count == used + Int(count))
        return try JSON.parse(Array(fields[used...]))
    }

    /// The text of a legacy reply.
    static func legacy(_ bytes: [UInt8]) -> String {
        guard bytes.count >= 3, bytes[0] == 0xFF, bytes.count == 3 + 2 * (Int(bytes[1]) << 8 | Int(bytes[2]))
        else {
            return "not a legacy reply"
        }
        let units = stride(from: 3, to: bytes.count, by: 2).map {
            UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1])
        }
        return String(decoding: units, as: UTF16.self)
    }
}

func handshake(_ bytes: [UInt8]) throws -> Handshake {
    guard case .handshake(let handshake) = FirstPacket.read(bytes.span) else {
        Issue.record("no handshake but \(FirstPacket.read(bytes.span))")
        throw FirstPacket.Reason.notAHandshake
    }
    return handshake
}

/// A small reproducible source of randomness (SplitMix64), so that a failing run can be repeated.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }
}

func firstPacket(_ bytes: [UInt8], quiet: Bool = false) -> FirstPacket {
    FirstPacket.read(bytes.span, quiet: quiet)
}

extension OfflineConversation {
    mutating func receive(_ bytes: [UInt8]) -> Reply { receive(bytes.span) }
}
