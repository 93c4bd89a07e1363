/// Which of the guests of a public port a connection is, told by its first bytes.
public enum FirstBytes: Sendable, Hashable {
    /// A link: a TLS record of type handshake begins with 16 03.
    case tls
    /// A data connection: `Preamble.magic`.
    case dataConnection
    /// What a neighbour behind the same entry passes on: `ForwardPreamble.magic`.
    case forwarded
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
        if begins(bytes, Preamble.magic) {
            return bytes.count >= Preamble.magic.count ? .dataConnection : .needMore
        }
        guard begins(bytes, ForwardPreamble.magic) else { return .minecraft }
        return bytes.count >= ForwardPreamble.magic.count ? .forwarded : .needMore
    }

    /// As far as both go.
    private static func begins(_ bytes: Span<UInt8>, _ magic: [UInt8]) -> Bool {
        for index in 0..<min(bytes.count, magic.count) where bytes[index] != magic[index] { return false }
        return true
    }
}
