/// Which of the three guests of a public port a connection is, told by its first bytes.
public enum FirstBytes: Sendable, Hashable {
    /// A link: a TLS record of type handshake begins with 16 03.
    case tls
    /// A data connection: `Preamble.magic`.
    case dataConnection
    /// Everything else is given to the Minecraft handshake, which knows what to answer to garbage.
    case minecraft
    case needMore

    /// Needs at most four bytes. A Minecraft frame of 22 bytes also begins with 16, but then comes 00.
    public static func sniff(_ bytes: Span<UInt8>) -> FirstBytes {
        guard bytes.count > 0 else { return .needMore }
        if bytes[0] == 0x16 {
            guard bytes.count > 1 else { return .needMore }
            return bytes[1] == 0x03 ? .tls : .minecraft
        }
        for index in 0..<min(bytes.count, Preamble.magic.count) where bytes[index] != Preamble.magic[index] {
            return .minecraft
        }
        return bytes.count >= Preamble.magic.count ? .dataConnection : .needMore
    }
}
