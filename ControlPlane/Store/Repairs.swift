import Core
import Domain
import Postgres
import Wire

/// Placements that the leader moved.
public struct MovedPlacements: Sendable, Hashable {
    /// Whether there may be more to do at once.
    public var isFull: Bool
    public var count: Int
}

/// Which placements are to be looked after.
public enum RepairNeed: Sendable, Hashable {
    /// The owner is lost, and the agent has a link to the standby: players are waiting.
    case urgent
    /// Owner or standby is about to go, the standby is lost, or there is none: each costs an agent a new link. And
    /// what a lost relay owned whose agents are not there.
    case gentle
}

extension Store {
    /// A relay that has just come may be gone again, and one that an agent has just left may be dead without anybody
    /// knowing yet: nobody gets a standby for its own sake before.
    private static let settling_s = 10

    /// For the leader: places tunnels of a region anew whose owner or standby is lost or draining, and gives those a
    /// standby that have none, the most urgent first, at most `limit` of them under one revision. Their sessions
    /// stay. `leaving` are relays that say themselves that they drain. `decide` runs again when the transaction does.
    ///
    /// Tunnels without an agent are left on draining relays, until their agents ask.
    public func repairPlacements(
        in region: String, _ need: RepairNeed, leaving: Set<String>, limit: Int, as lease: Lease,
        _ decide: @Sendable (PlacementQuestion) -> PlacementDecision
    ) async throws(StoreError) -> MovedPlacements {
        try await transaction { tx in
            try tx.check(lease)
            let relays = try tx.relays(inRegion: region)
            let good = relays.filter { $0.state == .active && !leaving.contains($0.id) }
            guard !good.isEmpty else { return MovedPlacements(isFull: false, count: 0) }
            let tunnels =
                switch need {
                case .urgent: try tx.ownerless(relays.filter { $0.state == .lost }.map(\.id), limit)
                case .gentle:
                    try tx.unsettled(
                        region,
                        leaving: relays.filter { $0.state == .draining || leaving.contains($0.id) }.map(\.id),
                        lost: relays.filter { $0.state == .lost }.map(\.id),
                        hasStandbys: tx.hasSettledPair(good.map(\.id), for_s: Self.settling_s),
                        settling_s: Self.settling_s, limit)
                }
            let count = try tx.move(tunnels.map { ($0, .repair) }, in: region, decide)
            return MovedPlacements(isFull: tunnels.count == limit && count > 0, count: count)
        }
    }

    /// For the leader: moves some agents from the relay of a region that owns most to those that own few, if that is
    /// due. `scores` are of relays that were heard of just now. Never while the fleet changes.
    public func rebalance(
        _ region: String, _ rebalance: Rebalance, isUnderWay: Bool, scores: [String: Int], settled_s: Int,
        as lease: Lease, _ decide: @Sendable (PlacementQuestion) -> PlacementDecision
    ) async throws(StoreError) -> Int {
        try await transaction { tx in
            try tx.check(lease)
            guard try tx.isSettled(region, for_s: settled_s) else { return 0 }
            let relays = try tx.query(
                """
                SELECT r.id, coalesce(o.linked, 0) AS owned
                FROM relays r
                LEFT JOIN (
                    SELECT owner_relay_id AS id, count(linked_at) AS linked FROM placements
                    WHERE region_id = $1 GROUP BY owner_relay_id) AS o ON o.id = r.id
                WHERE r.region_id = $1 AND r.state = 'active' ORDER BY r.id
                """, region
            ).map { row in
                let id: String = try row["id"]
                return Rebalance.Relay(id: id, owned: try row["owned"], score: scores[id])
            }
            var wishes: [(TunnelID, PlacementWish)] = []
            for move in rebalance.moves(relays, isUnderWay: isUnderWay) {
                let chosen = Set(wishes.map(\.0))
                // Where the agent has a link already it costs nothing: owner and standby change places.
                let tunnels = try tx.query(
                    """
                    SELECT tunnel_id FROM placements
                    WHERE owner_relay_id = $1 AND linked_at IS NOT NULL AND NOT tunnel_id = ANY ($3)
                    ORDER BY standby_relay_id IS NOT DISTINCT FROM $2 AND standby_linked_at IS NOT NULL DESC,
                        random()
                    LIMIT $4
                    """, move.from, move.to, TextArray(Array(chosen)), move.count
                ).map { try $0["tunnel_id"] as TunnelID }
                wishes += tunnels.map { ($0, .moveOwner(to: move.to)) }
            }
            return try tx.move(wishes, in: region, decide)
        }
    }
}

