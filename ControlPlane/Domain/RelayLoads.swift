import Core
import Wire

/// What relays last said about their load, and what we have put on them since. Without the second part a storm of
/// placements between two reports would land on one relay.
public struct RelayLoads: Sendable {
    /// A relay that reported within this time is known to be alive.
    public static let fresh = Milliseconds(3500)
    /// A placement counts until the first report made this long after it: by then its link shows in the report.
    static let settling = Milliseconds(1500)
    /// Agents that never came do not count for ever.
    static let pendingLimit = Milliseconds.seconds(10)
    /// What one placement adds to a relay's score: its link.
    static let pendingScore = 4

    private struct Entry {
        var report: LoadReport
        var heard: Instant
    }

    private var entries: [String: Entry] = [:]
    private var pending: [String: [Instant]] = [:]

    public init() {}

    public mutating func report(_ report: LoadReport, now: Instant) {
        entries[report.relay] = Entry(report: report, heard: now)
        pending[report.relay]?.removeAll { now.since($0) >= Self.settling }
        if pending[report.relay]?.isEmpty == true { pending[report.relay] = nil }
    }

    /// Counts a placement that we made.
    public mutating func placed(on relay: String, now: Instant) {
        pending[relay, default: []].removeAll { now.since($0) >= Self.pendingLimit }
        pending[relay, default: []].append(now)
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

    /// Relays heard of since `instant`.
    public func heardSince(_ instant: Instant) -> [String] {
        entries.filter { $0.value.heard >= instant }.map(\.key).sorted()
    }

    public func isDraining(_ relay: String) -> Bool { entries[relay]?.report.draining ?? false }

    /// Lower is better. A relay that never reported counts by what we put on it.
    public func score(_ relay: String, now: Instant) -> Int {
        let waiting = pending[relay]?.count { now.since($0) < Self.pendingLimit } ?? 0
        return (entries[relay]?.report.score ?? 0) + waiting * Self.pendingScore
    }

    /// The best relay of `candidates` (active ones of one region) for a placement. Draining relays and those that
    /// the agent could not reach come last rather than never; silence is a reason to prefer others, not proof of
    /// death, since Redis may be away. `tieBreak` is any number: it spreads equal relays.
    public func choose(
        from candidates: [String], avoiding excluded: Set<String> = [], now: Instant, tieBreak: Int
    )
        -> String?
    {
        guard !candidates.isEmpty else { return nil }
        let willing = prefer(candidates) { !isDraining($0) }
        let reachable = prefer(willing) { !excluded.contains($0) }
        let alive = prefer(reachable) { isFresh($0, now: now) }
        let scores = alive.map { score($0, now: now) }
        let best = zip(alive, scores).filter { $0.1 == scores.min() }.map(\.0).sorted()
        return best.isEmpty ? nil : best[Int(tieBreak.magnitude % UInt(best.count))]
    }

    private func prefer(_ relays: [String], _ good: (String) -> Bool) -> [String] {
        let found = relays.filter(good)
        return found.isEmpty ? relays : found
    }
}
