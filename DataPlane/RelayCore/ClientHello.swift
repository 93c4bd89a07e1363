import Core

/// The server name that a TLS client asks for (SNI, RFC 6066 section 3), read from its first bytes without taking part
/// in the handshake: a ClientHello (RFC 8446 section 4.1.2) in one or several records (section 5.1).
public enum ClientHello {
    public enum Answer: Sendable, Hashable {
        case needMore
        /// It names nobody, or is no ClientHello.
        case none
        case serverName(String)
    }

    /// One that is longer counts as one without a name. Browsers with post-quantum keys need about 2,000 bytes.
    public static let maxBytes = 4096
    private static let maxNameBytes = 255

    public static func serverName(in bytes: [UInt8]) -> Answer {
        do throws(Stop) {
            var reader = HandshakeReader(bytes)
            return try serverName(&reader)
        } catch {
            switch error {
            case .needsMore: return bytes.count < maxBytes ? .needMore : .none
            case .isNone: return .none
            }
        }
    }

    private enum Stop: Error { case needsMore, isNone }

    private static func serverName(_ reader: inout HandshakeReader) throws(Stop) -> Answer {
        guard try reader.u8() == 1 else { throw .isNone }
        let end = try reader.end(lengthBytes: 3)
        guard try reader.integer(2) >= 0x0301 else { throw .isNone }
        try reader.skip(32, before: end)
        try reader.skip(try reader.integer(1), before: end)
        try reader.skip(try reader.integer(2), before: end)
        try reader.skip(try reader.integer(1), before: end)
        // Without extensions the message ends here.
        guard reader.position < end else { throw .isNone }
        let extensionsEnd = try reader.end(lengthBytes: 2, before: end)
        while reader.position < extensionsEnd {
            let type = try reader.integer(2)
            let extensionEnd = try reader.end(lengthBytes: 2, before: extensionsEnd)
            if type == 0 { return try hostName(&reader, before: extensionEnd) }
            try reader.skip(extensionEnd - reader.position, before: extensionEnd)
        }
        throw .isNone
    }

    private static func hostName(_ reader: inout HandshakeReader, before end: Int) throws(Stop) -> Answer {
        let listEnd = try reader.end(lengthBytes: 2, before: end)
        while reader.position < listEnd {
            let type = try reader.u8()
            let nameEnd = try reader.end(lengthBytes: 2, before: listEnd)
            guard type == 0 else {
                try reader.skip(nameEnd - reader.position, before: nameEnd)
                continue
            }
            let count = nameEnd - reader.position
            guard (1...maxNameBytes).contains(count) else { throw .isNone }
            var name: [UInt8] = []
            for _ in 0..<count { name.append(try reader.u8()) }
            guard name.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { throw .isNone }
            return .serverName(String(decoding: name, as: UTF8.self))
        }
        throw .isNone
    }

    /// Reads handshake bytes across the records they come in. Positions count handshake bytes.
    private struct HandshakeReader {
        private let bytes: [UInt8]
        private var offset = 0
        /// Where the record ends that is being read.
        private var recordEnd = 0
        private(set) var position = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        mutating func u8() throws(Stop) -> UInt8 {
            while offset == recordEnd { try beginRecord() }
            guard offset < bytes.count else { throw .needsMore }
            defer {
                offset += 1
                position += 1
            }
            return bytes[offset]
        }

        private mutating func beginRecord() throws(Stop) {
            let header = 5
            let there = bytes.count - offset
            guard there < 1 || bytes[offset] == 0x16, there < 2 || bytes[offset + 1] == 0x03 else {
                throw .isNone
            }
            guard there >= header else { throw .needsMore }
            let length = Int(bytes[offset + 3]) << 8 | Int(bytes[offset + 4])
            // Empty handshake records are forbidden, and one holds at most 2^14 bytes.
            guard (1...1 << 14).contains(length) else { throw .isNone }
            offset += header
            recordEnd = offset + length
        }

        mutating func integer(_ width: Int) throws(Stop) -> Int {
            var value = 0
            for _ in 0..<width { value = value << 8 | Int(try u8()) }
            return value
        }

        mutating func skip(_ count: Int, before end: Int) throws(Stop) {
            guard position + count <= end else { throw .isNone }
            for _ in 0..<count { _ = try u8() }
        }

        /// Reads a length, and answers where what has this length ends.
        mutating func end(lengthBytes width: Int, before outer: Int = .max) throws(Stop) -> Int {
            let length = try integer(width)
            guard position + length <= outer else { throw .isNone }
            return position + length
        }
    }
}
