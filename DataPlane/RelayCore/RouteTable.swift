import Core
import Wire

/// Where the tunnels of a region are, as far as one relay knows: the region's assignments, and the tickets of the
/// links that are here.
public struct RouteTable: Sendable {
    public enum Answer: Sendable, Hashable {
        /// This relay has the link, or should have.
        case here(tunnel: String, Limits)
        /// Other relays should have the link, and are asked.
        case elsewhere(tunnel: String, Limits)
        /// The name exists, no agent has taken a placement.
        case unplaced
        /// A link that is here brought the name, its assignment is on the way: ask again in a moment.
        case soon
        case suspended
        /// Closed because nobody played; its agent waits for its owner.
        case asleep
        case unknown
    }

    private struct Local: Sendable {
        let ticket: Ticket
        let since: Instant
    }

    /// nil before anything was applied.
    public private(set) var region: RegionState?
    /// The region is what an earlier run kept, and nobody has confirmed or continued it since.
    private var isFromFile = false
    private var links: [String: Local] = [:]
    private var linkByHostname: [String: String] = [:]
    /// Tunnels with a link here that `region` does not know: their assignments are late, or they were deleted before
    /// this relay heard of them.
    private var unassigned: Set<String> = []
    /// Tunnels that were closed here for want of players, with the generation that was.
    private var asleep: [String: Int] = [:]
    /// Tunnels that were deleted, with the last generation: a ticket issued before is worth nothing.
    private var deleted: [String: (generation: Int, until: Instant)] = [:]

    /// An assignment that is late is not waited for longer: the ticket then counts.
    public static let provisionalAfter = Milliseconds.seconds(2)
    /// A link whose tunnel is unknown for longer than any answer is held up is one of a tunnel that is no more.
    static let assignmentLimit = Milliseconds.seconds(30)
    private static let rememberDeleted = Milliseconds.seconds(Int(2 * Ticket.lifetime_s))

    public init() {}

    /// `hostname` in lower case, without a dot at its end; `relay` is the relay that asks.
    public func find(_ hostname: String, relay: String, now: Instant) -> Answer {
        if let assignment = region?[hostname: hostname] {
            let local = links[assignment.tunnel]
            if assignment.state == .suspended { return .suspended }
            if isAsleep(assignment, at: relay) { return .asleep }
            if let local {
                // The link's generation may be one that this copy of the assignments does not know yet.
                let isNewer = local.ticket.generation > assignment.generation
                return .here(
                    tunnel: assignment.tunnel, isNewer ? local.ticket.limits : assignment.limits)
            }
            if assignment.owner == relay { return .here(tunnel: assignment.tunnel, assignment.limits) }
            guard assignment.owner != nil else { return .unplaced }
            return .elsewhere(tunnel: assignment.tunnel, assignment.limits)
        }
        guard let tunnel = linkByHostname[hostname], let local = links[tunnel] else { return .unknown }
        // The tunnel's assignment is here and does not have the name any more.
        if let assignment = region?.assignments[tunnel], assignment.generation >= local.ticket.generation {
            return .unknown
        }
        let isLate = now.since(local.since) >= Self.provisionalAfter
        return isLate ? .here(tunnel: tunnel, local.ticket.limits) : .soon
    }

    /// What a relay without a link of the tunnel answers another relay that asks for a player.
    public func answer(_ tunnel: String, relay: String) -> MeshAnswer {
        guard let assignment = region?.assignments[tunnel] else { return .noLink }
        if assignment.state == .suspended { return .suspended }
        return isAsleep(assignment, at: relay) ? .asleep : .noLink
    }

    private func isAsleep(_ assignment: Assignment, at relay: String) -> Bool {
        guard assignment.owner == relay, let asleep = asleep[assignment.tunnel] else { return false }
        return asleep >= assignment.generation
    }

    // MARK: links

    /// Links here whose tunnels have another owner.
    public var standbyLinks: Int { links.values.count { $0.ticket.role == .standby } }

    /// A new link, or an open one with a newer ticket.
    public mutating func linkUp(_ ticket: Ticket, now: Instant) {
        let since = links[ticket.tunnel]?.since ?? now
        linkDown(tunnel: ticket.tunnel)
        asleep[ticket.tunnel] = nil
        links[ticket.tunnel] = Local(ticket: ticket, since: since)
        for hostname in ticket.hostnames { linkByHostname[hostname] = ticket.tunnel }
        if region?.assignments[ticket.tunnel] == nil { unassigned.insert(ticket.tunnel) }
    }

