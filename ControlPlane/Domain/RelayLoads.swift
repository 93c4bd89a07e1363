import Core
import Wire

/// Whether a relay takes more placements.
public enum RelayRoom: Int, Sendable, Hashable, Comparable {
    case plenty
    /// For plans with priority only.
    case scarce
    case none

    public static func < (left: RelayRoom, right: RelayRoom) -> Bool { left.rawValue < right.rawValue }
}

/// What relays last said about their load, and what we have put on them since. Without the second part a storm of
/// placements between two reports would land on one relay.
public struct RelayLoads: Sendable {
    /// A relay that reported within this time is known to be alive.
    public static let fresh = Milliseconds(3500)
    /// A placement counts until the first report made this long after it: by then its link shows in the report.
    static let settling = Milliseconds(1500)
    /// Agents that never came do not count for ever.
    static let pendingLimit = Milliseconds.seconds(10)
    /// The least loaded of so many, drawn by lot, is taken: control planes that do not see each other's placements
    /// would otherwise all take the same one.
    public static let candidates = 4

    private struct Entry {
        var report: LoadReport
        var heard: Instant
    }

    private var entries: [String: Entry] = [:]
    /// When any relay was heard.
    private var lastHeard: Instant?
    private var pending: [String: PendingLinks] = [:]
    /// Where a tunnel's links are awaited: asking again moves them rather than counting twice.
    private var awaited: [String: [String]] = [:]

    public init() {}

    public mutating func report(_ report: LoadReport, now: Instant) {
        entries[report.relay] = Entry(report: report, heard: now)
        lastHeard = now
        settle(report.relay, before: now, by: Self.settling)
    }

    /// Counts the links that a placement of ours will bring; nil where there is one already.
    public mutating func placed(tunnel: String, owner: String?, standby: String?, now: Instant) {
        for relay in pending.keys { settle(relay, before: now, by: Self.pendingLimit) }
        for relay in awaited.removeValue(forKey: tunnel) ?? [] { pending[relay]?.remove(tunnel) }
        if let owner {
            pending[owner, default: PendingLinks()].add(tunnel, .owner, now)
            awaited[tunnel, default: []].append(owner)
        }
        if let standby {
            pending[standby, default: PendingLinks()].add(tunnel, .standby, now)
            awaited[tunnel, default: []].append(standby)
        }
    }

    /// Forgets what was put on a relay at least `age` ago.
    private mutating func settle(_ relay: String, before now: Instant, by age: Milliseconds) {
        for tunnel in pending[relay]?.settle(now, age) ?? [] {
            awaited[tunnel]?.removeAll { $0 == relay }
            if awaited[tunnel]?.isEmpty == true { awaited[tunnel] = nil }
        }
        if pending[relay]?.isEmpty == true { pending[relay] = nil }
    }

    public mutating func forget(_ relay: String) {
        entries[relay] = nil
        pending[relay] = nil
    }

    /// The last report, whatever its age.
    public subscript(relay: String) -> LoadReport? { entries[relay]?.report }

    public func heard(_ relay: String) -> Instant? { entries[relay]?.heard }

    public func isFresh(_ relay: String, now: Instant) -> Bool {
        guard let heard = entries[relay]?.heard else { return false }
        return now.since(heard) <= Self.fresh
    }

    /// Whether it reported before and does not any more, while others do: when nobody is heard, it is our ears.
    public func isSilent(_ relay: String, now: Instant) -> Bool {
        guard entries[relay] != nil, !isFresh(relay, now: now), let lastHeard else { return false }
        return now.since(lastHeard) <= Self.fresh
    }

    /// All that were ever heard of.
    public var relays: [String] { entries.keys.sorted() }

    /// Relays heard of since `instant`.
    public func heardSince(_ instant: Instant) -> [String] {
        entries.filter { $0.value.heard >= instant }.map(\.key).sorted()
    }

    public func isDraining(_ relay: String) -> Bool { entries[relay]?.report.draining ?? false }

