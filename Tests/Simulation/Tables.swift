import Core
import Domain
import Wire

/// What is in the database. A transaction is one function on it, which throws before it changes anything.
struct Tables {
    struct LeaseRow {
        var holder: String
        var epoch: Int
        var expires_us: Int
    }

    struct TunnelRow {
        var account: String
        var hostname: String
        var limits: Limits
        var isSuspended = false
    }

    struct PlacementRow {
        var generation: Int
        var session: String?
        var agentKey: String?
        var owner: String?
        var standby: String?
        var previousOwner: String?
        var replacedSessions: [String] = []
        var pastKeys: [String] = []
        var revokedKeys: [String] = []
        var isLinked = false
        var isStandbyLinked = false
    }

    struct RelayRow {
        var info: RelayInfo
        var lastSeen_us: Int
        /// When it last registered anew or changed its state.
        var since_us: Int
    }

    struct OutboxRow {
        var rev: Int
        var upserts: [Assignment]
        var deletes: [String]
        var relays: [RelayInfo]
    }

    static let region = "eu"

    var lease: LeaseRow?
    var rev = 0
    var tunnels: [String: TunnelRow] = [:]
    var placements: [String: PlacementRow] = [:]
    var relays: [String: RelayRow] = [:]
    var revokedKeys: Set<String> = []
    var outbox: [OutboxRow] = []
    var usageReports: Set<String> = []
    /// Bytes by tunnel.
    var usage: [String: Int] = [:]
    /// The region as it is at `rev`, for comparing; the product reads it from the rows.
    private(set) var region = RegionState(region: Tables.region)
    /// The region's digest at each revision.
    private(set) var digests = [RegionDigest()]

    // MARK: revisions

    /// The next revision, with what these tunnels and relays are now.
    mutating func announce(upserts: [String] = [], deletes: [String] = [], relays: [RelayInfo] = []) {
        rev += 1
        let row = OutboxRow(
            rev: rev, upserts: upserts.sorted().compactMap { assignment(of: $0) }, deletes: deletes.sorted(),
            relays: relays.sorted { $0.id < $1.id })
        outbox.append(row)
        _ = region.apply(delta(row, epoch: 1))
        digests.append(region.digest)
    }

    func delta(_ row: OutboxRow, epoch: Int) -> RegionDelta {
        RegionDelta(
            epoch: epoch, region: Self.region, prevRev: row.rev - 1, rev: row.rev, upserts: row.upserts,
            deletes: row.deletes, relays: row.relays)
    }

    func deltas(after rev: Int, epoch: Int, limit: Int) -> [RegionDelta] {
        guard rev < self.rev else { return [] }
        let skipped = outbox.first.map { max(0, rev + 1 - $0.rev) } ?? 0
        return outbox.dropFirst(skipped).prefix(limit).map { delta($0, epoch: epoch) }
    }

    func snapshot(epoch: Int) -> RegionSnapshot {
        RegionSnapshot(
            epoch: epoch, region: Self.region, rev: rev,
            assignments: region.assignments.values.sorted { $0.tunnel < $1.tunnel },
            relays: region.relays.values.sorted { $0.id < $1.id })
    }

    func assignment(of id: String) -> Assignment? {
        guard let tunnel = tunnels[id] else { return nil }
        let placement = placements[id]
        return Assignment(
            tunnel: id, account: tunnel.account, hostnames: [tunnel.hostname], owner: placement?.owner,
            standby: placement?.standby, previousOwner: placement?.previousOwner,
            generation: placement?.generation ?? 0, session: placement?.session, limits: tunnel.limits,
            state: tunnel.isSuspended ? .suspended : placement?.owner == nil ? .offline : .online,
            revokedKeys: placement?.revokedKeys ?? [])
    }

    mutating func giveUpPlacements(epoch: Int) {
        lease = LeaseRow(holder: "", epoch: epoch, expires_us: 0)
        for tunnel in tunnels.keys {
            var row = placements[tunnel] ?? PlacementRow(generation: 0)
            row.generation += 1000
            row.previousOwner = row.owner ?? row.previousOwner
            row.session = nil
            row.agentKey = nil
            row.owner = nil
            row.standby = nil
            row.isLinked = false
            row.isStandbyLinked = false
            placements[tunnel] = row
        }
        announce(upserts: Array(tunnels.keys))
    }

    // MARK: the lease

    struct Lease: Equatable {
        var holder: String
        var epoch: Int
    }

    mutating func holdLease(holder: String, now_us: Int, length_us: Int) -> Lease? {
        guard var row = lease else {
            lease = LeaseRow(holder: holder, epoch: 1, expires_us: now_us + length_us)
            return Lease(holder: holder, epoch: 1)
        }
        let isExpired = row.expires_us <= now_us
        guard row.holder == holder || isExpired else { return nil }
        if row.holder != holder || isExpired { row.epoch += 1 }
        row.holder = holder
        row.expires_us = now_us + length_us
        lease = row
        return Lease(holder: holder, epoch: row.epoch)
    }

    func holds(_ held: Lease, now_us: Int) -> Bool {
        guard let lease else { return false }
        return lease.holder == held.holder && lease.epoch == held.epoch && lease.expires_us > now_us
    }

    var epoch: Int { lease?.epoch ?? 1 }
}

/// Why the database did not do it.
enum StoreFailure: Error, Equatable {
    /// It may have been done all the same.
    case unavailable
    case leaseLost
    case suspended
    case sessionReplaced
    case noRelay
    case notFound
}
