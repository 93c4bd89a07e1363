/// One region as a relay knows it: every assignment and every relay, at one revision of one epoch. Deltas move it
/// forward one by one, a snapshot replaces it, beacons say whether it is right.
///
/// Revisions come from Postgres and follow each other without gaps; an epoch is the reign of one leader.
public struct RegionState: Sendable, Equatable {
    public let region: String
    public private(set) var epoch = 0
    /// 0 until the first snapshot or delta.
    public private(set) var rev = 0
    /// By tunnel id.
    public private(set) var assignments: [String: Assignment] = [:]
    /// By relay id.
    public private(set) var relays: [String: RelayInfo] = [:]
    public private(set) var digest = RegionDigest()
    private var tunnelByHostname: [String: String] = [:]

    public init(region: String) { self.region = region }

    /// What to do after a message.
    public enum Outcome: Sendable, Hashable {
        /// The state changed. Ids of the tunnels that are new, different or gone.
        case applied(tunnels: Set<String>)
        /// The state is what the message describes.
        case current
        /// The message is older than the state: drop it.
        case stale
        /// Something is missing or different here: ask the control plane over HTTP for what follows `rev`.
        case gap
    }

    public subscript(hostname hostname: String) -> Assignment? {
        tunnelByHostname[hostname].flatMap { assignments[$0] }
    }

    public mutating func apply(_ message: AssignmentMessage, fromControlPlane: Bool = false) -> Outcome {
        switch message {
        case .delta(let delta): apply(delta)
        case .snapshot(let snapshot): apply(snapshot, fromControlPlane: fromControlPlane)
        case .beacon(let beacon): check(beacon)
        }
    }

    public mutating func apply(_ delta: RegionDelta) -> Outcome {
        guard delta.region == region, delta.epoch >= epoch else { return .stale }
        // A new leader repeats what the old one may not have sent.
        guard delta.rev > rev else { return .stale }
        guard delta.prevRev <= rev else { return .gap }
        // An answer over HTTP may begin before what came by Redis meanwhile: the items' newest state is the same.
        guard delta.prevRev == rev || delta.isCumulative else { return .gap }
        epoch = delta.epoch
        rev = delta.rev
        var changed: Set<String> = []
        for tunnel in delta.deletes where remove(tunnel: tunnel) { changed.insert(tunnel) }
        for assignment in delta.upserts where insert(assignment) { changed.insert(assignment.tunnel) }
        for relay in delta.relays { insert(relay) }
        return .applied(tunnels: changed)
    }

    /// Takes the place of everything. A snapshot in Redis that is older than this state proves nothing, whatever
    /// its epoch; the control plane's own may go back, after a restore of the database under a new leader.
    public mutating func apply(_ snapshot: RegionSnapshot, fromControlPlane: Bool) -> Outcome {
        guard snapshot.region == region, snapshot.epoch >= epoch else { return .stale }
        if snapshot.rev < rev {
            guard snapshot.epoch > epoch else { return .stale }
            guard fromControlPlane else { return .gap }
        }
        var next = RegionState(region: region)
        next.epoch = snapshot.epoch
        next.rev = snapshot.rev
        for assignment in snapshot.assignments { _ = next.insert(assignment) }
        for relay in snapshot.relays { next.insert(relay) }
        let changed = assignments.keys.filter { next.assignments[$0] != assignments[$0] }
        let added = next.assignments.keys.filter { assignments[$0] == nil }
        self = next
        return .applied(tunnels: Set(changed).union(added))
    }

    public mutating func check(_ beacon: RegionBeacon) -> Outcome {
        guard beacon.region == region, beacon.epoch >= epoch else { return .stale }
        if beacon.rev == rev, beacon.digest == digest.text {
            epoch = beacon.epoch
            return .current
        }
        // Within an epoch a lower revision was only overtaken on its way here.
        return beacon.epoch == epoch && beacon.rev < rev ? .stale : .gap
    }

    public var snapshot: RegionSnapshot {
        RegionSnapshot(
            epoch: epoch, region: region, rev: rev,
            assignments: assignments.values.sorted { $0.tunnel < $1.tunnel },
            relays: relays.values.sorted { $0.id < $1.id })
    }

    public var beacon: RegionBeacon {
        RegionBeacon(epoch: epoch, region: region, rev: rev, digest: digest.text)
    }

    /// Whether it made a difference.
    private mutating func insert(_ assignment: Assignment) -> Bool {
        guard assignments[assignment.tunnel] != assignment else { return false }
        _ = remove(tunnel: assignment.tunnel)
        assignments[assignment.tunnel] = assignment
        digest.add(assignment)
        for hostname in assignment.hostnames { tunnelByHostname[hostname] = assignment.tunnel }
        return true
    }

    private mutating func remove(tunnel: String) -> Bool {
        guard let old = assignments.removeValue(forKey: tunnel) else { return false }
        digest.remove(old)
        // The name may have moved on to another tunnel meanwhile.
        for hostname in old.hostnames where tunnelByHostname[hostname] == tunnel {
            tunnelByHostname[hostname] = nil
        }
        return true
    }

    private mutating func insert(_ relay: RelayInfo) {
        if let old = relays.removeValue(forKey: relay.id) { digest.remove(old) }
        guard relay.state != .removed else { return }
        relays[relay.id] = relay
        digest.add(relay)
    }
}