    /// Lower is better. A relay that never reported counts by what we put on it.
    public func score(_ relay: String, as role: Ticket.Role = .owner, now: Instant) -> Int {
        let coming = pending[relay]?.counts(now, Self.pendingLimit) ?? (owners: 0, standbys: 0)
        var report = entries[relay]?.report ?? LoadReport(relay: relay, region: "")
        report.links += coming.owners + coming.standbys
        report.standbyLinks += coming.standbys
        // Each has its TLS handshake before it, and others may place there unseen by us: the more there are, the more
        // each weighs, so that an empty relay fills in seconds rather than at once.
        let storm = coming.owners + coming.standbys
        return report.score(as: role) + storm * storm / 8
    }

    /// Near the end of its descriptors a relay is as good as full, however idle it is.
    public func room(_ relay: String, now: Instant) -> RelayRoom {
        guard var report = entries[relay]?.report else { return .plenty }
        let coming = pending[relay]?.counts(now, Self.pendingLimit) ?? (owners: 0, standbys: 0)
        let descriptors = (coming.owners + coming.standbys) * LoadReport.descriptorsPerLink
        report.freeDescriptors -= descriptors
        report.connections += descriptors
        let permille = report.freeDescriptors_permille
        if permille < LoadReport.fullBelow_permille { return .none }
        return permille < LoadReport.scarceBelow_permille ? .scarce : .plenty
    }

    /// The best of a few of `relays` for one more link; nil when none of them has room. Silence is a reason to prefer
    /// others, not proof of death, since Redis may be away.
    public func choose(
        from relays: [String], as role: Ticket.Role, hasPriority: Bool = false, now: Instant,
        using random: inout some RandomNumberGenerator
    ) -> String? {
        let fresh = relays.filter { isFresh($0, now: now) }
        var lots = fresh.isEmpty ? relays : fresh
        let enough: RelayRoom = hasPriority ? .scarce : .plenty
        var best: (relay: String, score: Int)?
        var count = 0
        while !lots.isEmpty, count < Self.candidates {
            let drawn = Int.random(in: 0..<lots.count, using: &random)
            lots.swapAt(drawn, lots.count - 1)
            let relay = lots.removeLast()
            guard room(relay, now: now) <= enough else { continue }
            count += 1
            let score = score(relay, as: role, now: now)
            if best.map({ score < $0.score }) ?? true { best = (relay, score) }
        }
        return best?.relay
    }
}

/// The links that one relay is about to get, oldest first.
private struct PendingLinks {
    private var order: [(tunnel: String, at: Instant)] = []
    private var first = 0
    private var links: [String: (role: Ticket.Role, at: Instant)] = [:]
    private var owners = 0

    var isEmpty: Bool { links.isEmpty }

    mutating func add(_ tunnel: String, _ role: Ticket.Role, _ now: Instant) {
        remove(tunnel)
        links[tunnel] = (role, now)
        order.append((tunnel, now))
        if role == .owner { owners += 1 }
    }

    mutating func remove(_ tunnel: String) {
        if links.removeValue(forKey: tunnel)?.role == .owner { owners -= 1 }
    }

    /// Drops those that are at least so old; answers which.
    mutating func settle(_ now: Instant, _ age: Milliseconds) -> [String] {
        var gone: [String] = []
        while first < order.count, now.since(order[first].at) >= age {
            let (tunnel, at) = order[first]
            first += 1
            guard links[tunnel]?.at == at else { continue }
            remove(tunnel)
            gone.append(tunnel)
        }
        if first > 64, first * 2 > order.count {
            order.removeFirst(first)
            first = 0
        }
        return gone
    }

    /// Without those that are too old.
    func counts(_ now: Instant, _ limit: Milliseconds) -> (owners: Int, standbys: Int) {
        var counts = (owners: owners, standbys: links.count - owners)
        for (tunnel, at) in order[first...] {
            guard now.since(at) >= limit else { break }
            guard let link = links[tunnel], link.at == at else { continue }
            if link.role == .owner { counts.owners -= 1 } else { counts.standbys -= 1 }
        }
        return counts
    }
}
