import Core
import Crypto

/// The right of one agent session to take one placement at one relay: a signed token that the control plane issues
/// and the relay checks without asking anyone. It carries hostnames and limits, so that a relay whose assignment is
/// late can serve.
public struct Ticket: Sendable, Hashable {
    public enum Role: String, Sendable, Hashable {
        case owner, standby
    }

    public static let type = "minecart-ticket+jwt"
    public static let issuer = "minecart"
    /// How long a ticket is good for its first use.
    public static let lifetime_s: Int64 = 300
    /// How much longer the same placement may be taken again while the control plane is unreachable.
    public static let grace_s: Int64 = 24 * 3600

    /// Relay id: the audience.
    public var relay: String
    public var tunnel: String
    public var account: String
    public var session: String
    /// The agent key that the placement was made with; nil in tickets of older control planes.
    public var agentKey: String?
    public var generation: Int
    public var role: Role
    public var region: String
    public var hostnames: [String]
    public var limits: Limits
    public var issuedAt: WallTime
    public var expiresAt: WallTime

    public init(
        relay: String, tunnel: String, account: String, session: String, agentKey: String? = nil,
        generation: Int, role: Role = .owner, region: String, hostnames: [String], limits: Limits,
        issuedAt: WallTime
    ) {
        self.relay = relay
        self.tunnel = tunnel
        self.account = account
        self.session = session
        self.agentKey = agentKey
        self.generation = generation
        self.role = role
        self.region = region
        self.hostnames = hostnames
        self.limits = limits
        self.issuedAt = issuedAt
        self.expiresAt = issuedAt + Self.lifetime_s
    }

    public func signed(with key: Ed25519PrivateKey) -> String {
        JWT.sign(claims: claims, type: Self.type, key: key)
    }

    /// The ticket, if it was signed by one of `keys`, is meant for `relay` and is not too old. Pass `grace_s` when
    /// the bearer held this placement before and the control plane cannot be asked; whether the generation is the
    /// newest is the caller's to check.
    public static func verify(
        _ token: String, relay: String, keys: VerificationKeys, now: WallTime, grace_s: Int64 = 0
    ) throws(TicketError) -> Ticket {
        let claims: JSONObject
        do {
            claims = try JWT.verify(
                token, type: type, issuer: issuer, audience: relay, keys: keys, now: now, grace_s: grace_s,
                maxBytes: LinkFrame.maxTicketBytes)
        } catch {
            throw .token(error)
        }
        do {
            return try Ticket(claims: claims)
        } catch {
            throw .claims(error)
        }
    }
}

/// Why a ticket is refused.
public enum TicketError: Error, Sendable, Hashable, CustomStringConvertible {
    case token(JWTError)
    case claims(WireError)

    public var description: String {
        switch self {
        case .token(let error): error.description
        case .claims(let error): error.description
        }
    }
}

extension Ticket {
    var claims: JSONObject {
        [
            "iss": .string(Self.issuer), "aud": .string(relay), "sub": .string(tunnel),
            "account": .string(account), "session": .string(session), "agent_key": .text(agentKey),
            "generation": .number(generation),
            "role": .string(role.rawValue), "region": .string(region), "hostnames": .texts(hostnames),
            "limits": limits.json, "iat": .integer(issuedAt.seconds), "exp": .integer(expiresAt.seconds),
        ]
    }

    init(claims: JSONObject) throws(WireError) {
        let fields = JSONFields(claims, of: "ticket")
        relay = try fields.text("aud")
        tunnel = try fields.text("sub")
        account = try fields.text("account")
        session = try fields.text("session")
        agentKey = try fields.optionalText("agent_key")
        generation = try fields.integer("generation")
        guard let role = Role(rawValue: try fields.text("role")) else {
            throw .badValue(what: "ticket.role")
        }
        self.role = role
        region = try fields.text("region")
        hostnames = try fields.texts("hostnames")
        limits = try Limits(fields.object("limits"))
        issuedAt = WallTime(seconds: Int64(try fields.integer("iat")))
        expiresAt = WallTime(seconds: Int64(try fields.integer("exp")))
    }
}
