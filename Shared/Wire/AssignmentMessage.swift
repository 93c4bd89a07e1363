import Core
import Crypto

/// What changed in a region from `prevRev` to `rev`.
public struct RegionDelta: Sendable, Hashable {
    public var epoch: Int
    public var region: String
    public var prevRev: Int
    public var rev: Int
    public var upserts: [Assignment]
    /// Ids of tunnels.
    public var deletes: [String]
    public var relays: [RelayInfo]
    /// Whether it spans several revisions and holds each item's newest state, so that it may be applied by anyone
    /// who is at `prevRev` or later. Answers over HTTP are made so.
    public var isCumulative: Bool

    public init(
        epoch: Int, region: String, prevRev: Int, rev: Int, upserts: [Assignment] = [],
        deletes: [String] = [], relays: [RelayInfo] = [], isCumulative: Bool = false
    ) {
        self.epoch = epoch
        self.region = region
        self.prevRev = prevRev
        self.rev = rev
        self.upserts = upserts
        self.deletes = deletes
        self.relays = relays
        self.isCumulative = isCumulative
    }
}

/// A whole region at `rev`.
public struct RegionSnapshot: Sendable, Hashable {
    public var epoch: Int
    public var region: String
    public var rev: Int
    public var assignments: [Assignment]
    public var relays: [RelayInfo]

    public init(
        epoch: Int, region: String, rev: Int, assignments: [Assignment], relays: [RelayInfo]
    ) {
        self.epoch = epoch
        self.region = region
        self.rev = rev
        self.assignments = assignments
        self.relays = relays
    }
}

/// Where a region is, told each second, so that a lost message is noticed.
public struct RegionBeacon: Sendable, Hashable {
    public var epoch: Int
    public var region: String
    public var rev: Int
    /// `RegionDigest.text`.
    public var digest: String
    /// `VerificationKeys.fingerprint` of the keys that count: who has others asks for them. nil when it is not told.
    public var keys: String?

    public init(epoch: Int, region: String, rev: Int, digest: String, keys: String? = nil) {
        self.epoch = epoch
        self.region = region
        self.rev = rev
        self.digest = digest
        self.keys = keys
    }
}

/// What the control plane tells the relays of a region, over Redis or over HTTP: JSON with a `kind`, signed.
public enum AssignmentMessage: Sendable, Hashable {
    case delta(RegionDelta)
    case snapshot(RegionSnapshot)
    case beacon(RegionBeacon)

    public static let type = "minecart-assignments+jws"
    /// About 100,000 tunnels.
    public static let maxBytes = 64 * 1024 * 1024

    /// A beacon that tells these keys; any other message as it is.
    public func telling(keys: String) -> AssignmentMessage {
        guard case .beacon(var beacon) = self else { return self }
        beacon.keys = keys
        return .beacon(beacon)
    }

    public func signed(with key: Ed25519PrivateKey) -> String {
        JWS.sign(json.bytes, type: Self.type, key: key)
    }

    /// Whoever can write to Redis cannot make such a text, and a text for one region does not count in another.
    public static func verify(_ text: String, region: String, keys: VerificationKeys)
        throws(AssignmentMessageError) -> AssignmentMessage
    {
        let payload: [UInt8]
        do {
            payload = try JWS.verify(text, type: type, keys: keys, maxBytes: maxBytes)
        } catch {
            throw .signature(error)
        }
        let message: AssignmentMessage
        do {
            message = try AssignmentMessage(json: JSON.parse(payload))
        } catch let error as WireError {
            throw .content(error)
        } catch {
            throw .content(.badValue(what: "the signed JSON"))
        }
        guard message.region == region else { throw .wrongRegion }
        return message
    }

    /// Whether relays may have come, gone or changed.
    public var tellsOfRelays: Bool {
        switch self {
        case .delta(let delta): !delta.relays.isEmpty
        case .snapshot: true
        case .beacon: false
        }
    }

    public var region: String {
        switch self {
        case .delta(let delta): delta.region
        case .snapshot(let snapshot): snapshot.region
        case .beacon(let beacon): beacon.region
        }
    }
}

/// Why a message about assignments is not believed.
public enum AssignmentMessageError: Error, Sendable, Hashable, CustomStringConvertible {
    case signature(JWSError)
    case content(WireError)
    case wrongRegion

    public var description: String {
        switch self {
        case .signature(let error): error.description
        case .content(let error): error.description
        case .wrongRegion: "the message is for another region"
        }
    }
}

extension AssignmentMessage {
    public var json: JSON {
        switch self {
        case .delta(let delta):
            [
                "kind": "delta", "epoch": .number(delta.epoch), "region": .string(delta.region),
                "prev_rev": .number(delta.prevRev), "rev": .number(delta.rev),
                "upserts": .array(delta.upserts.map(\.json)), "deletes": .texts(delta.deletes),
                "relays": .array(delta.relays.map(\.json)), "cumulative": .bool(delta.isCumulative),
            ]
        case .snapshot(let snapshot):
            [
                "kind": "snapshot", "epoch": .number(snapshot.epoch), "region": .string(snapshot.region),
                "rev": .number(snapshot.rev),
                "assignments": .array(snapshot.assignments.map(\.json)),
                "relays": .array(snapshot.relays.map(\.json)),
            ]
        case .beacon(let beacon):
            [
                "kind": "beacon", "epoch": .number(beacon.epoch), "region": .string(beacon.region),
                "rev": .number(beacon.rev), "digest": .string(beacon.digest), "keys": .text(beacon.keys),
            ]
        }
    }

    public init(json: JSON) throws(WireError) {
        let fields = try JSONFields(json, of: "message")
        let epoch = try fields.integer("epoch")
        let region = try fields.text("region")
        let rev = try fields.integer("rev")
        switch try fields.text("kind") {
        case "delta":
            self = .delta(
                RegionDelta(
                    epoch: epoch, region: region, prevRev: try fields.integer("prev_rev"), rev: rev,
                    upserts: try fields.list("upserts", Assignment.init(json:)),
                    deletes: try fields.texts("deletes"),
                    relays: try fields.list("relays", RelayInfo.init(json:)),
                    isCumulative: try fields.bool("cumulative")))
        case "snapshot":
            self = .snapshot(
                RegionSnapshot(
                    epoch: epoch, region: region, rev: rev,
                    assignments: try fields.list("assignments", Assignment.init(json:)),
                    relays: try fields.list("relays", RelayInfo.init(json:))))
        case "beacon":
            self = .beacon(
                RegionBeacon(
                    epoch: epoch, region: region, rev: rev, digest: try fields.text("digest"),
                    keys: try fields.optionalText("keys")))
        default: throw .badValue(what: "message.kind")
        }
    }
}
