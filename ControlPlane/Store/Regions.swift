import Core
import Domain
import Postgres

/// A region as everybody may see it.
public struct RegionView: Sendable, Hashable {
    public var id: String
    public var name: String
    /// Where agents measure how far it is: "host:port" of its active relays.
    public var endpoints: [String]
}

extension Store {
    private static let maxEndpoints = 5

    public func regionIDs() async throws(StoreError) -> [String] {
        try await transaction(.none) { tx in
            try tx.query("SELECT id FROM regions ORDER BY id").map { try $0["id"] }
        }
    }

    public func regions() async throws(StoreError) -> [RegionView] {
        try await transaction { tx in
            var regions = try tx.query("SELECT id, name FROM regions ORDER BY id").map { row in
                RegionView(id: try row["id"], name: try row["name"], endpoints: [])
            }
            let relays = try tx.query(
                """
                SELECT DISTINCT region_id, endpoint FROM relays WHERE state = 'active'
                ORDER BY region_id, endpoint
                """
            ).map { row in (region: try row["region_id"] as String, endpoint: try row["endpoint"] as String) }
            for index in regions.indices {
                regions[index].endpoints = relays.filter { $0.region == regions[index].id }
                    .prefix(Self.maxEndpoints).map(\.endpoint)
            }
            return regions
        }
    }

    /// Makes the region if it does not exist.
    public func ensureRegion(
        _ id: String, name: String, actor: Actor = .system("regions")
    ) async throws(StoreError) {
        try await transaction { tx in
            let made = try tx.query(
                "INSERT INTO regions (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", id, name)
            guard made.affected == 1 else { return }
            try tx.audit(
                "region.create", actor: actor, account: nil, subject: id, after: ["name": .string(name)])
        }
    }
}

extension Transaction {
    /// Takes the region's lock until the end of the transaction and gives its next revision: commit order is
    /// revision order. Lock keys and tunnels before it, never after.
    mutating func nextRevision(of region: String) throws -> Int {
        let updated = try query("UPDATE regions SET rev = rev + 1 WHERE id = $1 RETURNING rev", region)
        guard let row = updated.first else { throw StoreError.unknownRegion(region) }
        return try row["rev"]
    }
}
