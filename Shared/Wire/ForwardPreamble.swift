/// The first bytes of a connection that one relay passes on to another over the private network, since it reached the
/// wrong one behind a shared entry: the token that the mesh announced (`MeshFrame.forward`). Everything behind it is
/// what the guest sent, from the very first byte.
///
///     "MCFW" | u8 version 1 | 16 bytes token
///
/// Example, read by a test:
///
///     4D434657 01 000102030405060708090A0B0C0D0E0F
public struct ForwardPreamble: Sendable, Hashable {
    public static let magic = Array("MCFW".utf8)
    public static let byteCount = 4 + 1 + ForwardToken.byteCount
    private static let version: UInt8 = 1

    public var token: ForwardToken

    public init(token: ForwardToken) { self.token = token }

    public func encode() -> [UInt8] { Self.magic + [Self.version] + token.bytes }

    /// Throws as soon as the bytes cannot become one. It never answers `.skipped`.
    public static func decode(_ bytes: Span<UInt8>) throws(WireError) -> Decoded<ForwardPreamble> {
        for index in 0..<min(bytes.count, magic.count) where bytes[index] != magic[index] {
            throw .badValue(what: "the forwarding preamble's magic")
        }
        guard bytes.count > magic.count else { return .needMore }
        guard bytes[magic.count] == version else { throw .unsupportedVersion(Int(bytes[magic.count])) }
        guard bytes.count >= byteCount else { return .needMore }
        guard let token = ForwardToken(bytes.copy(from: magic.count + 1, count: ForwardToken.byteCount))
        else {
            throw .badValue(what: "the forwarding token")
        }
        return .message(ForwardPreamble(token: token), consumed: byteCount)
    }
}
