/// What Redis answers (RESP2).
public enum RedisReply: Sendable, Hashable {
    case null
    case integer(Int64)
    case status(String)
    case error(String)
    case bytes([UInt8])
    case array([RedisReply])

    /// Text of a status or a bulk string; nil for anything else or for bytes that are not UTF-8.
    public var text: String? {
        switch self {
        case .status(let text): text
        case .bytes(let bytes): String(validating: bytes, as: UTF8.self)
        default: nil
        }
    }

    public var bytesValue: [UInt8]? {
        switch self {
        case .bytes(let bytes): bytes
        case .status(let text): Array(text.utf8)
        default: nil
        }
    }

    /// An integer reply, or a bulk string that is a whole number.
    public var integerValue: Int64? {
        switch self {
        case .integer(let value): value
        case .bytes, .status: text.flatMap { Int64($0) }
        default: nil
        }
    }

    public var arrayValue: [RedisReply]? { if case .array(let values) = self { values } else { nil } }
    public var isNull: Bool { self == .null }
}

/// Why a Redis command has no reply. Nothing here repeats what was sent.
public enum RedisError: Error, Sendable, Hashable, CustomStringConvertible {
    /// No connection within the command's deadline.
    case away
    /// Sent, but no reply within the deadline; whether it took effect is unknown.
    case timedOut
    /// Sent, then the connection ended; whether it took effect is unknown.
    case connectionLost
    /// Redis answered with an error.
    case refused(String)
    /// More commands are waiting than we hold.
    case overloaded
    /// A connection that subscribes runs no commands.
    case subscribed
    /// The connection was closed by us.
    case closed

    public var description: String {
        switch self {
        case .away: "Redis is away"
        case .timedOut: "Redis did not answer in time"
        case .connectionLost: "the connection to Redis ended"
        case .refused(let text): "Redis refused: \(text)"
        case .overloaded: "too many commands wait for Redis"
        case .subscribed: "this Redis connection only listens to channels"
        case .closed: "this Redis connection is closed"
        }
    }
}
