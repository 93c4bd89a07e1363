import Core
import Domain
import Postgres
import Wire

/// A relay as operators see it.
public struct RelayView: Sendable, Hashable {
    public var info: RelayInfo
    public var registered: WallTime
    public var lastSeen: WallTime
    /// Since when it is in its state.
    public var stateSince: WallTime
    /// Tunnels whose owner it is, and how many of their agents have a link here.
    public var owned: Int
    public var ownedLinked: Int
    /// The same of those whose standby it is.
    public var standby: Int
    public var standbyLinked: Int
    /// The revision that its region is at.
    public var regionRev: Int

    init(_ row: Row) throws(PostgresError) {
        info = try RelayInfo(row)
        registered = try row["registered"]
        lastSeen = try row["last_seen"]
        stateSince = try row["state_since"]
        owned = try row["owned"]
        ownedLinked = try row["owned_linked"]
        standby = try row["standby"]
        standbyLinked = try row["standby_linked"]
        regionRev = try row["region_rev"]
    }
}

/// How many there are of what, to be watched.
public struct FleetCounts: Sendable, Hashable {
    public struct Placements: Sendable, Hashable {
        /// Tunnels that are placed.
        public var placed = 0
        /// With an agent at their owner.
        public var owned = 0
        /// With an agent at their standby.
        public var standby = 0
        /// With an agent, but no standby.
        public var alone = 0
    }

    /// By region.
    public var relays: [String: [RelayState: Int]] = [:]
    public var placements: [String: Placements] = [:]
}

extension Store {
    public func allRelays() async throws(StoreError) -> [RelayView] {
        try await transaction(.none) { tx in try tx.relayViews() }
    }
    public func fleetCounts() async throws(StoreError) -> FleetCounts {
        try await transaction { tx in
            var counts = FleetCounts()
            for row in try tx.query(
                """
                SELECT region_id, state, count(*) AS n FROM relays WHERE state <> 'removed'
                GROUP BY region_id, state
                """)
            {
                guard let state = RelayState(rawValue: try row["state"]) else { continue }
                counts.relays[try row["region_id"], default: [:]][state] = try row["n"]
            }
            for row in try tx.query(
                """
                SELECT region_id, count(owner_relay_id) AS placed, count(linked_at) AS owned,
                    count(standby_linked_at) AS standby,
                    count(*) FILTER (WHERE linked_at IS NOT NULL AND standby_relay_id IS NULL) AS alone
                FROM placements GROUP BY region_id
                """)
            {
                counts.placements[try row["region_id"]] = FleetCounts.Placements(
                    placed: try row["placed"], owned: try row["owned"], standby: try row["standby"],
                    alone: try row["alone"])
            }
            return counts
        }
    }

    /// Every relay that ever was, by region and id.
    public func relayStates() async throws(StoreError) -> [String: [String: RelayState]] {
        try await transaction(.none) { tx in
            var states: [String: [String: RelayState]] = [:]
            for row in try tx.query("SELECT id, region_id, state FROM relays") {
                states[try row["region_id"], default: [:]][try row["id"]] = RelayState(
                    rawValue: try row["state"])
            }
            return states
        }
    }

