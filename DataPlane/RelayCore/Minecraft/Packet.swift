/// Packets of the uncompressed, unencrypted beginning of a conversation: VarInt length, VarInt id, fields.
enum Packet {
    /// The length of a frame is a VarInt of at most three bytes.
    static let maxLengthBytes = 3

    enum Read: Equatable {
        case needMore
        case invalid
        /// The body is at `start ..< start + count` and begins with the packet id.
        case frame(start: Int, count: Int)
    }

    /// Finds the frame that starts at `offset`, without looking into its body.
    static func read(_ bytes: Span<UInt8>, at offset: Int, maxBytes: Int) -> Read {
        switch VarInt.read(bytes, at: offset, maxBytes: maxLengthBytes) {
        case .needMore: return .needMore
        case .tooLong: return .invalid
        case .value(let length, let byteCount):
            guard length >= 0, length <= maxBytes else { return .invalid }
            let start = offset + byteCount
            guard bytes.count - start >= Int(length) else { return .needMore }
            return .frame(start: start, count: Int(length))
        }
    }

    static func encode(id: Int32, _ fields: [UInt8]) -> [UInt8] {
        let body = VarInt.encode(id) + fields
        return VarInt.encode(Int32(clamping: body.count)) + body
    }

    static func string(_ text: String) -> [UInt8] {
        let content = Array(text.utf8)
        return VarInt.encode(Int32(clamping: content.count)) + content
    }
}
