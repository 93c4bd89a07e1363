import Wire

/// Frames of the link and messages of a data connection: nothing is consumed that is not there, a decision stands
/// when more bytes follow, and what was read is written and read back unchanged.
@Sendable func fuzzLink(_ input: [UInt8]) {
    checkMessage(
        input, decode: { (bytes) throws(WireError) in try LinkFrame.decode(bytes.span) },
        encode: { $0.encode() })
    checkMessage(
        input, decode: { (bytes) throws(WireError) in try Preamble.decode(bytes.span) },
        encode: { $0.encode() })
    checkMessage(
        input, decode: { (bytes) throws(WireError) in try Start.decode(bytes.span) }, encode: { $0.encode() })
    checkMessage(
        input, decode: { (bytes) throws(WireError) in try StartAnswer.decode(bytes.span) },
        encode: { $0.encode() })
}
