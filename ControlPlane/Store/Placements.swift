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
    /// Places a tunnel for an agent session: placement, revision and outbox row in one transaction, which it shares
    /// with others that are asked for at the same time. The session that has the placement gets it again, unless its
    /// relay is excluded or takes no placements any more; another session takes it over under the next generation, and
    /// the one before does not get it back.
    ///
    /// `choose` picks one of the relays that take placements; it runs again when the transaction does. nil when the
    /// account has no such tunnel or the key is revoked.
    public func place(
        tunnel: TunnelID, account: AccountID, agentKey: AgentKeyID, session: String, excluding: Set<String>,
        _ choose: @escaping @Sendable ([String]) -> String?
    ) async throws(StoreError) -> PlacementView? {
        let request = PlacementRequest(
            tunnel: tunnel, account: account, agentKey: agentKey, session: session, excluding: excluding,
            choose: choose)
        return try await placements.place(request) { await self.place($0) }.get()
    }

    /// All in one transaction; when one of them is in the others' way, each in its own.
    private func place(_ requests: [PlacementRequest]) async -> [PlacementQueue.Answer] {
        do throws(StoreError) {
            return try await transaction { tx in try tx.place(requests) }
        } catch .unavailable(let reason) {
            return requests.map { _ in .failure(.unavailable(reason)) }
        } catch {
            guard requests.count > 1 else { return [.failure(error)] }
            var answers: [PlacementQueue.Answer] = []
            for request in requests { answers += await place([request]) }
            return answers
        }
    }
}

/// What does not change while a tunnel is placed.
private struct Place {
    var region: String
    var hostnames: [String]
    var limits: Limits
    var isSuspended: Bool

    func view(_ generation: Int, _ relay: RelayInfo) -> PlacementView {
        PlacementView(
            generation: generation, region: region, hostnames: hostnames, limits: limits, relay: relay)
    }
}

/// How a session stands to the placement that there is.
private enum Standing {
    /// It has the placement and can keep it.
    case keeps(generation: Int, RelayInfo)
    /// A newer session has the tunnel: one that lost it while it was away must not take it back.
    case wasReplaced
    case mayPlace
}

extension Transaction {
    /// One answer for each request; no tunnel may be there twice.
    fileprivate mutating func place(_ requests: [PlacementRequest]) throws -> [PlacementQueue.Answer] {
        var answers = [PlacementQueue.Answer](repeating: .success(nil), count: requests.count)
        var places: [Int: Place] = [:]
        for (index, place) in try lockedPlaces(requests) {
            if place.isSuspended { answers[index] = .failure(.suspended) } else { places[index] = place }
        }
        for (index, standing) in try standings(requests, places.keys.sorted()) {
            guard case .keeps(let generation, let relay) = standing else { continue }
            answers[index] = .success(places.removeValue(forKey: index)?.view(generation, relay))
        }
        for region in Set(places.values.map(\.region)).sorted() {
            let here = places.filter { $0.value.region == region }
            for (index, answer) in try place(requests, here, in: region) { answers[index] = answer }
        }
        return answers
    }

    /// Those of one region, under one revision.
    private mutating func place(
        _ requests: [PlacementRequest], _ places: [Int: Place], in region: String
    ) throws -> [Int: PlacementQueue.Answer] {
        // The region's lock: from here on nobody else places in it.
        let rev = try nextRevision(of: region)
        var answers: [Int: PlacementQueue.Answer] = [:]
        // Another request of the same session may have come first.
        for (index, standing) in try standings(requests, places.keys.sorted()) {
            switch standing {
            case .keeps(let generation, let relay):
                answers[index] = .success(places[index]?.view(generation, relay))
            case .wasReplaced: answers[index] = .failure(.sessionReplaced)
            case .mayPlace: break
            }
        }
        let candidates = try candidates(inRegion: region)
        var chosen: [Int: RelayInfo] = [:]
        for index in places.keys.sorted() where answers[index] == nil {
            if let id = requests[index].choose(candidates.map(\.id)),
                let relay = candidates.first(where: { $0.id == id })
            {
                chosen[index] = relay
            } else {
                answers[index] = .failure(.noRelay(region: region))
            }
        }
        guard !chosen.isEmpty else {
            // Nothing is news: the revision is taken back.
            try query("UPDATE regions SET rev = rev - 1 WHERE id = $1", region)
            return answers
        }
        let generations = try write(requests, chosen, region)
        let told = try announce(region, rev, upserts: chosen.keys.sorted().map { requests[$0].tunnel })
        var assignments: [String: Assignment] = [:]
        for assignment in told { assignments[assignment.tunnel] = assignment }
        for (index, relay) in chosen {
            let tunnel = requests[index].tunnel
            guard var place = places[index], let generation = generations[tunnel] else {
                throw PostgresError.unexpectedValue("a placement was not written")
            }
            // The account's terms may have changed while this waited for the region.
            if let assignment = assignments[tunnel.text] {
                if assignment.state == .suspended { throw StoreError.suspended }
                place.limits = assignment.limits
                place.hostnames = assignment.hostnames
            }
            answers[index] = .success(place.view(generation, relay))
        }
        return answers
    }

