import Core

/// What the first bytes of a player's connection are. Ask again with more bytes until it is not `.needMore` or
/// `.ambiguous`; the bytes stay with the caller, who forwards them as they came.
public enum FirstPacket: Sendable, Hashable {
    case needMore
    /// A whole ping of an old client, unless more follows. When nothing comes for `legacyWait`, ask again with
    /// `quiet: true`.
    case ambiguous
    case handshake(Handshake)
    case legacyPing(LegacyPing)
    /// A login of a client before 1.7, which we cannot route: answer `LegacyReply.kick`.
    case legacyLogin
    /// Close: the protocol has no answer to it.
    case invalid(Reason)

    public enum Reason: String, Sendable, Hashable, Error {
        case frameTooLong = "frame_too_long"
        case notAHandshake = "not_a_handshake"
        case addressNotText = "address_not_text"
        case unknownIntent = "unknown_intent"
    }

    /// How long nothing may follow before an old ping counts as whole.
    public static let legacyWait = Milliseconds(250)
    /// The body of a handshake: more than any name with Forge or TCPShield data needs.
    public static let maxFrameBytes = 1024
    /// Empty frames before the handshake; the game skips them.
    static let maxLeadingZeros = 16
    /// The caller never needs to hold more than this to get an answer.
    public static let maxBytes = maxLeadingZeros + Packet.maxLengthBytes + maxFrameBytes

    /// Reads from the first byte of the connection. `quiet` says that nothing more came for `legacyWait`.
    public static func read(_ bytes: Span<UInt8>, quiet: Bool = false) -> FirstPacket {
        guard bytes.count > 0 else { return .needMore }
        // A modern frame of two bytes cannot be a handshake, so 02 is the login of old.
        if bytes[0] == 0x02 { return .legacyLogin }
        if bytes[0] == 0xFE, let legacy = LegacyPing.read(bytes, quiet: quiet) { return legacy }
        return modern(bytes)
    }

    private static func modern(_ bytes: Span<UInt8>) -> FirstPacket {
        var start = 0
        while start < bytes.count, bytes[start] == 0 { start += 1 }
        guard start <= maxLeadingZeros else { return .invalid(.notAHandshake) }
        switch VarInt.read(bytes, at: start, maxBytes: Packet.maxLengthBytes) {
        case .needMore: return .needMore
        case .tooLong: return .invalid(.notAHandshake)
        case .value(let length, let lengthBytes):
            // Told at once, so that other protocols' clients are not kept waiting for the deadline.
            let body = start + lengthBytes
            if body < bytes.count, bytes[body] & 0x7F != 0 { return .invalid(.notAHandshake) }
            guard length >= 6 else { return .invalid(.notAHandshake) }
            guard length <= maxFrameBytes else { return .invalid(.frameTooLong) }
            let end = body + Int(length)
            guard bytes.count >= end else { return .needMore }
            do throws(Reason) {
                return .handshake(try handshake(bytes.extracting(0..<end), at: body))
            } catch {
                return .invalid(error)
            }
        }
    }

    /// `frame` ends where the handshake must end.
    private static func handshake(_ frame: Span<UInt8>, at body: Int) throws(Reason) -> Handshake {
        var offset = body
        func varInt() throws(Reason) -> Int32 {
            guard case .value(let value, let byteCount) = VarInt.read(frame, at: offset, maxBytes: 5) else {
                throw .notAHandshake
            }
            offset += byteCount
            return value
        }
        guard try varInt() == 0 else { throw .notAHandshake }
        let protocolVersion = try varInt()
        let addressBytes = Int(try varInt())
        guard addressBytes >= 0, addressBytes <= frame.count - offset - 2 else { throw .notAHandshake }
        let address = frame.extracting(offset..<offset + addressBytes).withUnsafeBufferPointer {
            String(validating: $0, as: UTF8.self)
        }
        guard let address else { throw .addressNotText }
        offset += addressBytes
        let port = Int(frame[offset]) << 8 | Int(frame[offset + 1])
        offset += 2
        guard let intent = Handshake.Intent(rawValue: try varInt()) else { throw .unknownIntent }
        guard offset == frame.count else { throw .notAHandshake }
        return Handshake(
            protocolVersion: protocolVersion, serverAddress: address, port: port, intent: intent,
            byteCount: frame.count)
    }
}
