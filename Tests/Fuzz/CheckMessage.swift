import Wire

/// Nothing is consumed that is not there, a decision stands when more bytes follow, and what was read is written and
/// read back unchanged.
func checkMessage<Message: Sendable & Equatable>(
    _ input: [UInt8], decode: ([UInt8]) throws(WireError) -> Decoded<Message>, encode: (Message) -> [UInt8]
) {
    guard let decoded = try? decode(input) else { return }
    switch decoded {
    case .needMore: break
    case .skipped(let consumed):
        precondition(consumed > 0 && consumed <= input.count, "consumed what is not there")
    case .message(let message, let consumed):
        precondition(consumed > 0 && consumed <= input.count, "consumed what is not there")
        let alone = try? decode(Array(input[..<consumed]))
        precondition(alone == decoded, "the same bytes read differently alone")
        let written = encode(message)
        let again = try? decode(written)
        precondition(
            again == .message(message, consumed: written.count),
            "a message changed when written and read back")
    }
}
