/// A server-list ping of a client before 1.7.
public struct LegacyPing: Sendable, Hashable {
    public enum Age: Sendable, Hashable {
        /// `FE`: up to 1.3.
        case upTo1_3
        /// `FE 01`: 1.4 and 1.5.
        case since1_4
        /// `FE 01 FA` and the message MC|PingHost: 1.6. It names its protocol.
        case since1_6(protocolVersion: UInt8?)
    }

    public var age: Age
    /// Only 1.6 says which name was typed.
    public var host: String?
    public var byteCount: Int

    public init(age: Age, host: String?, byteCount: Int) {
        self.age = age
        self.host = host
        self.byteCount = byteCount
    }

    /// FE 01 FA, then the text "MC|PingHost" as u16 length and UTF-16.
    private static let pingHost: [UInt8] =
        [0xFE, 0x01, 0xFA, 0x00, 0x0B] + "MC|PingHost".utf8.flatMap { [0, $0] }
    /// u8 protocol, u16 length of the host, i32 port.
    private static let fixedBytes = 7
    private static let maxHostUnits = 255

    /// nil when the bytes, which begin with FE, are a modern frame: FE is also the first byte of the lengths 126,
    /// 254, 382, 510 and so on, and FE 01 is the whole of 254. Only the third byte tells.
    static func read(_ bytes: Span<UInt8>, quiet: Bool) -> FirstPacket? {
        if bytes.count == 1 {
            return quiet ? .legacyPing(LegacyPing(age: .upTo1_3, host: nil, byteCount: 1)) : .ambiguous
        }
        guard bytes[1] == 0x01 else { return nil }
        if bytes.count == 2 {
            return quiet ? .legacyPing(LegacyPing(age: .since1_4, host: nil, byteCount: 2)) : .ambiguous
        }
        guard bytes[2] == 0xFA else { return nil }
        return since1_6(bytes, quiet: quiet)
    }

    private static func since1_6(_ bytes: Span<UInt8>, quiet: Bool) -> FirstPacket {
        let incomplete: FirstPacket =
            quiet
            ? .legacyPing(
                LegacyPing(age: .since1_6(protocolVersion: nil), host: nil, byteCount: bytes.count))
            : .needMore
        for index in 0..<min(bytes.count, pingHost.count) where bytes[index] != pingHost[index] {
            return .invalid(.notAHandshake)
        }
        let content = pingHost.count + 2
        guard bytes.count >= content else { return incomplete }
        let contentBytes = Int(bytes[content - 2]) << 8 | Int(bytes[content - 1])
        guard (fixedBytes...fixedBytes + 2 * maxHostUnits).contains(contentBytes) else {
            return .invalid(.notAHandshake)
        }
        guard bytes.count >= content + contentBytes else { return incomplete }
        let units = Int(bytes[content + 1]) << 8 | Int(bytes[content + 2])
        guard fixedBytes + 2 * units == contentBytes else { return .invalid(.notAHandshake) }
        let host = (0..<units).map { index in
            UInt16(bytes[content + 3 + 2 * index]) << 8 | UInt16(bytes[content + 4 + 2 * index])
        }
        return .legacyPing(
            LegacyPing(
                age: .since1_6(protocolVersion: bytes[content]),
                host: String(decoding: host, as: UTF16.self), byteCount: content + contentBytes))
    }
}

/// What clients before 1.7 understand: FF, u16 number of UTF-16 units, the text.
public enum LegacyReply {
    /// The protocol number for a client that did not tell its own: what new servers say to old clients.
    private static let unknownProtocol: UInt8 = 127

    /// The answer to a ping: a line in the server list with nobody playing.
    public static func status(_ motd: String, to ping: LegacyPing) -> [UInt8] {
        // Both characters separate fields.
        let line = String(motd.map { $0 == "§" || $0 == "\0" || $0 == "\n" ? " " : $0 })
        switch ping.age {
        case .upTo1_3: return encode("\(line)§0§0")
        case .since1_4: return encode("§1\0\(unknownProtocol)\0offline\0\(line)\00\00")
        case .since1_6(let version):
            return encode("§1\0\(version ?? unknownProtocol)\0offline\0\(line)\00\00")
        }
    }

    /// The answer to a login.
    public static func kick(_ text: String) -> [UInt8] { encode(text) }

    private static func encode(_ text: String) -> [UInt8] {
        let units = Array(text.utf16.prefix(Int(UInt16.max)))
        return [0xFF, UInt8(units.count >> 8), UInt8(units.count & 0xFF)]
            + units.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
    }
}
