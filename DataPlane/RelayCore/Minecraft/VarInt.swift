/// Minecraft's variable-length integer: seven bits a byte, lowest first, the top bit says that more follow.
enum VarInt {
    enum Read: Equatable {
        case needMore
        case tooLong
        case value(Int32, byteCount: Int)
    }

    /// Reads one that starts at `offset`. Longer forms of a small value are accepted, as the game does.
    static func read(_ bytes: Span<UInt8>, at offset: Int, maxBytes: Int) -> Read {
        var value: UInt32 = 0
        for index in 0..<maxBytes {
            guard offset + index < bytes.count else { return .needMore }
            let byte = bytes[offset + index]
            value |= UInt32(byte & 0x7F) << UInt32(7 * index)
            if byte & 0x80 == 0 { return .value(Int32(bitPattern: value), byteCount: index + 1) }
        }
        return .tooLong
    }

    static func encode(_ value: Int32) -> [UInt8] {
        var rest = UInt32(bitPattern: value)
        var bytes: [UInt8] = []
        while rest > 0x7F {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
        return bytes
    }
}