extension Transaction {
    /// Tunnels whose owner is one of these lost relays while their agents wait at their standby.
    fileprivate mutating func ownerless(_ lost: [String], _ limit: Int) throws(PostgresError) -> [TunnelID] {
        guard !lost.isEmpty else { return [] }
        return try tunnels(
            query(
                """
                SELECT tunnel_id FROM placements
                WHERE owner_relay_id = ANY ($1) AND standby_linked_at IS NOT NULL AND session IS NOT NULL
                ORDER BY random() LIMIT $2
                """, TextArray(lost), limit))
    }

    /// Tunnels whose places do not last, the most urgent first. In no order beside that, so that some that cannot be
    /// helped now do not keep the others waiting.
    fileprivate mutating func unsettled(
        _ region: String, leaving: [String], lost: [String], hasStandbys: Bool, settling_s: Int,
        _ limit: Int
    ) throws(PostgresError) -> [TunnelID] {
        guard !leaving.isEmpty || !lost.isEmpty || hasStandbys else { return [] }
        return try tunnels(
            query(
                """
                SELECT tunnel_id, min(urgency) AS urgency FROM (
                    SELECT tunnel_id, 1 AS urgency FROM placements
                    WHERE owner_relay_id = ANY ($2) AND session IS NOT NULL
                        AND (linked_at IS NOT NULL OR standby_linked_at IS NOT NULL)
                    UNION ALL
                    SELECT tunnel_id, 2 FROM placements
                    WHERE standby_relay_id = ANY ($2::text[] || $3::text[]) AND session IS NOT NULL
                        AND (linked_at IS NOT NULL OR standby_linked_at IS NOT NULL)
                    UNION ALL
                    SELECT tunnel_id, 3 FROM placements
                    WHERE $4 AND region_id = $1 AND standby_relay_id IS NULL AND linked_at IS NOT NULL
                        AND session IS NOT NULL
                        AND coalesce(awaited_since < now() - make_interval(secs => $6), true)
                    UNION ALL
                    SELECT tunnel_id, 4 FROM placements
                    WHERE owner_relay_id = ANY ($3) AND session IS NOT NULL
                ) AS unsettled
                GROUP BY tunnel_id ORDER BY urgency, random() LIMIT $5
                """, region, TextArray(leaving), TextArray(lost), hasStandbys, limit, settling_s))
    }

    private func tunnels(_ rows: Rows) throws(PostgresError) -> [TunnelID] {
        var tunnels: [TunnelID] = []
        for row in rows { tunnels.append(try row["tunnel_id"]) }
        return tunnels
    }

    /// Whether two of these relays have been there for so long.
    fileprivate mutating func hasSettledPair(_ relays: [String], for_s: Int) throws(PostgresError) -> Bool {
        let settled: Int = try row(
            """
            SELECT count(*) AS n FROM relays
            WHERE id = ANY ($1) AND greatest(registered_at, state_since) < now() - make_interval(secs => $2)
            """, TextArray(relays), for_s)["n"]
        return settled > 1
    }

    /// Whether no relay of the region drains, and none came, went or was lost for so long.
    fileprivate mutating func isSettled(_ region: String, for_s: Int) throws(PostgresError) -> Bool {
        try query(
            """
            SELECT 1 FROM relays WHERE region_id = $1 AND (state = 'draining'
                OR greatest(registered_at, state_since) > now() - make_interval(secs => $2))
            LIMIT 1
            """, region, for_s
        ).first == nil
    }

