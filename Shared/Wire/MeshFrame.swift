import Core

/// One frame of the mesh: the TLS connections between the relays of a region, with certificates on both sides.
///
/// # The mesh protocol
///
/// A frame is a header of five bytes and a payload, as on a link (see `LinkFrame`):
///
///     u8 type | u8 version | u24 length of the payload | payload (at most 16,384 bytes)
///
/// Integers are big-endian. `text8` is UTF-8 behind a length of one byte. A `nonce` is 16 bytes. A `rendezvous` is
/// text8 relay id (at most 64 bytes) and text8 "host:port" (at most 255). Ids are text8 of at most 64 bytes.
///
/// | type | frame    | from   | payload                                                                |
/// |------|----------|--------|------------------------------------------------------------------------|
/// | 41   | HELLO    | dialler | text8 relay id, text8 region                                          |
/// | 42   | WELCOME  | other  | nothing                                                                |
/// | 43   | ASK      | both   | u64 number, u64 player, text8 tunnel, nonce, rendezvous, u8 login      |
/// | 44   | ANSWER   | both   | u64 number of the ASK, u8 outcome, text8 agent key                     |
/// | 45   | REFUSED  | both   | nonce, u8 reason (`RefusalReason`)                                     |
/// | 46   | PRESENCE | both   | u32 answers heard, u16 count, then each: text8 tunnel, u32 players, u64 bytes/s |
/// | 47   | SHARES   | both   | u16 count, then each: text8 tunnel, u64 bytes/s                        |
/// | 48   | FORWARD  | both   | 16 bytes token                                                         |
/// | 49   | PING     | both   | u64 token                                                              |
/// | 4A   | PONG     | both   | u64 token of the PING                                                  |
///
/// The dialler speaks first: HELLO. The other relay knows its certificate from the region's state and answers
/// WELCOME, or closes. ASK: a player waits at the rendezvous, which is the asker; whoever has the tunnel's link sends
/// OPEN over it and says OPENED with the agent key that the link came with (empty when there is none); the answer
/// comes from the asked relay's own link only, so that a question never travels on. `player` is the same in all
/// questions about one player, so that a repeated one is not counted twice. REFUSED passes on what the agent
/// answered to such an OPEN. PRESENCE tells who admitted a tunnel's players how many are at the sender and what they
/// could use; SHARES grants bytes to them; each at most 200 tunnels a frame. FORWARD announces a connection that will begin with this token.
/// Either end sends PING when the connection is quiet and takes silence for a dead relay.
///
/// Growth: a reader skips frames of types and versions it does not know, ignores bytes behind the fields it knows,
/// and reads unknown outcomes as NO_LINK. Types do not overlap those of links: the first frame on a TLS connection
/// tells which of the two it is.
///
/// Examples, each read by a test:
///
///     HELLO    41 01 000006  02 7231 02 6575                         relay "r1" of region "eu"
///     WELCOME  42 01 000000
///     ASK      43 01 00002B  0000000000000007 0000000000000009 02 7431 + 16 bytes + 02 7231 03 683A31 01
///     ANSWER   44 01 00000C  0000000000000007 01 02 6B31             OPENED, the link came with key "k1"
///     REFUSED  45 01 000011  16 bytes + 01                           the local server does not answer
///     PRESENCE 46 01 000015  00000005 0001 02 7431 00000003 0000000000000400
///                                                                    3 players of "t1" could use 1,024 bytes/s
///     SHARES   47 01 00000D  0001 02 7431 0000000000000200           512 bytes/s for those of "t1"
///     FORWARD  48 01 000010  16 bytes
///     PING     49 01 000008  0102030405060708
///     PONG     4A 01 000008  0102030405060708
public enum MeshFrame: Sendable, Hashable {
    case hello(relay: String, region: String)
    case welcome
    case ask(MeshQuestion)
    case answer(number: UInt64, MeshAnswer)
    case refused(Nonce, RefusalReason)
    case presence(PresenceReport)
    case shares(ShareReport)
    case forward(ForwardToken)
    case ping(UInt64)
    case pong(UInt64)

    public static let headerBytes = 5
    public static let maxPayloadBytes = 16 * 1024
    public static let maxIDBytes = 64
    /// What the first byte of a mesh connection is.
    public static let firstByte: UInt8 = 0x41
}

/// Asks for an OPEN on a tunnel's link, for a player who waits at the rendezvous.
public struct MeshQuestion: Sendable, Hashable {
    /// Chosen by the asker; the answer repeats it.
    public var number: UInt64
    /// The same for all questions about one player.
    public var player: UInt64
    public var tunnel: String
    public var nonce: Nonce
    public var rendezvous: Rendezvous
    /// A player, rather than a look at the server list.
    public var isLogin: Bool

    public init(
        number: UInt64, player: UInt64, tunnel: String, nonce: Nonce, rendezvous: Rendezvous, isLogin: Bool
    ) {
        self.number = number
        self.player = player
        self.tunnel = tunnel
        self.nonce = nonce
        self.rendezvous = rendezvous
        self.isLogin = isLogin
    }
}

/// What the asked relay did.
public enum MeshAnswer: Sendable, Hashable {
    /// There is no link here: ask another. Also what an outcome from a newer program reads as.
    case noLink
    /// OPEN went out on the link that came with this agent key.
    case opened(agentKey: String?)
    /// The tunnel has as many players as it may.
    case full
    /// The tunnel was closed here for want of players.
    case asleep
    case suspended
}

/// 128 random bits that let one forwarded connection in, once. It does not print itself.
public struct ForwardToken: Sendable, Hashable, CustomStringConvertible {
    public static let byteCount = 16
    public let bytes: [UInt8]

    /// nil unless there are exactly 16 bytes.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        self.bytes = bytes
    }

    /// The generator must be fit for secrets, as the system's is.
    public init(using random: inout some RandomNumberGenerator) {
        bytes = (0..<Self.byteCount).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    public var description: String { "token" }
}

/// Nonces, tokens and keys never print.
extension MeshFrame: CustomStringConvertible {
    public var description: String {
        switch self {
        case .hello(let relay, let region): "HELLO \(relay) of \(region)"
        case .welcome: "WELCOME"
        case .ask(let question): "ASK \(question.number) for \(question.tunnel)"
        case .answer(let number, let answer):
            if case .opened = answer { "ANSWER \(number): opened" } else { "ANSWER \(number): \(answer)" }
        case .refused(_, let reason): "REFUSED: \(reason)"
        case .presence(let report): "PRESENCE of \(report.rows.count)"
        case .shares(let report): "SHARES of \(report.rows.count)"
        case .forward: "FORWARD"
        case .ping: "PING"
        case .pong: "PONG"
        }
    }
}
