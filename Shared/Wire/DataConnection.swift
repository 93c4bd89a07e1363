/// The first bytes of a data connection, from agent to relay: whom it looks for and the right to one player.
///
/// # The data connection
///
///     agent → relay   preamble   "MCDP" | u8 version 1 | u8 length, relay id | 16 bytes nonce
///     relay → agent   START      01 | u16 length | u8 4 or 16, player's IP | u16 port | u8 length, routing name
///                     then at once the player's bytes
///     agent → relay   READY      02 | u16 0
///                     then at once the home server's bytes
///             or      REFUSED    03 | u16 length | u8 reason
///                     and close
///
/// Before START the connection is parked. After START and READY both ends forget the protocol and pass raw bytes.
/// Bytes behind the known fields of START and REFUSED are ignored; anything else that is new raises the version.
/// A Minecraft frame of 0x4D bytes cannot be taken for a preamble: its second byte is 00, not "C".
///
/// Examples, each read by a test:
///
///     preamble 4D434450 01 02 7231 + 16 bytes                      looks for relay "r1"
///     START    01 000C 04 C0000207 C8D5 04 612E6262                player 192.0.2.7:51413 typed "a.bb"
///     READY    02 0000
///     REFUSED  03 0001 01                                          the local server does not answer
public struct Preamble: Sendable, Hashable {
    public static let magic = Array("MCDP".utf8)
    public static let maxBytes = 4 + 1 + 1 + Rendezvous.maxRelayBytes + Nonce.byteCount
    private static let version: UInt8 = 1

    /// The relay it is meant for, which another replica behind the same entry may have to pass it on to.
    public var relay: String
    public var nonce: Nonce

    public init(relay: String, nonce: Nonce) {
        self.relay = relay
        self.nonce = nonce
    }

    public func encode() -> [UInt8] {
        var writer = WireWriter()
        writer.raw(Self.magic)
        writer.u8(Self.version)
        writer.shortText(relay, limit: Rendezvous.maxRelayBytes)
        writer.raw(nonce.bytes)
        return writer.bytes
    }

    /// Reads a preamble; throws as soon as the bytes cannot become one. It never answers `.skipped`.
    public static func decode(_ bytes: Span<UInt8>) throws(WireError) -> Decoded<Preamble> {
        for index in 0..<min(bytes.count, magic.count) where bytes[index] != magic[index] {
            throw .badValue(what: "the preamble's magic")
        }
        guard bytes.count > 4 else { return .needMore }
        guard bytes[4] == version else { throw .unsupportedVersion(Int(bytes[4])) }
        guard bytes.count > 5 else { return .needMore }
        let relayBytes = Int(bytes[5])
        guard relayBytes <= Rendezvous.maxRelayBytes else {
            throw .tooLarge(what: "the relay id", bytes: relayBytes, limit: Rendezvous.maxRelayBytes)
        }
        let consumed = 6 + relayBytes + Nonce.byteCount
        guard bytes.count >= consumed else { return .needMore }
        var reader = WireReader(bytes.copy(from: 5, count: consumed - 5), of: "the preamble")
        let relay = try reader.shortText(limit: Rendezvous.maxRelayBytes)
        return .message(Preamble(relay: relay, nonce: try Nonce(from: &reader)), consumed: consumed)
    }
}

/// Relay to agent: a player is here. Their bytes follow.
public struct Start: Sendable, Hashable {
    public static let maxPayloadBytes = 1024
    public static let maxRoutingNameBytes = 255
    private static let type: UInt8 = 1

    public var player: PlayerAddress
    public var routingName: String

    public init(player: PlayerAddress, routingName: String) {
        self.player = player
        self.routingName = routingName
    }

    public func encode() -> [UInt8] {
        var payload = WireWriter()
        payload.u8(UInt8(player.ip.count))
        payload.raw(player.ip)
        payload.u16(player.port)
        payload.shortText(routingName, limit: Self.maxRoutingNameBytes)
        return DataMessage.frame(Self.type, payload.bytes)
    }

    /// Reads START; throws for anything else. It never answers `.skipped`.
    public static func decode(_ bytes: Span<UInt8>) throws(WireError) -> Decoded<Start> {
        guard let first = bytes.isEmpty ? nil : bytes[0] else { return .needMore }
        guard first == type else { throw .unexpectedMessage(type: Int(first)) }
        guard let payload = try DataMessage.payload(bytes, limit: maxPayloadBytes) else { return .needMore }
        var reader = WireReader(payload, of: "START")
        let ip = try reader.raw(Int(try reader.u8()))
        guard let player = PlayerAddress(ip: ip, port: try reader.u16()) else {
            throw .badValue(what: "the player's address")
        }
        let start = Start(player: player, routingName: try reader.shortText(limit: maxRoutingNameBytes))
        return .message(start, consumed: DataMessage.headerBytes + payload.count)
    }
}

/// Agent to relay, the answer to START. After `.ready` the home server's bytes follow.
public enum StartAnswer: Sendable, Hashable {
    case ready
    case refused(RefusalReason)

    public static let maxPayloadBytes = 64

    public func encode() -> [UInt8] {
        switch self {
        case .ready: DataMessage.frame(2, [])
        case .refused(let reason): DataMessage.frame(3, [reason.rawValue])
        }
    }

    /// Reads READY or REFUSED; throws for anything else. It never answers `.skipped`.
    public static func decode(_ bytes: Span<UInt8>) throws(WireError) -> Decoded<StartAnswer> {
        guard let type = bytes.isEmpty ? nil : bytes[0] else { return .needMore }
        guard type == 2 || type == 3 else { throw .unexpectedMessage(type: Int(type)) }
        guard let payload = try DataMessage.payload(bytes, limit: type == 2 ? 0 : maxPayloadBytes) else {
            return .needMore
        }
        let consumed = DataMessage.headerBytes + payload.count
        if type == 2 { return .message(.ready, consumed: consumed) }
        var reader = WireReader(payload, of: "REFUSED")
        let reason = RefusalReason(rawValue: try reader.u8()) ?? .unspecified
        return .message(.refused(reason), consumed: consumed)
    }
}

/// The frame of START, READY and REFUSED.
private enum DataMessage {
    static let headerBytes = 3

    static func frame(_ type: UInt8, _ payload: [UInt8]) -> [UInt8] {
        var writer = WireWriter()
        writer.u8(type)
        writer.u16(payload.count)
        writer.raw(payload)
        return writer.bytes
    }

    /// nil while it is incomplete.
    static func payload(_ bytes: Span<UInt8>, limit: Int) throws(WireError) -> [UInt8]? {
        guard bytes.count >= headerBytes else { return nil }
        let length = bytes.bigEndian(at: 1, width: 2)
        guard length <= limit else {
            throw .tooLarge(what: "a data connection's message", bytes: length, limit: limit)
        }
        guard bytes.count >= headerBytes + length else { return nil }
        return bytes.copy(from: headerBytes, count: length)
    }
}