    /// The new placements; their generations.
    private mutating func write(
        _ requests: [PlacementRequest], _ chosen: [Int: RelayInfo], _ region: String
    ) throws(PostgresError) -> [TunnelID: Int] {
        let indexes = chosen.keys.sorted()
        let rows = try query(
            """
            INSERT INTO placements (tunnel_id, region_id, generation, session, agent_key_id, owner_relay_id)
            SELECT w.tunnel, $1, 1, w.session, w.agent_key, w.relay
            FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS w (tunnel, session, agent_key, relay)
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
            RETURNING tunnel_id, generation
            """, region, TextArray(indexes.map { requests[$0].tunnel }),
            TextArray(indexes.map { requests[$0].session }), TextArray(indexes.map { requests[$0].agentKey }),
            TextArray(indexes.compactMap { chosen[$0]?.id }))
        var generations: [TunnelID: Int] = [:]
        for row in rows {
            let tunnel: TunnelID = try row["tunnel_id"]
            let generation: Int = try row["generation"]
            generations[tunnel] = generation
        }
        return generations
    }

    /// The tunnels by their request, with them and the keys held against deletion and revocation.
    private mutating func lockedPlaces(_ requests: [PlacementRequest]) throws(PostgresError) -> [Int: Place] {
        let rows = try query(
            """
            SELECT w.number, t.region_id, t.hostname, t.state = 'suspended' OR NOT a.served AS suspended,
                array_to_string(ARRAY(
                    SELECT d.hostname FROM domains d
                    WHERE d.tunnel_id = t.id AND d.state = 'proven' AND plans.own_domains ORDER BY d.seq
                ), ' ') AS own_hostnames,
                plans.max_players, plans.bytes_per_s, plans.idle_timeout_s,
                plans.throttled_bytes_per_s, a.throttled,
                x.max_players AS own_max_players, x.bytes_per_s AS own_bytes_per_s,
                x.idle_timeout_s AS own_idle_timeout_s
            FROM unnest($1::text[], $2::text[], $3::text[])
                WITH ORDINALITY AS w (tunnel, account, agent_key, number)
            JOIN tunnels t ON t.id = w.tunnel AND t.account_id = w.account
            JOIN accounts a ON a.id = t.account_id
            JOIN plans ON plans.id = a.plan_id
            LEFT JOIN account_limits x ON x.account_id = a.id
            JOIN agent_keys k ON k.id = w.agent_key AND k.account_id = t.account_id
            WHERE k.revoked_at IS NULL
            ORDER BY t.seq
            FOR KEY SHARE OF t FOR SHARE OF k
            """, TextArray(requests.map { $0.tunnel }), TextArray(requests.map { $0.account }),
            TextArray(requests.map { $0.agentKey }))
        var places: [Int: Place] = [:]
        for row in rows {
            let number: Int = try row["number"]
            places[number - 1] = Place(
                region: try row["region_id"], hostnames: try Self.hostnames(row),
                limits: try Limits(effective: row), isSuspended: try row["suspended"])
        }
        return places
    }

    /// Of the requests at these places; a tunnel that was never placed is left out.
    private mutating func standings(_ requests: [PlacementRequest], _ indexes: [Int]) throws(PostgresError)
        -> [Int: Standing]
    {
        guard !indexes.isEmpty else { return [:] }
        let rows = try query(
            """
            SELECT w.number, p.generation, coalesce(p.session = w.session AND r.id IS NOT NULL, false) AS keeps,
                w.session = ANY (p.replaced_sessions) AS replaced,
                r.id, r.region_id, r.endpoint, r.mesh_address, r.fingerprint, r.state, r.shared_entry
            FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (tunnel, session, number)
            JOIN placements p ON p.tunnel_id = w.tunnel
            LEFT JOIN relays r ON r.id = p.owner_relay_id AND r.state = 'active'
            """, TextArray(indexes.map { requests[$0].tunnel }),
            TextArray(indexes.map { requests[$0].session }))
        var standings: [Int: Standing] = [:]
        for row in rows {
            let number: Int = try row["number"]
            let keeps: Bool = try row["keeps"]
            let isReplaced: Bool = try row["replaced"]
            let index = indexes[number - 1]
            if keeps {
                let relay = try RelayInfo(row)
                if !requests[index].excluding.contains(relay.id) {
                    standings[index] = .keeps(generation: try row["generation"], relay)
                    continue
                }
            }
            standings[index] = isReplaced ? .wasReplaced : .mayPlace
        }
        return standings
    }

    /// Relays that take placements; draining ones only when there is no other.
    private mutating func candidates(inRegion region: String) throws(PostgresError) -> [RelayInfo] {
        let relays = try relays(inRegion: region)
        let active = relays.filter { $0.state == .active }
        return active.isEmpty ? relays.filter { $0.state == .draining } : active
    }
}
