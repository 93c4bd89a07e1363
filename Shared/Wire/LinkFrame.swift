import Core

/// One control frame of a link: the TLS connection from an agent to the relay that owns its tunnel.
///
/// # The link protocol
///
/// A frame is a header of five bytes and a payload:
///
///     u8 type | u8 version | u24 length of the payload | payload (at most 16,384 bytes)
///
/// Integers are big-endian. `text8` and `text16` are UTF-8 behind a length of one or two bytes. A `nonce` is 16
/// bytes. A `rendezvous` is text8 relay id (at most 64 bytes) and text8 "host:port" (at most 255). `limits` are
/// u32 players, u64 bytes/s, u32 seconds without any player before the tunnel is closed; all bits set is no limit.
///
/// | type | frame   | from  | payload                          |
/// |------|---------|-------|----------------------------------|
/// | 01   | HELLO   | agent | text16 ticket (at most 8,192)    |
/// | 02   | WELCOME | relay | limits                           |
/// | 03   | PARK    | relay | rendezvous, u8 count, nonces     |
/// | 04   | OPEN    | relay | nonce, rendezvous                |
/// | 05   | REFUSE  | agent | nonce, rendezvous, u8 reason     |
/// | 06   | PING    | both  | u64 token                        |
/// | 07   | PONG    | both  | u64 token of the PING            |
/// | 08   | MIGRATE | relay | u32 within ms, u8 leave           |
/// | 09   | LIMITS  | relay | limits                           |
/// | 0A   | GOAWAY  | both  | u32 reconnect in ms, u8 reason   |
///
/// The agent speaks first: HELLO. The relay answers WELCOME, or GOAWAY and closes. Then the relay asks for data
/// connections (see `Preamble`): PARK for later, at most 64 nonces a frame, OPEN for a player who waits. The agent
/// dials, or answers REFUSE. Either end sends PING when the link is quiet and takes a missing PONG for a dead link.
/// MIGRATE asks the agent to fetch its placement, which changed, or, with leave 01, to get one at other relays, and
/// to let links go only when the new ones are up. A HELLO on an open link brings the newer ticket; WELCOME answers
/// it. After GOAWAY the sender takes no new work and closes; running players stay.
///
/// Growth: a reader skips frames of types and versions it does not know, ignores bytes behind the fields it knows,
/// and reads unknown reasons as 00. So a new field is appended, and a changed one gets a new version or type.
///
/// Examples, each read by a test:
///
///     HELLO   01 01 000005  0003 612E62                      ticket "a.b"
///     WELCOME 02 01 000010  00000014 00000000000F4240 FFFFFFFF
///                                                            20 players, 1,000,000 bytes/s, any idle time
///     PARK    03 01 000018  02 7231 03 683A31 01 + 16 bytes  relay "r1" at "h:1"
///     OPEN    04 01 000017  16 bytes + 02 7231 03 683A31
///     REFUSE  05 01 000018  16 bytes + 02 7231 03 683A31 01  the local server does not answer
///     PING    06 01 000008  0102030405060708
///     PONG    07 01 000008  0102030405060708
///     MIGRATE 08 01 000005  00007530 01                      leave this relay within 30 s
///     LIMITS  09 01 000010  00000000 0000000000000400 0000003C
///     GOAWAY  0A 01 000005  000003E8 01                      the relay drains, come back in 1 s
public enum LinkFrame: Sendable, Hashable {
    case hello(ticket: String)
    case welcome(Limits)
    case park([Nonce], Rendezvous)
    case open(Nonce, Rendezvous)
    case refuse(Nonce, Rendezvous, RefusalReason)
    case ping(UInt64)
    case pong(UInt64)
    /// `leave`: this relay ends or has no more to do with the tunnel; otherwise only the placement is to be fetched.
    case migrate(within: Milliseconds, leave: Bool)
    case limits(Limits)
    case goAway(reconnectIn: Milliseconds, GoAwayReason)

    public static let headerBytes = 5
    public static let maxPayloadBytes = 16 * 1024
    public static let maxTicketBytes = 8 * 1024
    /// Nonces in one PARK; more are cut when it is written and refused when it is read.
    public static let maxParkedNonces = 64
}

/// Why an agent does not bring a data connection, or brings it without a server behind it.
public enum RefusalReason: UInt8, Sendable, Hashable {
    /// Also what a reason from a newer program reads as.
    case unspecified = 0
    /// Nothing accepts connections at the agent's local address.
    case localServerUnreachable = 1
    /// The agent holds as many players as it can.
    case busy = 2
    /// The agent ends.
    case stopping = 3
    /// The agent cannot reach the rendezvous (REFUSE on the link only).
    case rendezvousUnreachable = 4
}

/// Why a link ends.
public enum GoAwayReason: UInt8, Sendable, Hashable {
    /// Also what a reason from a newer program reads as: reconnect.
    case unspecified = 0
    /// This relay stops or restarts.
    case draining = 1
    /// A newer session of the same tunnel took over: stop instead of fighting.
    case replaced = 2
    /// The agent's key, the tunnel or the account is gone or suspended.
    case revoked = 3
    /// The ticket is not valid at this relay: ask for a new placement.
    case ticketRefused = 4
    /// The placement moved on: ask for the current one.
    case staleGeneration = 5
    /// What was sent is not this protocol.
    case protocolError = 6
    /// This relay has no room: ask for another.
    case overloaded = 7
    /// The sender ends on purpose, for example because a person stopped the agent.
    case stopping = 8
    /// Nobody has played for as long as the tunnel's limits allow: come back when a person wants it open again.
    case idle = 9

    /// Whether coming back would be wrong until a person does something.
    public var isFinal: Bool { self == .replaced || self == .revoked || self == .idle }
}

/// Tickets and nonces never print.
extension LinkFrame: CustomStringConvertible {
    public var description: String {
        switch self {
        case .hello: "HELLO"
        case .welcome(let limits): "WELCOME \(limits)"
        case .park(let nonces, let rendezvous): "PARK \(nonces.count) at \(rendezvous.relay)"
        case .open(_, let rendezvous): "OPEN at \(rendezvous.relay)"
        case .refuse(_, let rendezvous, let reason): "REFUSE at \(rendezvous.relay): \(reason)"
        case .ping: "PING"
        case .pong: "PONG"
        case .migrate(let within, let leave): "MIGRATE within \(within.count) ms, leave: \(leave)"
        case .limits(let limits): "LIMITS \(limits)"
        case .goAway(let reconnectIn, let reason): "GOAWAY \(reason), reconnect in \(reconnectIn.count) ms"
        }
    }
}
