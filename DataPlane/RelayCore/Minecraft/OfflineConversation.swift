import Core

/// Talks to a client whose server cannot be reached: it shows the reason in the server list or as the reason of a
/// failed login, instead of closing silently. It is fed with what follows the handshake.
///
/// Close by finishing our side first and reading the rest until the client closes (or a deadline): bytes that
/// were never read would make the kernel reset the connection, and the text would be lost on its way.
public struct OfflineConversation: Sendable {
    public struct Reply: Sendable, Hashable {
        /// How many of the given bytes are done with. The rest belongs at the front of the next call.
        public var consumed = 0
        public var send: [UInt8] = []
        /// Nothing more will be answered.
        public var close = false
    }

    /// Status request and ping are far shorter.
    private static let maxStatusFrameBytes = 64
    /// A login start with the signed key of 1.19 has about 900 bytes.
    private static let maxLoginFrameBytes = 4096

    private let handshake: Handshake
    private let text: String
    private var statusSent = false
    private var isOver = false

    public init(answering handshake: Handshake, text: String) {
        self.handshake = handshake
        self.text = text
    }

    public init(answering handshake: Handshake, reason: OfflineReason, name: String) {
        self.init(answering: handshake, text: reason.text(name: name))
    }

    public mutating func receive(_ bytes: Span<UInt8>) -> Reply {
        var reply = Reply()
        while !isOver {
            let limit = handshake.intent.isLogin ? Self.maxLoginFrameBytes : Self.maxStatusFrameBytes
            switch Packet.read(bytes, at: reply.consumed, maxBytes: limit) {
            case .needMore: return reply
            case .invalid:
                // A client that logs in is owed the reason, whatever its login looks like.
                if handshake.intent.isLogin { reply.send += Self.loginKick(text) }
                isOver = true
            case .frame(let start, 0): reply.consumed = start
            case .frame(let start, let count):
                answer(bytes.extracting(start..<start + count), &reply)
                reply.consumed = start + count
            }
        }
        reply.consumed = bytes.count
        reply.close = true
        return reply
    }

    private mutating func answer(_ body: Span<UInt8>, _ reply: inout Reply) {
        if handshake.intent.isLogin {
            reply.send += Self.loginKick(text)
            isOver = true
        } else if body.count == 1, body[0] == 0x00, !statusSent {
            reply.send += Self.status(text, protocolVersion: handshake.protocolVersion)
            statusSent = true
        } else if body.count == 9, body[0] == 0x01 {
            // Some clients skip the status request; the pong repeats their eight bytes.
            reply.send += Packet.encode(id: 1, body.extracting(1..<9).withUnsafeBufferPointer { Array($0) })
            isOver = true
        } else {
            isOver = true
        }
    }

    /// Clientbound packet 00 of the status state. The client's own protocol is echoed, or its list would say
    /// "incompatible" instead of our text.
    public static func status(_ motd: String, protocolVersion: Int32) -> [UInt8] {
        let answer: JSON = [
            "version": ["name": "offline", "protocol": .integer(Int64(protocolVersion))],
            "players": ["max": 0, "online": 0],
            "description": ["text": .string(motd)],
        ]
        return Packet.encode(id: 0, Packet.string(answer.text))
    }

    /// Clientbound packet 00 of the login state: JSON text in every version, also in those that use NBT later on.
    public static func loginKick(_ text: String) -> [UInt8] {
        let answer: JSON = ["text": .string(text)]
        return Packet.encode(id: 0, Packet.string(answer.text))
    }
}
