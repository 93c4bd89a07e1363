/// Why bytes from the other end are not the protocol we speak. It names no content, so it may be logged.
public enum WireError: Error, Sendable, Hashable, CustomStringConvertible {
    case tooLarge(what: String, bytes: Int, limit: Int)
    case cutShort(what: String)
    case notText(what: String)
    case badValue(what: String)
    case unsupportedVersion(Int)
    case unexpectedMessage(type: Int)

    public var description: String {
        switch self {
        case .tooLarge(let what, let bytes, let limit): "\(what) has \(bytes) bytes, the limit is \(limit)"
        case .cutShort(let what): "\(what) is cut short"
        case .notText(let what): "\(what) is not UTF-8"
        case .badValue(let what): "\(what) has an impossible value"
        case .unsupportedVersion(let version): "version \(version) is not known here"
        case .unexpectedMessage(let type): "a message of type \(type) is not expected here"
        }
    }
}

/// What the beginning of some received bytes turned out to be.
public enum Decoded<Message: Sendable>: Sendable {
    /// The message is not complete: call again with the same bytes and more.
    case needMore
    /// A well-formed frame of a type or version that is not known here: drop it and go on.
    case skipped(consumed: Int)
    case message(Message, consumed: Int)
}

extension Decoded: Equatable where Message: Equatable {}
