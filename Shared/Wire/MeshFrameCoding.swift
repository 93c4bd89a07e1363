import Core

extension MeshFrame {
    private static let version: UInt8 = 1

    private enum Kind: UInt8 {
        case hello = 0x41
        case welcome, ask, answer, refused, presence, shares, forward, ping, pong

        var name: String { "\(self)" }
    }

    /// Reads the frame that `bytes` begin with. It looks at no more than the header and one payload and never
    /// consumes more than there is. Throws when the other end does not speak this protocol: close the connection.
    public static func decode(_ bytes: Span<UInt8>) throws(WireError) -> Decoded<MeshFrame> {
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

    private static func read(_ kind: Kind, _ reader: inout WireReader) throws(WireError) -> MeshFrame {
        switch kind {
        case .hello: return .hello(relay: try id(&reader), region: try id(&reader))
        case .welcome: return .welcome
        case .ask:
            return .ask(
                MeshQuestion(
                    number: try reader.u64(), player: try reader.u64(), tunnel: try id(&reader),
                    nonce: try Nonce(from: &reader), rendezvous: try Rendezvous(from: &reader),
                    isLogin: try reader.u8() != 0))
        case .answer:
            let number = try reader.u64()
            let outcome = try reader.u8()
            let key = try id(&reader)
            return .answer(number: number, MeshAnswer(outcome, agentKey: key))
        case .refused:
            return .refused(
                try Nonce(from: &reader), RefusalReason(rawValue: try reader.u8()) ?? .unspecified)
        case .presence: return .presence(try PresenceReport(from: &reader))
        case .shares: return .shares(try ShareReport(from: &reader))
        case .forward:
            guard let token = ForwardToken(try reader.raw(ForwardToken.byteCount)) else {
                throw .cutShort(what: "a token")
            }
            return .forward(token)
        case .ping: return .ping(try reader.u64())
        case .pong: return .pong(try reader.u64())
        }
    }

    private static func id(_ reader: inout WireReader) throws(WireError) -> String {
        try reader.shortText(limit: maxIDBytes)
    }

    /// The frame with its header. Texts over their caps are cut, which nobody takes for what they were.
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
        case .hello(let relay, let region):
            payload.shortText(relay, limit: Self.maxIDBytes)
            payload.shortText(region, limit: Self.maxIDBytes)
            return .hello
        case .welcome: return .welcome
        case .ask(let question):
            payload.u64(question.number)
            payload.u64(question.player)
            payload.shortText(question.tunnel, limit: Self.maxIDBytes)
            payload.raw(question.nonce.bytes)
            question.rendezvous.write(to: &payload)
            payload.u8(question.isLogin ? 1 : 0)
            return .ask
        case .answer(let number, let answer):
            payload.u64(number)
            payload.u8(answer.outcome)
            let key = if case .opened(let key?) = answer { key } else { "" }
            payload.shortText(key, limit: Self.maxIDBytes)
            return .answer
        case .refused(let nonce, let reason):
            payload.raw(nonce.bytes)
            payload.u8(reason.rawValue)
            return .refused
        case .presence(let report):
            report.write(to: &payload)
            return .presence
        case .shares(let report):
            report.write(to: &payload)
            return .shares
        case .forward(let token):
            payload.raw(token.bytes)
            return .forward
        case .ping(let token):
            payload.u64(token)
            return .ping
        case .pong(let token):
            payload.u64(token)
            return .pong
        }
    }
}

extension MeshAnswer {
    fileprivate init(_ outcome: UInt8, agentKey: String) {
        self =
            switch outcome {
            case 1: .opened(agentKey: agentKey.isEmpty ? nil : agentKey)
            case 2: .full
            case 3: .asleep
            case 4: .suspended
            default: .noLink
            }
    }

    /// 00 NO_LINK, 01 OPENED, 02 FULL, 03 ASLEEP, 04 SUSPENDED.
    fileprivate var outcome: UInt8 {
        switch self {
        case .noLink: 0
        case .opened: 1
        case .full: 2
        case .asleep: 3
        case .suspended: 4
        }
    }
}
