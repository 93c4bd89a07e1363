import Core
import Postgres
import Wire

/// Where a tunnel lives, as its agent is told.
public struct PlacementView: Sendable, Hashable {
    public var generation: Int
    public var region: String
    public var hostnames: [String]
    public var limits: Limits
    public var relay: RelayInfo
}

extension Store {
    /// Places a tunnel for an agent session: placement, revision and outbox row in one transaction. The session that
    /// has the placement gets it again, unless its relay is excluded or takes no placements any more; another
    /// session takes it over under the next generation, and the one before does not get it back.
    ///
    /// `choose` picks one of the relays that take placements; it runs again when the transaction does. nil when the
    /// account has no such tunnel or the key is revoked.
    public func place(
        tunnel: TunnelID, account: AccountID, agentKey: AgentKeyID, session: String, excluding: Set<String>,
        _ choose: @Sendable ([String]) -> String?
    ) async throws(StoreError) -> PlacementView? {
        try await transaction { tx in
            guard var place = try tx.lockedPlace(tunnel, account, agentKey) else { return nil }
            if let kept = try tx.keptPlacement(of: tunnel, session, excluding) { return place.view(kept) }
            // The region's lock: from here on nobody else places in it.
            let rev = try tx.nextRevision(of: place.region)
            if let kept = try tx.keptPlacement(of: tunnel, session, excluding) {
                // Another request of the same session came first. The revision is taken back.
                try tx.query("UPDATE regions SET rev = rev - 1 WHERE id = $1", place.region)
                return place.view(kept)
            }
            if try tx.wasReplaced(session, at: tunnel) { throw StoreError.sessionReplaced }
            let candidates = try tx.candidates(inRegion: place.region)
            guard let relay = choose(candidates.map(\.id)).flatMap({ id in candidates.first { $0.id == id } })
            else {
                throw StoreError.noRelay(region: place.region)
            }
            let generation: Int = try tx.row(
                """
                INSERT INTO placements (tunnel_id, region_id, generation, session, agent_key_id, owner_relay_id)
                VALUES ($1, $2, 1, $3, $4, $5)
                ON CONFLICT (tunnel_id) DO UPDATE SET
                    generation = placements.generation + 1, session = excluded.session,
                    replaced_sessions = CASE
                        WHEN placements.session = excluded.session OR placements.session IS NULL
                        THEN placements.replaced_sessions
                        ELSE (ARRAY[placements.session] || placements.replaced_sessions)[1:16] END,
                    past_keys = CASE
                        WHEN placements.agent_key_id = excluded.agent_key_id OR placements.agent_key_id IS NULL
                        THEN placements.past_keys
                        ELSE (ARRAY[placements.agent_key_id]
                            || array_remove(placements.past_keys, placements.agent_key_id))[1:16] END,
                    agent_key_id = excluded.agent_key_id, owner_relay_id = excluded.owner_relay_id,
                    standby_relay_id = NULL,
                    previous_relay_id = CASE
                        WHEN placements.owner_relay_id = excluded.owner_relay_id THEN placements.previous_relay_id
                        ELSE coalesce(placements.owner_relay_id, placements.previous_relay_id) END,
                    awaited_since = now(), linked_at = NULL
                RETURNING generation
                """, tunnel, place.region, session, agentKey, relay.id)["generation"]
            // The account's terms may have changed while this waited for the region.
            if let told = try tx.announce(place.region, rev, upserts: [tunnel]).first {
                if told.state == .suspended { throw StoreError.suspended }
                place.limits = told.limits
                place.hostnames = told.hostnames
            }
            return place.view((generation, relay))
        }
    }
}

/// What does not change while a tunnel is placed.
private struct Place {
    var region: String
    var hostnames: [String]
    var limits: Limits

    func view(_ placement: (generation: Int, relay: RelayInfo)) -> PlacementView {
        PlacementView(
            generation: placement.generation, region: region, hostnames: hostnames, limits: limits,
            relay: placement.relay)
    }
}

extension Transaction {
    /// The tunnel, with it and the key held against deletion and revocation.
    fileprivate mutating func lockedPlace(
        _ tunnel: TunnelID, _ account: AccountID, _ agentKey: AgentKeyID
    ) throws -> Place? {
        guard
            let row = try query(
                """
                SELECT t.region_id, t.hostname, t.state = 'suspended' OR NOT a.served AS suspended,
                    array_to_string(ARRAY(
                        SELECT d.hostname FROM domains d
                        WHERE d.tunnel_id = t.id AND d.state = 'proven' AND plans.own_domains ORDER BY d.seq
                    ), ' ') AS own_hostnames,
                    plans.max_players, plans.bytes_per_s, plans.idle_timeout_s,
                    plans.throttled_bytes_per_s, a.throttled,
                    x.max_players AS own_max_players, x.bytes_per_s AS own_bytes_per_s,
                    x.idle_timeout_s AS own_idle_timeout_s
                FROM tunnels t
                JOIN accounts a ON a.id = t.account_id
                JOIN plans ON plans.id = a.plan_id
                LEFT JOIN account_limits x ON x.account_id = a.id
                JOIN agent_keys k ON k.account_id = t.account_id
                WHERE t.id = $1 AND t.account_id = $2 AND k.id = $3 AND k.revoked_at IS NULL
                FOR KEY SHARE OF t FOR SHARE OF k
                """, tunnel, account, agentKey
            ).first
        else { return nil }
        if try row["suspended"] { throw StoreError.suspended }
        return Place(
            region: try row["region_id"], hostnames: try Self.hostnames(row),
            limits: try Limits(effective: row))
    }

    /// The placement that this session has and can keep.
    fileprivate mutating func keptPlacement(
        of tunnel: TunnelID, _ session: String, _ excluded: Set<String>
    ) throws(PostgresError) -> (generation: Int, relay: RelayInfo)? {
        guard
            let row = try query(
                """
                SELECT p.generation, r.id, r.region_id, r.endpoint, r.mesh_address, r.fingerprint, r.state,
                    r.shared_entry
                FROM placements p JOIN relays r ON r.id = p.owner_relay_id
                WHERE p.tunnel_id = $1 AND p.session = $2 AND r.state = 'active' AND r.id <> ALL ($3)
                """, tunnel, session, TextArray(excluded.sorted())
            ).first
        else { return nil }
        return (try row["generation"], try RelayInfo(row))
    }

    /// The newest session has the tunnel: one that lost it while it was away must not take it back.
    fileprivate mutating func wasReplaced(_ session: String, at tunnel: TunnelID) throws(PostgresError)
        -> Bool
    {
        try query(
            "SELECT 1 FROM placements WHERE tunnel_id = $1 AND $2 = ANY (replaced_sessions)", tunnel, session
        ).first != nil
    }

    /// Relays that take placements; draining ones only when there is no other.
    fileprivate mutating func candidates(inRegion region: String) throws(PostgresError) -> [RelayInfo] {
        let relays = try relays(inRegion: region)
        let active = relays.filter { $0.state == .active }
        return active.isEmpty ? relays.filter { $0.state == .draining } : active
    }
}
