import Core

/// What a tunnel may use, wherever its players land. nil is no limit.
public struct Limits: Sendable, Hashable {
    public var players: Int?
    /// Both directions together.
    public var bytes_per_s: Int?
    /// A tunnel that has been without any player for so long is closed until its owner opens it again.
    public var idle_timeout_s: Int?

    public static let none = Limits()

    public init(players: Int? = nil, bytes_per_s: Int? = nil, idle_timeout_s: Int? = nil) {
        self.players = players
        self.bytes_per_s = bytes_per_s
        self.idle_timeout_s = idle_timeout_s
    }
}

/// On the wire all bits set is no limit.
extension Limits {
    private static let unlimited_u32 = Int(UInt32.max)

    func write(to writer: inout WireWriter) {
        writer.u32(players.map { min($0, Self.unlimited_u32 - 1) } ?? Self.unlimited_u32)
        writer.u64(bytes_per_s.map { UInt64(clamping: $0) } ?? .max)
        writer.u32(idle_timeout_s.map { min($0, Self.unlimited_u32 - 1) } ?? Self.unlimited_u32)
    }

    init(from reader: inout WireReader) throws(WireError) {
        let players = try reader.u32()
        let bytes_per_s = try reader.u64()
        let idle_timeout_s = try reader.u32()
        self.players = players == Self.unlimited_u32 ? nil : players
        self.bytes_per_s = bytes_per_s == .max ? nil : Int(clamping: bytes_per_s)
        self.idle_timeout_s = idle_timeout_s == Self.unlimited_u32 ? nil : idle_timeout_s
    }
}

/// In JSON null, or no member, is no limit.
extension Limits {
    public var json: JSON {
        [
            "players": .number(players), "bytes_per_s": .number(bytes_per_s),
            "idle_timeout_s": .number(idle_timeout_s),
        ]
    }

    public init(json: JSON) throws(WireError) { try self.init(JSONFields(json, of: "limits")) }

    init(_ fields: JSONFields) throws(WireError) {
        players = try fields.optionalInteger("players")
        bytes_per_s = try fields.optionalInteger("bytes_per_s")
        idle_timeout_s = try fields.optionalInteger("idle_timeout_s")
    }
}
