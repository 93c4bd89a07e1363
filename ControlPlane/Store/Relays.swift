import Core
import Domain
import Postgres
import Wire

/// A relay as operators see it.
public struct RelayView: Sendable, Hashable {
    public var info: RelayInfo
    public var lastSeen: WallTime
}

extension Store {
    public func allRelays() async throws(StoreError) -> [RelayView] {
        try await transaction { tx in
            try tx.query(
                """
                SELECT id, region_id, endpoint, mesh_address, fingerprint, state, shared_entry,
                    floor(extract(epoch FROM last_seen_at))::bigint AS last_seen
                FROM relays WHERE state <> 'removed' ORDER BY region_id, id
                """
            ).map { RelayView(info: try RelayInfo($0), lastSeen: try $0["last_seen"]) }
        }
    }

    /// A relay says who and where it is: from now on it takes placements. A new certificate means a new process,
    /// which has no links yet.
    public func register(_ relay: RelayInfo, actor: Actor = .system("relays")) async throws(StoreError) {
        try await transaction { tx in
            let before = try tx.query(
                """
                SELECT id, region_id, endpoint, mesh_address, fingerprint, state, shared_entry
                FROM relays WHERE id = $1 FOR NO KEY UPDATE
                """, relay.id
            ).first.map { try RelayInfo($0) }
            var now = relay
            now.state = .active
            guard before != now else {
                try tx.query("UPDATE relays SET last_seen_at = now() WHERE id = $1", relay.id)
                return
            }
            if var before, before.region != now.region {
                before.state = .removed
                try tx.announce(before.region, try tx.nextRevision(of: before.region), relays: [before])
            }
            let rev = try tx.nextRevision(of: now.region)
            try tx.query(
                """
                INSERT INTO relays (id, region_id, endpoint, mesh_address, fingerprint, state, shared_entry)
                VALUES ($1, $2, $3, $4, $5, 'active', $6)
                ON CONFLICT (id) DO UPDATE SET
                    region_id = excluded.region_id, endpoint = excluded.endpoint,
                    mesh_address = excluded.mesh_address, fingerprint = excluded.fingerprint,
                    state = excluded.state, shared_entry = excluded.shared_entry,
                    registered_at = now(), last_seen_at = now()
                """, now.id, now.region, now.endpoint, now.meshAddress, now.fingerprint, now.sharedEntry)
            if let before, before.fingerprint != now.fingerprint {
                try tx.query(
                    "UPDATE placements SET linked_at = NULL WHERE owner_relay_id = $1 AND linked_at IS NOT NULL",
                    now.id)
            }
            try tx.announce(now.region, rev, relays: [now])
            try tx.audit(
                "relay.register", actor: actor, account: nil, subject: now.id, before: before?.json,
                after: now.json)
        }
    }

    /// Relays that were heard of just now. One that was taken for lost is back.
    public func noteSeen(relays: [String]) async throws(StoreError) {
        try await transaction { tx in
            try tx.query("UPDATE relays SET last_seen_at = now() WHERE id = ANY ($1)", TextArray(relays))
            try tx.setState(.active, where: .lost, of: relays, actor: .system("relays"))
        }
    }

    /// Marks a relay; nil when there is none. Placements it has stay until their agents ask again.
    public func setRelayState(_ id: String, _ state: RelayState, actor: Actor) async throws(StoreError)
        -> RelayView?
    {
        try await transaction { tx in
            guard
                let row = try tx.query(
                    """
                    SELECT id, region_id, endpoint, mesh_address, fingerprint, state, shared_entry,
                        floor(extract(epoch FROM last_seen_at))::bigint AS last_seen
                    FROM relays WHERE id = $1 AND state <> 'removed'
                    """, id
                ).first
            else { return nil }
            var relay = RelayView(info: try RelayInfo(row), lastSeen: try row["last_seen"])
            try tx.setState(state, where: relay.info.state, of: [id], actor: actor)
            relay.info.state = state
            return relay
        }
    }

    /// Declares relays lost that nobody heard of for so long, and their agents' links with them.
    public func reapRelays(silentFor_s: Int, as lease: Lease) async throws(StoreError) -> [String] {
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
            try tx.query(
                "UPDATE placements SET linked_at = NULL WHERE owner_relay_id = ANY ($1)", TextArray(lost))
            return lost
        }
    }

    /// A relay tells which agents came and went. Only the present owner's word about the present generation counts.
    public func reportLinks(
        relay: String, up: [(tunnel: TunnelID, generation: Int)], down: [(tunnel: TunnelID, generation: Int)]
    ) async throws(StoreError) {
        let up = up.sorted { $0.tunnel.text < $1.tunnel.text }
        let down = down.sorted { $0.tunnel.text < $1.tunnel.text }
        try await transaction { tx in
            try tx.query("UPDATE relays SET last_seen_at = now() WHERE id = $1", relay)
            try tx.query(
                """
                UPDATE placements p SET linked_at = NULL, awaited_since = NULL
                FROM unnest($2::text[], $3::bigint[]) AS gone (tunnel_id, generation)
                WHERE p.tunnel_id = gone.tunnel_id AND p.generation = gone.generation AND p.owner_relay_id = $1
                """, relay, TextArray(down.map(\.tunnel)), TextArray(down.map { String($0.generation) }))
            try tx.query(
                """
                UPDATE placements p SET linked_at = coalesce(p.linked_at, now())
                FROM unnest($2::text[], $3::bigint[]) AS come (tunnel_id, generation)
                WHERE p.tunnel_id = come.tunnel_id AND p.generation = come.generation AND p.owner_relay_id = $1
                """, relay, TextArray(up.map(\.tunnel)), TextArray(up.map { String($0.generation) }))
        }
    }
}

extension Transaction {
    /// Moves those of `relays` that are in `before` to `state` and tells their regions; answers which were moved.
    @discardableResult
    fileprivate mutating func setState(
        _ state: RelayState, where before: RelayState, of relays: [String], actor: Actor
    ) throws -> [String] {
        let moved = try query(
            """
            UPDATE relays SET state = $3 WHERE id = ANY ($1) AND state = $2 AND state <> $3
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
