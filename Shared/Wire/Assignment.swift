import Core

/// What the relays of a region are told about one tunnel.
public struct Assignment: Sendable, Hashable {
    public var tunnel: String
    public var account: String
    /// Every name that leads to the tunnel, in lower case.
    public var hostnames: [String]
    /// Relay ids; nil while there is none.
    public var owner: String?
    public var standby: String?
    public var previousOwner: String?
    /// Grows whenever session, owner or standby change.
    public var generation: Int
    /// The agent session that the placement was made for.
    public var session: String?
    public var limits: Limits
    public var state: TunnelState
    /// Agent keys that had the tunnel and are worth nothing any more: what came with them ends, players included.
    public var revokedKeys: [String]

    public init(
        tunnel: String, account: String, hostnames: [String], owner: String? = nil, standby: String? = nil,
        previousOwner: String? = nil, generation: Int, session: String? = nil, limits: Limits = .none,
        state: TunnelState, revokedKeys: [String] = []
    ) {
        self.tunnel = tunnel
        self.account = account
        self.hostnames = hostnames
        self.owner = owner
        self.standby = standby
        self.previousOwner = previousOwner
        self.generation = generation
        self.session = session
        self.limits = limits
        self.state = state
        self.revokedKeys = revokedKeys
    }
}

/// The four states that a tunnel shows to everyone.
public enum TunnelState: String, Sendable, Hashable, CaseIterable {
    case offline, connecting, online, suspended
}

/// What the relays and agents of a region need to know about one relay.
public struct RelayInfo: Sendable, Hashable {
    public var id: String
    public var region: String
    /// "host:port" for players and agents.
    public var endpoint: String
    /// "host:port" for other relays, in the private network.
    public var meshAddress: String?
    /// SHA-256 of its certificate, lower-case hex.
    public var fingerprint: String
    public var state: RelayState
    /// Whether several relays share the endpoint, so that a connection may land on a neighbour.
    public var sharedEntry: Bool

    public init(
        id: String, region: String, endpoint: String, meshAddress: String? = nil, fingerprint: String,
        state: RelayState = .active, sharedEntry: Bool = false
    ) {
        self.id = id
        self.region = region
        self.endpoint = endpoint
        self.meshAddress = meshAddress
        self.fingerprint = fingerprint
        self.state = state
        self.sharedEntry = sharedEntry
    }
}

public enum RelayState: String, Sendable, Hashable, CaseIterable {
    case active
    /// Keeps its players, takes no new placements.
    case draining
    /// Silent for too long.
    case lost
    /// Gone for good: whoever is told so forgets it.
    case removed
}

extension Assignment {
    public var json: JSON {
        [
            "tunnel": .string(tunnel), "account": .string(account), "hostnames": .texts(hostnames),
            "owner": .text(owner), "standby": .text(standby), "previous_owner": .text(previousOwner),
            "generation": .number(generation), "session": .text(session), "limits": limits.json,
            "state": .string(state.rawValue), "revoked_keys": .texts(revokedKeys),
        ]
    }

    public init(json: JSON) throws(WireError) {
        let fields = try JSONFields(json, of: "assignment")
        tunnel = try fields.text("tunnel")
        account = try fields.text("account")
        hostnames = try fields.texts("hostnames")
        owner = try fields.optionalText("owner")
        standby = try fields.optionalText("standby")
        previousOwner = try fields.optionalText("previous_owner")
        generation = try fields.integer("generation")
        session = try fields.optionalText("session")
        limits = try Limits(fields.object("limits"))
        guard let state = TunnelState(rawValue: try fields.text("state")) else {
            throw .badValue(what: "assignment.state")
        }
        self.state = state
        revokedKeys = try fields.optionalTexts("revoked_keys")
    }
}

extension RelayInfo {
    public var json: JSON {
        [
            "id": .string(id), "region": .string(region), "endpoint": .string(endpoint),
            "mesh_address": .text(meshAddress), "fingerprint": .string(fingerprint),
            "state": .string(state.rawValue), "shared_entry": .bool(sharedEntry),
        ]
    }

    public init(json: JSON) throws(WireError) {
        let fields = try JSONFields(json, of: "relay")
        id = try fields.text("id")
        region = try fields.text("region")
        endpoint = try fields.text("endpoint")
        meshAddress = try fields.optionalText("mesh_address")
        fingerprint = try fields.text("fingerprint")
        guard let state = RelayState(rawValue: try fields.text("state")) else {
            throw .badValue(what: "relay.state")
        }
        self.state = state
        sharedEntry = try fields.bool("shared_entry")
    }
}
