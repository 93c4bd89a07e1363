import Core

/// What a relay tells each second about itself: over the Redis channel `load:{region}`, in its heartbeat key, and
/// over HTTP while Redis is away.
public struct LoadReport: Sendable, Hashable {
    public var relay: String
    public var region: String
    public var players: Int
    /// Agents connected here, those that stand by included.
    public var links: Int
    /// Those whose tunnels have another owner.
    public var standbyLinks: Int
    /// All sockets of players and agents.
    public var connections: Int
    public var bytes_per_s: Int
    /// Processor time used of one core, in thousandths; above 1000 with several loops.
    public var cpu_permille: Int
    /// What it could use at most: 1000 for each core.
    public var cpuLimit_permille: Int
    public var freeDescriptors: Int
    /// How far this relay has applied assignments.
    public var epoch: Int
    public var rev: Int
    public var digest: String
    public var draining: Bool

    /// How long a heartbeat key lives.
    public static let heartbeat_ms = 3000
    /// A report is a few hundred bytes; more is not one.
    public static let maxBytes = 4096

    public init(
        relay: String, region: String, players: Int = 0, links: Int = 0, standbyLinks: Int = 0,
        connections: Int = 0, bytes_per_s: Int = 0, cpu_permille: Int = 0, cpuLimit_permille: Int = 1000,
        freeDescriptors: Int = 16_384, epoch: Int = 0, rev: Int = 0, digest: String = "",
        draining: Bool = false
    ) {
        self.relay = relay
        self.region = region
        self.players = players
        self.links = links
        self.standbyLinks = standbyLinks
        self.connections = connections
        self.bytes_per_s = bytes_per_s
        self.cpu_permille = cpu_permille
        self.cpuLimit_permille = cpuLimit_permille
        self.freeDescriptors = freeDescriptors
        self.epoch = epoch
        self.rev = rev
        self.digest = digest
        self.draining = draining
    }

    public static func channel(region: String) -> String { "load:\(region)" }
    /// The sorted set of relay ids by score.
    public static func ranking(region: String) -> String { "load:\(region)" }
    public static func heartbeat(relay: String) -> String { "heartbeat:\(relay)" }

    public var json: JSON {
        [
            "relay": .string(relay), "region": .string(region), "players": .number(players),
            "links": .number(links), "standby_links": .number(standbyLinks),
            "connections": .number(connections), "bytes_per_s": .number(bytes_per_s),
            "cpu_permille": .number(cpu_permille), "cpu_limit_permille": .number(cpuLimit_permille),
            "free_descriptors": .number(freeDescriptors), "epoch": .number(epoch), "rev": .number(rev),
            "digest": .string(digest), "draining": .bool(draining),
        ]
    }

    public init(json: JSON) throws(WireError) {
        let fields = try JSONFields(json, of: "load")
        relay = try fields.text("relay")
        region = try fields.text("region")
        players = try fields.integer("players")
        links = try fields.integer("links")
        standbyLinks = try fields.optionalInteger("standby_links") ?? 0
        connections = try fields.optionalInteger("connections") ?? 0
        bytes_per_s = try fields.integer("bytes_per_s")
        cpu_permille = try fields.integer("cpu_permille")
        cpuLimit_permille = try fields.optionalInteger("cpu_limit_permille") ?? 1000
        freeDescriptors = try fields.integer("free_descriptors")
        epoch = try fields.integer("epoch")
        rev = try fields.integer("rev")
        digest = try fields.text("digest")
        draining = try fields.bool("draining")
    }
}