    /// A relay says who and where it is: from now on it takes placements, unless the same `run` of it was told to
    /// drain. Another run or another certificate means another process, which has no links yet.
    ///
    /// Answers with what relays are told of it, and the region's revision that has it.
    @discardableResult
    public func register(
        _ relay: RelayInfo, run: String? = nil, actor: Actor = .system("relays")
    ) async throws(StoreError) -> (relay: RelayInfo, rev: Int) {
        try await transaction { tx in
            let row = try tx.query(
                """
                SELECT id, region_id, endpoint, mesh_address, fingerprint, state, shared_entry, run
                FROM relays WHERE id = $1 FOR NO KEY UPDATE
                """, relay.id
            ).first
            let before = try row.map { try RelayInfo($0) }
            let runBefore: String? = try row?["run"]
            var now = relay
            now.state = before?.state == .draining && run != nil && run == runBefore ? .draining : .active
            if let before, before.fingerprint != now.fingerprint || runBefore != run {
                try tx.forgetLinks(of: [now.id])
            }
            guard before != now else {
                try tx.query("UPDATE relays SET run = $2, last_seen_at = now() WHERE id = $1", relay.id, run)
                return (now, try tx.head(of: now.region).rev)
            }
            if var before, before.region != now.region {
                before.state = .removed
                try tx.announce(before.region, try tx.nextRevision(of: before.region), relays: [before])
            }
            let rev = try tx.nextRevision(of: now.region)
            try tx.query(
                """
                INSERT INTO relays (id, region_id, endpoint, mesh_address, fingerprint, state, shared_entry, run)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                ON CONFLICT (id) DO UPDATE SET
                    region_id = excluded.region_id, endpoint = excluded.endpoint,
                    mesh_address = excluded.mesh_address, fingerprint = excluded.fingerprint,
                    state = excluded.state, shared_entry = excluded.shared_entry, run = excluded.run,
                    registered_at = now(), last_seen_at = now(),
                    state_since = CASE WHEN relays.state = excluded.state THEN relays.state_since ELSE now() END
                """, now.id, now.region, now.endpoint, now.meshAddress, now.fingerprint,
                now.state.rawValue, now.sharedEntry, run)
            try tx.announce(now.region, rev, relays: [now])
            try tx.audit(
                "relay.register", actor: actor, account: nil, subject: now.id, before: before?.json,
                after: now.json)
            return (now, rev)
        }
    }

    /// Relays that were heard of just now. One that was taken for lost is back.
    public func noteSeen(relays: [String]) async throws(StoreError) {
        try await transaction { tx in
            try tx.query("UPDATE relays SET last_seen_at = now() WHERE id = ANY ($1)", TextArray(relays))
            try tx.setState(.active, where: .lost, of: relays, actor: .system("relays"))
        }
    }

    /// Marks a relay; nil when there is none. The leader then moves what it has to others.
    public func setRelayState(_ id: String, _ state: RelayState, actor: Actor) async throws(StoreError)
        -> RelayInfo?
    {
        try await transaction { tx in
            guard
                let row = try tx.query(
                    """
                    SELECT id, region_id, endpoint, mesh_address, fingerprint, state, shared_entry
                    FROM relays WHERE id = $1 AND state <> 'removed'
                    """, id
                ).first
            else { return nil }
            var relay = try RelayInfo(row)
            try tx.setState(state, where: relay.state, of: [id], actor: actor)
            relay.state = state
            return relay
        }
    }

    /// Tells a relay to drain: it takes no more placements, and the leader moves those that it has to others. It stays
    /// told so until it starts anew. nil when there is no such relay.
    public func drainRelay(_ id: String, actor: Actor) async throws(StoreError) -> RelayView? {
        try await transaction { tx in
            let state: String? = try tx.query("SELECT state FROM relays WHERE id = $1 FOR NO KEY UPDATE", id)
                .first?["state"]
            if state == RelayState.lost.rawValue { throw StoreError.relayLost }
            try tx.setState(.draining, where: .active, of: [id], actor: actor)
            return try tx.relayViews(id: id).first
        }
    }

    /// Whether any relay at all was heard of within so long.
    public func hearsRelays(within_s: Int) async throws(StoreError) -> Bool {
        try await transaction(.none) { tx in
            try tx.query(
                "SELECT 1 FROM relays WHERE last_seen_at > now() - make_interval(secs => $1) LIMIT 1",
                within_s
            ).first != nil
        }
    }

