import Core

extension LinkFrame {
    private static let version: UInt8 = 1

    private enum Kind: UInt8 {
        case hello = 1
        case welcome, park, open, refuse, ping, pong, migrate, limits, goAway

        var name: String { "\(self)" }
    }

    /// Reads the frame that `bytes` begin with. It looks at no more than the header and one payload and never
    /// consumes more than there is. Throws when the other end does not speak this protocol: close the link.
    public static func decode(_ bytes: Span<UInt8>) throws(WireError) -> Decoded<LinkFrame> {
        guard bytes.count >= headerBytes else { return .needMore }
        let length = bytes.bigEndian(at: 2, width: 3)
        guard length <= maxPayloadBytes else {
            throw .tooLarge(what: "a frame", bytes: length, limit: maxPayloadBytes)
        }
        let consumed = headerBytes + length
        guard bytes.count >= consumed else { return .needMore }
        guard let kind = Kind(rawValue: bytes[0]), bytes[1] == version else {
            return .skipped(consumed: consumed)
        }
        var reader = WireReader(bytes.copy(from: headerBytes, count: length), of: kind.name)
        return .message(try read(kind, &reader), consumed: consumed)
    }

    private static func read(_ kind: Kind, _ reader: inout WireReader) throws(WireError) -> LinkFrame {
        switch kind {
        case .hello: return .hello(ticket: try reader.text(limit: maxTicketBytes))
        case .welcome: return .welcome(try Limits(from: &reader))
        case .park:
            let rendezvous = try Rendezvous(from: &reader)
            let count = Int(try reader.u8())
            guard count <= maxParkedNonces else { throw .badValue(what: "the number of nonces") }
            var nonces: [Nonce] = []
            for _ in 0..<count { nonces.append(try Nonce(from: &reader)) }
            return .park(nonces, rendezvous)
        case .open: return .open(try Nonce(from: &reader), try Rendezvous(from: &reader))
        case .refuse:
            let nonce = try Nonce(from: &reader)
            let rendezvous = try Rendezvous(from: &reader)
            return .refuse(nonce, rendezvous, RefusalReason(rawValue: try reader.u8()) ?? .unspecified)
        case .ping: return .ping(try reader.u64())
        case .pong: return .pong(try reader.u64())
        case .migrate:
            let within = Milliseconds(try reader.u32())
            return .migrate(within: within, leave: try reader.u8() != 0)
        case .limits: return .limits(try Limits(from: &reader))
        case .goAway:
            let reconnectIn = Milliseconds(try reader.u32())
            return .goAway(
                reconnectIn: reconnectIn, GoAwayReason(rawValue: try reader.u8()) ?? .unspecified)
        }
    }

    /// The frame with its header. Texts over their caps are cut, which the reader then refuses.
    public func encode() -> [UInt8] {
        var payload = WireWriter()
        let kind = write(to: &payload)
        var frame = WireWriter()
        frame.u8(kind.rawValue)
        frame.u8(Self.version)
        frame.u24(payload.bytes.count)
        frame.raw(payload.bytes)
        return frame.bytes
    }

    private func write(to payload: inout WireWriter) -> Kind {
        switch self {
        case .hello(let ticket):
            payload.text(ticket, limit: Self.maxTicketBytes)
            return .hello
        case .welcome(let limits):
            limits.write(to: &payload)
            return .welcome
        case .park(let nonces, let rendezvous):
            let sent = nonces.prefix(Self.maxParkedNonces)
            rendezvous.write(to: &payload)
            payload.u8(UInt8(sent.count))
            for nonce in sent { payload.raw(nonce.bytes) }
            return .park
        case .open(let nonce, let rendezvous):
            payload.raw(nonce.bytes)
            rendezvous.write(to: &payload)
            return .open
        case .refuse(let nonce, let rendezvous, let reason):
            payload.raw(nonce.bytes)
            rendezvous.write(to: &payload)
            payload.u8(reason.rawValue)
            return .refuse
        case .ping(let token):
            payload.u64(token)
            return .ping
        case .pong(let token):
            payload.u64(token)
            return .pong
        case .migrate(let within, let leave):
            payload.u32(within.count)
            payload.u8(leave ? 1 : 0)
            return .migrate
        case .limits(let limits):
            limits.write(to: &payload)
            return .limits
        case .goAway(let reconnectIn, let reason):
            payload.u32(reconnectIn.count)
            payload.u8(reason.rawValue)
            return .goAway
        }
    }
}

extension Nonce {
    init(from reader: inout WireReader) throws(WireError) {
        guard let nonce = Nonce(try reader.raw(Nonce.byteCount)) else { throw .cutShort(what: "a nonce") }
        self = nonce
    }
}