    /// Decides about these tunnels of a region under its lock and writes what changes, all under one revision; how
    /// many placements changed. Takes no revision when nothing does.
    fileprivate mutating func move(
        _ wishes: [(tunnel: TunnelID, wish: PlacementWish)], in region: String,
        _ decide: (PlacementQuestion) -> PlacementDecision
    ) throws -> Int {
        guard !wishes.isEmpty else { return 0 }
        // Held against deletion; tunnels come before regions.
        var priorities: [TunnelID: Bool] = [:]
        for row in try query(
            """
            SELECT t.id, plans.priority FROM tunnels t
            JOIN accounts a ON a.id = t.account_id JOIN plans ON plans.id = a.plan_id
            WHERE t.id = ANY ($1) ORDER BY t.seq FOR KEY SHARE OF t
            """, TextArray(wishes.map(\.tunnel)))
        {
            priorities[try row["id"]] = try row["priority"]
        }
        // Without the lock first: when nothing can be done, nobody has to wait for that.
        guard try !seats(for: wishes, priorities, in: region, decide).isEmpty else { return 0 }
        let rev = try nextRevision(of: region)
        let seats = try seats(for: wishes, priorities, in: region, decide)
        guard !seats.isEmpty else {
            // Nothing is news: the revision is taken back.
            try query("UPDATE regions SET rev = rev - 1 WHERE id = $1", region)
            return 0
        }
        try write(seats)
        try announce(region, rev, upserts: seats.map(\.tunnel))
        return seats.count
    }

    /// Those of the tunnels that get other relays; what is not in `priorities` is gone.
    private mutating func seats(
        for wishes: [(tunnel: TunnelID, wish: PlacementWish)], _ priorities: [TunnelID: Bool],
        in region: String, _ decide: (PlacementQuestion) -> PlacementDecision
    ) throws(PostgresError) -> [(tunnel: TunnelID, seats: PlacementSeats)] {
        let relays = try relays(inRegion: region)
        let present = try presentPlacements(of: wishes.map(\.tunnel))
        return wishes.compactMap { tunnel, wish in
            guard let hasPriority = priorities[tunnel], let present = present[tunnel],
                case .place(let decided) = decide(
                    PlacementQuestion(
                        tunnel: tunnel.text, wish: wish, present: present, relays: relays,
                        hasPriority: hasPriority))
            else { return nil }
            return (tunnel, decided)
        }
    }

    /// A link stays what it is when its relay takes the other place. Only who loses the owner's link without having
    /// another one is on the way again.
    private mutating func write(
        _ seats: [(tunnel: TunnelID, seats: PlacementSeats)]
    ) throws(PostgresError) {
        try query(
            """
            UPDATE placements p SET
                generation = p.generation + 1, owner_relay_id = w.owner,
                standby_relay_id = nullif(w.standby, ''), previous_relay_id = nullif(w.previous, ''),
                awaited_since = CASE WHEN p.owner_relay_id <> w.owner AND p.linked_at IS NOT NULL THEN now()
                    ELSE p.awaited_since END,
                linked_at = CASE w.owner WHEN p.owner_relay_id THEN p.linked_at
                    WHEN p.standby_relay_id THEN p.standby_linked_at END,
                standby_linked_at = CASE w.standby WHEN p.owner_relay_id THEN p.linked_at
                    WHEN p.standby_relay_id THEN p.standby_linked_at END
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS w (tunnel, owner, standby, previous)
            WHERE p.tunnel_id = w.tunnel
            """, TextArray(seats.map(\.tunnel)), TextArray(seats.map(\.seats.owner)),
            TextArray(seats.map { $0.seats.standby ?? "" }),
            TextArray(seats.map { $0.seats.previousOwner ?? "" }))
    }
}
