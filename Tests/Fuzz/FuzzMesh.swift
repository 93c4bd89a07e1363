import Wire

/// Frames between relays: the same promises as for those of links.
@Sendable func fuzzMesh(_ input: [UInt8]) {
    checkMessage(
        input, decode: { (bytes) throws(WireError) in try MeshFrame.decode(bytes.span) },
        encode: { $0.encode() })
}
