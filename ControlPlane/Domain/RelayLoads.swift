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
    private var draining: Set<String> = []
    private var pending: [String: PendingLinks] = [:]
    /// Where a tunnel's links are awaited: asking again moves them rather than counting twice.
    private var awaited: [String: [String]] = [:]

    public init() {}

    public mutating func report(_ report: LoadReport, now: Instant) {
        entries[report.relay] = Entry(report: report, heard: now)
        lastHeard = max(lastHeard ?? now, now)
        if report.draining { draining.insert(report.relay) } else { draining.remove(report.relay) }
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
        draining.remove(relay)
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

    public func isDraining(_ relay: String) -> Bool { !draining.isEmpty && draining.contains(relay) }

    /// Lower is better. A relay that never reported counts by what we put on it.
    public func score(_ relay: String, as role: Ticket.Role = .owner, now: Instant) -> Int {
        let coming = pending[relay]?.counts(now, Self.pendingLimit) ?? (owners: 0, standbys: 0)
        // Each has its TLS handshake before it, and other control planes place there unseen by us: the more there are,
        // the more each weighs. Three control planes in a storm then fill a new relay up to the others, not beyond.
        let weight = LoadReport.weight(owned: coming.owners, standbys: coming.standbys, as: role)
        return (entries[relay]?.report.score(as: role) ?? 0) + weight + weight * weight / 500
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

    /// The best of a few of those `relays` that suit, for one more link; nil when none of them has room. Silence is a
    /// reason to prefer others, not proof of death, since Redis may be away.
    public func choose(
        from relays: [String], as role: Ticket.Role, hasPriority: Bool = false, now: Instant,
        using random: inout some RandomNumberGenerator, where suits: (String) -> Bool = { _ in true }
    ) -> String? {
        var lots = relays
        var heard = false
        var best: (relay: String, score: Int)?
        var count = 0
        for wantsFresh in [true, false] where !heard {
            // Only as many are looked at as it takes.
            var left = lots.count
            while left > 0, count < Self.candidates {
                left -= 1
                lots.swapAt(Int.random(in: 0...left, using: &random), left)
                let relay = lots[left]
                guard isFresh(relay, now: now) == wantsFresh, suits(relay) else { continue }
                heard = true
                guard hasRoom(relay, hasPriority: hasPriority, now: now) else { continue }
                count += 1
                let score = score(relay, as: role, now: now)
                if best.map({ score < $0.score }) ?? true { best = (relay, score) }
            }
        }
        return best?.relay
    }

    public func hasRoom(_ relay: String, hasPriority: Bool, now: Instant) -> Bool {
        room(relay, now: now) <= (hasPriority ? .scarce : .plenty)
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
