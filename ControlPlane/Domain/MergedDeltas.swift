import Wire

extension RegionDelta {
    /// Revisions that follow each other as one, with each item's newest state; nil for none.
    public static func merged(_ deltas: [RegionDelta], epoch: Int) -> RegionDelta? {
        guard let first = deltas.first, let last = deltas.last else { return nil }
        var upserts: [String: Assignment] = [:]
        var deletes: Set<String> = []
        var relays: [String: RelayInfo] = [:]
        for delta in deltas {
            for tunnel in delta.deletes {
                upserts[tunnel] = nil
                deletes.insert(tunnel)
            }
            for assignment in delta.upserts { upserts[assignment.tunnel] = assignment }
            for relay in delta.relays { relays[relay.id] = relay }
        }
        return RegionDelta(
            epoch: epoch, region: first.region, prevRev: first.prevRev, rev: last.rev,
            upserts: upserts.values.sorted { $0.tunnel < $1.tunnel }, deletes: deletes.sorted(),
            relays: relays.values.sorted { $0.id < $1.id }, isCumulative: true)
    }
}