    /// Declares relays lost that nobody heard of for so long, and their agents' links with them. Those that have been
    /// lost for much longer are removed: relays and agents forget them.
    public func reapRelays(
        silentFor_s: Int, forgottenAfter_s: Int = 86_400, as lease: Lease
    ) async throws(StoreError) -> [String] {
        try await transaction { tx in
            try tx.check(lease)
            let silent = try tx.query(
                """
                SELECT id FROM relays
                WHERE state IN ('active', 'draining') AND last_seen_at < now() - make_interval(secs => $1)
                ORDER BY id
                """, silentFor_s
            ).map { try $0["id"] as String }
            let lost =
                try tx.setState(.lost, where: .active, of: silent, actor: .system("relays"))
                + tx.setState(.lost, where: .draining, of: silent, actor: .system("relays"))
            try tx.forgetLinks(of: lost)
            let gone = try tx.query(
                """
                SELECT id FROM relays WHERE state = 'lost' AND last_seen_at < now() - make_interval(secs => $1)
                    AND state_since < now() - make_interval(secs => $1)
                ORDER BY id
                """, forgottenAfter_s
            ).map { try $0["id"] as String }
            try tx.setState(.removed, where: .lost, of: gone, actor: .system("relays"))
            return lost
        }
    }

    /// A relay tells which agents came and went. Only the word of the present owner and standby counts, about the
    /// present session; the generation may be an earlier one of it, since links outlive changes of the other place.
    public func reportLinks(
        relay: String, up: [(tunnel: TunnelID, generation: Int)], down: [(tunnel: TunnelID, generation: Int)]
    ) async throws(StoreError) {
        try await transaction { tx in
            try tx.query("UPDATE relays SET last_seen_at = now() WHERE id = $1", relay)
            // Deleting takes tunnels before placements, and so does this. Two relays may tell of the same ones.
            try tx.query(
                """
                SELECT 1 FROM tunnels WHERE id = ANY ($1)
                    AND (last_linked_at IS NULL OR last_linked_at < now() - interval '1 day')
                ORDER BY id FOR NO KEY UPDATE
                """, TextArray(up.map(\.tunnel)))
            // What is known already is told again each minute, and is not written again.
            try tx.query(
                """
                SELECT 1 FROM placements WHERE tunnel_id = ANY ($2) OR (tunnel_id = ANY ($3)
                    AND CASE WHEN owner_relay_id = $1 THEN linked_at ELSE standby_linked_at END IS NULL)
                ORDER BY tunnel_id FOR NO KEY UPDATE
                """, relay, TextArray(down.map(\.tunnel)), TextArray(up.map(\.tunnel)))
            try tx.query(
                """
                UPDATE placements p SET
                    linked_at = CASE WHEN p.owner_relay_id = $1 THEN NULL ELSE p.linked_at END,
                    standby_linked_at = CASE WHEN p.owner_relay_id = $1 THEN p.standby_linked_at END,
                    awaited_since = CASE WHEN p.owner_relay_id = $1 THEN NULL ELSE p.awaited_since END
                FROM unnest($2::text[], $3::bigint[]) AS gone (tunnel_id, generation)
                WHERE p.tunnel_id = gone.tunnel_id AND $1 IN (p.owner_relay_id, p.standby_relay_id)
                    AND gone.generation BETWEEN p.first_generation AND p.generation
                """, relay, TextArray(down.map(\.tunnel)), TextArray(down.map { String($0.generation) }))
            let come = try tx.query(
                """
                UPDATE placements p SET
                    linked_at = CASE WHEN p.owner_relay_id = $1 THEN coalesce(p.linked_at, now())
                        ELSE p.linked_at END,
                    standby_linked_at = CASE WHEN p.owner_relay_id = $1 THEN p.standby_linked_at
                        ELSE coalesce(p.standby_linked_at, now()) END
                FROM unnest($2::text[], $3::bigint[]) AS come (tunnel_id, generation)
                WHERE p.tunnel_id = come.tunnel_id AND $1 IN (p.owner_relay_id, p.standby_relay_id)
                    AND come.generation BETWEEN p.first_generation AND p.generation
                    AND CASE WHEN p.owner_relay_id = $1 THEN p.linked_at ELSE p.standby_linked_at END IS NULL
                RETURNING p.tunnel_id
                """, relay, TextArray(up.map(\.tunnel)), TextArray(up.map { String($0.generation) })
            ).map { try $0["tunnel_id"] as TunnelID }
            // Once a day is enough to know that a tunnel is used.
            try tx.query(
                """
                UPDATE tunnels SET last_linked_at = now()
                WHERE id = ANY ($1) AND (last_linked_at IS NULL OR last_linked_at < now() - interval '1 day')
                """, TextArray(come))
        }
    }
}

