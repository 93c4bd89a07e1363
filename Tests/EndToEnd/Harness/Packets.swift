import Core

/// Minecraft's packets as clients and servers write them, apart from the product's own reading of them.
/// A packet is VarInt length, VarInt id, fields.
enum Packets {
    static func varInt(_ value: Int) -> [UInt8] {
        var rest = UInt32(truncatingIfNeeded: value)
        var bytes: [UInt8] = []
        while rest > 0x7F {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    static func string(_ text: String) -> [UInt8] { varInt(text.utf8.count) + Array(text.utf8) }

    static func packet(_ id: Int, _ fields: [UInt8]) -> [UInt8] {
        let content = varInt(id) + fields
        return varInt(content.count) + content
    }

    /// Intent 1 asks for the status, 2 logs in, 3 is transferred.
    static func handshake(_ address: String, port: Int = 25565, intent: Int) -> [UInt8] {
        packet(
            0, varInt(767) + string(address) + [UInt8(port >> 8), UInt8(port & 0xFF)] + varInt(intent))
    }
}

/// Reads the fields of one packet.
struct PacketReader {
    private var bytes: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    var rest: [UInt8] { Array(bytes) }

    mutating func take(_ count: Int) throws -> [UInt8] {
        guard count >= 0, bytes.count >= count else { throw Trouble("a packet ends inside a field") }
        defer { bytes = bytes.dropFirst(count) }
        return Array(bytes.prefix(count))
    }

    mutating func varInt() throws -> Int {
        var value = 0
        for place in 0..<5 {
            let byte = try take(1)[0]
            value |= Int(byte & 0x7F) << (7 * place)
            if byte < 0x80 { return value }
        }
        throw Trouble("a VarInt is longer than five bytes")
    }

    mutating func string() throws -> String { String(decoding: try take(try varInt()), as: UTF8.self) }
}

extension Connection {
    /// The next packet, with the bytes it came in.
    func receivePacket() throws -> (id: Int, fields: PacketReader, raw: [UInt8]) {
        var head: [UInt8] = []
        repeat {
            head += try receive(exactly: 1)
        } while head[head.count - 1] > 0x7F && head.count < 3
        var length = PacketReader(head)
        let content = try receive(exactly: try length.varInt())
        var reader = PacketReader(content)
        let id = try reader.varInt()
        return (id, reader, head + content)
    }
}
