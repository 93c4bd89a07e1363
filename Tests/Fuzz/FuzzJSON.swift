import Core

/// What parses is written and read back unchanged.
@Sendable func fuzzJSON(_ input: [UInt8]) {
    guard let value = try? JSON.parse(input) else { return }
    let again = try? JSON.parse(value.bytes)
    precondition(again == value, "JSON changed when written and read back")
}