    public mutating func linkDown(tunnel: String) {
        unassigned.remove(tunnel)
        guard let gone = links.removeValue(forKey: tunnel) else { return }
        for hostname in gone.ticket.hostnames where linkByHostname[hostname] == tunnel {
            linkByHostname[hostname] = nil
        }
    }

    /// Until the next link, or until the placement moves on.
    public mutating func fellAsleep(_ tunnel: String, generation: Int) { asleep[tunnel] = generation }

    // MARK: assignments

    public func assignment(of tunnel: String) -> Assignment? { region?.assignments[tunnel] }

    /// The newest generation known from assignments, those of deleted tunnels (which admit only newer ones)
    /// included.
    public func generation(of tunnel: String) -> Int? {
        region?.assignments[tunnel]?.generation ?? deleted[tunnel].map { $0.generation + 1 }
    }

    /// The limits of an assignment that is at least of this generation.
    public func limits(of tunnel: String, generation: Int) -> Limits? {
        guard let assignment = region?.assignments[tunnel], assignment.generation >= generation else {
            return nil
        }
        return assignment.limits
    }

    /// Where the copy of the region stands; nil before anything was applied.
    public var position: RegionBeacon? { region?.beacon }

    /// Begins with what an earlier run kept.
    public mutating func restore(_ snapshot: RegionSnapshot) {
        var region = RegionState(region: snapshot.region)
        _ = region.apply(snapshot, fromControlPlane: false)
        self.region = region
        isFromFile = true
    }

    /// The control plane's first word after a start counts whatever a file says: its database may have been restored
    /// from a backup, or be another one, where epochs and revisions are lower. nil: the ordinary rules apply.
    private func restart(
        _ message: AssignmentMessage, _ fromControlPlane: Bool, _ region: inout RegionState
    ) -> RegionState.Outcome? {
        guard isFromFile, fromControlPlane, case .snapshot(let snapshot) = message else { return nil }
        let before = Set(region.assignments.keys)
        region = RegionState(region: region.region)
        guard case .applied(let added) = region.apply(snapshot, fromControlPlane: true) else { return .stale }
        return .applied(tunnels: before.union(added))
    }

    /// As `RegionState.apply`; `applied` also names tunnels whose links have to go although nothing was known of them.
    public mutating func apply(
        _ message: AssignmentMessage, fromControlPlane: Bool, now: Instant
    ) -> RegionState.Outcome {
        var region = self.region.take() ?? RegionState(region: message.region)
        let deletions = Self.deletions(in: message, of: region)
        var outcome =
            restart(message, fromControlPlane, &region)
            ?? region.apply(message, fromControlPlane: fromControlPlane)
        switch outcome {
        case .applied(var changed):
            isFromFile = false
            deleted = deleted.filter { $0.value.until > now }
            for tunnel in deletions where unassigned.contains(tunnel) { changed.insert(tunnel) }
            for tunnel in deletions where region.assignments[tunnel] == nil {
                deleted[tunnel] = (.max - 1, now + Self.rememberDeleted)
            }
            unassigned = unassigned.filter { region.assignments[$0] == nil }
            changed.formUnion(overdue(now))
            for tunnel in changed {
                guard let asleep = asleep[tunnel] else { continue }
                if asleep < region.assignments[tunnel]?.generation ?? .max { self.asleep[tunnel] = nil }
            }
            outcome = .applied(tunnels: changed)
        case .current:
            isFromFile = false
            let overdue = overdue(now)
            if !overdue.isEmpty { outcome = .applied(tunnels: overdue) }
        case .stale, .gap: break
        }
        self.region = consume region
        return outcome
    }

    /// Tunnels with a link here that are unknown for too long, which from now on count as deleted.
    private mutating func overdue(_ now: Instant) -> Set<String> {
        guard !unassigned.isEmpty else { return [] }
        let overdue = unassigned.filter { tunnel in
            links[tunnel].map { now.since($0.since) >= Self.assignmentLimit } ?? false
        }
        for tunnel in overdue where deleted[tunnel] == nil {
            guard let generation = links[tunnel]?.ticket.generation else { continue }
            deleted[tunnel] = (generation, now + Self.rememberDeleted)
        }
        return overdue
    }

    /// What a message may delete. Tunnels do not come back: no generation of them is worth anything, also none that
    /// was placed and deleted before this relay heard of either.
    private static func deletions(in message: AssignmentMessage, of region: RegionState) -> Set<String> {
        switch message {
        case .delta(let delta): Set(delta.deletes)
        case .snapshot: Set(region.assignments.keys)
        case .beacon: []
        }
    }
}