extension Transaction {
    /// All, or the one with this id.
    fileprivate mutating func relayViews(id: String? = nil) throws(PostgresError) -> [RelayView] {
        var views: [RelayView] = []
        for row in try query(
            """
            SELECT r.id, r.region_id, r.endpoint, r.mesh_address, r.fingerprint, r.state, r.shared_entry,
                floor(extract(epoch FROM r.registered_at))::bigint AS registered,
                floor(extract(epoch FROM r.last_seen_at))::bigint AS last_seen,
                floor(extract(epoch FROM r.state_since))::bigint AS state_since,
                coalesce(o.placed, 0) AS owned, coalesce(o.linked, 0) AS owned_linked,
                coalesce(s.placed, 0) AS standby, coalesce(s.linked, 0) AS standby_linked,
                g.rev AS region_rev
            FROM relays r
            JOIN regions g ON g.id = r.region_id
            LEFT JOIN (
                SELECT owner_relay_id AS id, count(*) AS placed, count(linked_at) AS linked
                FROM placements GROUP BY owner_relay_id) AS o ON o.id = r.id
            LEFT JOIN (
                SELECT standby_relay_id AS id, count(*) AS placed, count(standby_linked_at) AS linked
                FROM placements GROUP BY standby_relay_id) AS s ON s.id = r.id
            WHERE r.state <> 'removed' AND ($1::text IS NULL OR r.id = $1) ORDER BY r.region_id, r.id
            """, id)
        {
            views.append(try RelayView(row))
        }
        return views
    }

    /// The links that agents had to these relays are gone.
    fileprivate mutating func forgetLinks(of relays: [String]) throws(PostgresError) {
        try query(
            "UPDATE placements SET linked_at = NULL WHERE owner_relay_id = ANY ($1) AND linked_at IS NOT NULL",
            TextArray(relays))
        try query(
            """
            UPDATE placements SET standby_linked_at = NULL
            WHERE standby_relay_id = ANY ($1) AND standby_linked_at IS NOT NULL
            """, TextArray(relays))
    }

    /// Moves those of `relays` that are in `before` to `state` and tells their regions; answers which were moved.
    @discardableResult
    fileprivate mutating func setState(
        _ state: RelayState, where before: RelayState, of relays: [String], actor: Actor
    ) throws -> [String] {
        let moved = try query(
            """
            UPDATE relays SET state = $3, state_since = now() WHERE id = ANY ($1) AND state = $2 AND state <> $3
            RETURNING id, region_id, endpoint, mesh_address, fingerprint, state, shared_entry
            """, TextArray(relays), before.rawValue, state.rawValue
        ).map { try RelayInfo($0) }
        for region in Set(moved.map(\.region)).sorted() {
            try announce(
                region, try nextRevision(of: region),
                relays: moved.filter { $0.region == region }.sorted { $0.id < $1.id })
        }
        let ids = moved.map(\.id).sorted()
        for id in ids {
            try audit(
                "relay.\(state.rawValue)", actor: actor, account: nil, subject: id,
                before: ["state": .string(before.rawValue)], after: ["state": .string(state.rawValue)])
        }
        return ids
    }
}
