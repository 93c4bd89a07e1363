import Core
import Domain
import Postgres
import Wire

/// Where a tunnel lives, as its agent is told.
public struct PlacementView: Sendable, Hashable {
    public var generation: Int
    public var region: String
    public var hostnames: [String]
    public var limits: Limits
    /// The owner.
    public var relay: RelayInfo
    public var standby: RelayInfo?
}

extension Store {
    /// Places a tunnel for an agent session: placement, revision and outbox row in one transaction, which it shares
    /// with others that are asked for at the same time. nil when the account has no such tunnel or the key is revoked.
    ///
    /// `decide` is the rule of `PlacementDecision`; it runs again when the transaction does, and under the region's
    /// lock for everybody who does not merely keep what there is.
    public func place(
        tunnel: TunnelID, account: AccountID, agentKey: AgentKeyID, session: String, excluding: Set<String>,
        _ decide: @escaping @Sendable (PlacementQuestion) -> PlacementDecision
    ) async throws(StoreError) -> PlacementView? {
        let request = PlacementRequest(
            tunnel: tunnel, account: account, agentKey: agentKey, session: session, excluding: excluding,
            decide: decide)
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
    var hasPriority: Bool

    func view(_ generation: Int, _ seats: Seats) -> PlacementView {
        PlacementView(
            generation: generation, region: region, hostnames: hostnames, limits: limits,
            relay: seats.owner, standby: seats.standby)
    }
}

/// Relays of a placement with all that agents are told of them.
private struct Seats {
    var owner: RelayInfo
    var standby: RelayInfo?
    var previousOwner: String?

    init?(_ present: PresentPlacement, _ relays: [RelayInfo]) {
        guard let owner = present.owner else { return nil }
        self.init(PlacementSeats(owner: owner, standby: present.standby), relays)
    }

