import Core
import Crypto

/// A fingerprint of a region's whole state that does not depend on order and is kept up to date item by item: the
/// sum of the items' SHA-256 values, each taken as four numbers that wrap around. Equal states have equal digests,
/// so a relay notices from a beacon that it differs. It finds lost messages, it does not fend off forgers: the
/// signature does.
///
/// An item is hashed as a JSON array of the fields listed here. A field that is added to the message later is not
/// part of it, or old and new programs would never agree.
public struct RegionDigest: Sendable, Hashable {
    private var lanes: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    public init() {}

    /// 64 lower-case hex digits.
    public var text: String {
        Hex.encode(
            [lanes.0, lanes.1, lanes.2, lanes.3].flatMap { lane in
                (0..<8).map { UInt8(truncatingIfNeeded: lane >> UInt64(8 * (7 - $0))) }
            })
    }

    public static func == (left: RegionDigest, right: RegionDigest) -> Bool { left.lanes == right.lanes }

    public func hash(into hasher: inout Hasher) { hasher.combine(lanes.0) }

    mutating func add(_ item: Assignment) { add(Self.sum(item.digestedFields)) }

    mutating func remove(_ item: Assignment) { remove(Self.sum(item.digestedFields)) }

    mutating func add(_ item: RelayInfo) { add(Self.sum(item.digestedFields)) }

    mutating func remove(_ item: RelayInfo) { remove(Self.sum(item.digestedFields)) }

    private mutating func add(_ sum: [UInt64]) {
        lanes = (lanes.0 &+ sum[0], lanes.1 &+ sum[1], lanes.2 &+ sum[2], lanes.3 &+ sum[3])
    }

    private mutating func remove(_ sum: [UInt64]) {
        lanes = (lanes.0 &- sum[0], lanes.1 &- sum[1], lanes.2 &- sum[2], lanes.3 &- sum[3])
    }

    private static func sum(_ fields: JSON) -> [UInt64] {
        let hash = SHA256.hash(fields.bytes)
        return (0..<4).map { lane in hash[8 * lane..<8 * lane + 8].reduce(0) { $0 << 8 | UInt64($1) } }
    }
}

extension Assignment {
    fileprivate var digestedFields: JSON {
        [
            "assignment", .string(tunnel), .string(account), .texts(hostnames), .text(owner), .text(standby),
            .text(previousOwner), .number(generation), .text(session), .number(limits.players),
            .number(limits.bytes_per_s), .number(limits.idle_timeout_s), .string(state.rawValue),
        ]
    }
}

extension RelayInfo {
    fileprivate var digestedFields: JSON {
        [
            "relay", .string(id), .string(region), .string(endpoint), .text(meshAddress),
            .string(fingerprint),
            .string(state.rawValue), .bool(sharedEntry),
        ]
    }
}