    /// nil when one of them is not among `relays`.
    init?(_ seats: PlacementSeats, _ relays: [RelayInfo]) {
        guard let owner = relays.first(where: { $0.id == seats.owner }) else { return nil }
        self.owner = owner
        standby = seats.standby.flatMap { id in relays.first { $0.id == id } }
        if standby?.id != seats.standby { return nil }
        previousOwner = seats.previousOwner
    }
}

extension Transaction {
    /// One answer for each request; no tunnel may be there twice.
    fileprivate mutating func place(_ requests: [PlacementRequest]) throws -> [PlacementQueue.Answer] {
        var answers = [PlacementQueue.Answer](repeating: .success(nil), count: requests.count)
        var places: [Int: Place] = [:]
        for (index, place) in try lockedPlaces(requests) {
            if place.isSuspended { answers[index] = .failure(.suspended) } else { places[index] = place }
        }
        let regions = Set(places.values.map(\.region)).sorted()
        let present = try presentPlacements(of: places.keys.sorted().map { requests[$0].tunnel })
        // A session that asks again mostly keeps what it has: nobody needs to wait for that.
        let returning = places.filter {
            present[requests[$0.key].tunnel]?.session == requests[$0.key].session
        }
        for region in Set(returning.values.map(\.region)).sorted() {
            let relays = try relays(inRegion: region)
            for (index, place) in returning where place.region == region {
                guard let now = present[requests[index].tunnel],
                    requests[index].decide(requests[index].question(now, relays, place.hasPriority)) == .keep,
                    let seats = Seats(now, relays)
                else { continue }
                answers[index] = .success(place.view(now.generation, seats))
                places[index] = nil
            }
        }
        for region in regions {
            let here = places.filter { $0.value.region == region }
            guard !here.isEmpty else { continue }
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
        let present = try presentPlacements(of: places.keys.sorted().map { requests[$0].tunnel })
        let relays = try relays(inRegion: region)
        var chosen: [Int: Seats] = [:]
        for (index, place) in places.sorted(by: { $0.key < $1.key }) {
            let request = requests[index]
            let now = present[request.tunnel]
            switch request.decide(request.question(now, relays, place.hasPriority)) {
            case .keep:
                let seats = now.flatMap { Seats($0, relays) }
                guard let now, let seats else {
                    throw PostgresError.unexpectedValue("there was no placement to keep")
                }
                answers[index] = .success(place.view(now.generation, seats))
            case .place(let decided):
                guard let seats = Seats(decided, relays) else {
                    throw PostgresError.unexpectedValue("a placement names a relay of another region")
                }
                chosen[index] = seats
            case .wasReplaced: answers[index] = .failure(.sessionReplaced)
            case .noRelay: answers[index] = .failure(.noRelay(region: region))
            case .full: answers[index] = .failure(.regionFull(region))
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
        for (index, seats) in chosen {
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
            answers[index] = .success(place.view(generation, seats))
        }
        return answers
    }

    /// The new placements; their generations.
    private mutating func write(
        _ requests: [PlacementRequest], _ chosen: [Int: Seats], _ region: String
    ) throws(PostgresError) -> [TunnelID: Int] {
        let indexes = chosen.keys.sorted()
        let rows = try query(
            """
            INSERT INTO placements (tunnel_id, region_id, generation, session, agent_key_id, owner_relay_id,
                standby_relay_id, previous_relay_id)
            SELECT w.tunnel, $1, 1, w.session, w.agent_key, w.relay, nullif(w.standby, ''), nullif(w.previous, '')
            FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
                AS w (tunnel, session, agent_key, relay, standby, previous)
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
                standby_relay_id = excluded.standby_relay_id, previous_relay_id = excluded.previous_relay_id,
                first_generation = CASE WHEN placements.session = excluded.session
                    THEN placements.first_generation ELSE placements.generation + 1 END,
                awaited_since = now(),
                linked_at = CASE WHEN placements.session = excluded.session THEN
                    CASE excluded.owner_relay_id WHEN placements.owner_relay_id THEN placements.linked_at
                        WHEN placements.standby_relay_id THEN placements.standby_linked_at END END,
                standby_linked_at = CASE WHEN placements.session = excluded.session THEN
                    CASE excluded.standby_relay_id WHEN placements.owner_relay_id THEN placements.linked_at
                        WHEN placements.standby_relay_id THEN placements.standby_linked_at END END
            RETURNING tunnel_id, generation
            """, region, TextArray(indexes.map { requests[$0].tunnel }),
            TextArray(indexes.map { requests[$0].session }), TextArray(indexes.map { requests[$0].agentKey }),
            TextArray(indexes.compactMap { chosen[$0]?.owner.id }),
            TextArray(indexes.map { chosen[$0]?.standby?.id ?? "" }),
            TextArray(indexes.map { chosen[$0]?.previousOwner ?? "" }))
        var generations: [TunnelID: Int] = [:]
        for row in rows {
            let tunnel: TunnelID = try row["tunnel_id"]
            let generation: Int = try row["generation"]
            generations[tunnel] = generation
        }
        return generations
    }

    /// As they stand; tunnels that were never placed are left out. Under the region's lock they stay so.
    mutating func presentPlacements(of tunnels: [TunnelID]) throws(PostgresError)
        -> [TunnelID: PresentPlacement]
    {
        guard !tunnels.isEmpty else { return [:] }
        let rows = try query(
            """
            SELECT tunnel_id, owner_relay_id, standby_relay_id, previous_relay_id, generation, session,
                array_to_string(replaced_sessions, ' ') AS replaced_sessions
            FROM placements WHERE tunnel_id = ANY ($1)
            """, TextArray(tunnels))
        var present: [TunnelID: PresentPlacement] = [:]
        for row in rows {
            let replaced: String = try row["replaced_sessions"]
            let tunnel: TunnelID = try row["tunnel_id"]
            present[tunnel] = PresentPlacement(
                owner: try row["owner_relay_id"], standby: try row["standby_relay_id"],
                previousOwner: try row["previous_relay_id"], generation: try row["generation"],
                session: try row["session"],
                replacedSessions: replaced.split(separator: " ").map { String($0) })
        }
        return present
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
                plans.throttled_bytes_per_s, plans.priority, a.throttled,
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
                limits: try Limits(effective: row), isSuspended: try row["suspended"],
                hasPriority: try row["priority"])
        }
        return places
    }
}
