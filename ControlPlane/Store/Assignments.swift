import Core
import Postgres
import Wire

extension Transaction {
    /// What relays are to know about these tunnels now.
    mutating func assignments(of tunnels: [TunnelID]) throws(PostgresError) -> [Assignment] {
        try Self.assignments(
            query(
                """
                SELECT t.id, t.account_id, t.hostname, t.state = 'suspended' OR NOT a.served AS suspended,
                    p.owner_relay_id, p.standby_relay_id, p.previous_relay_id, coalesce(p.generation, 0) AS generation,
                    p.session, array_to_string(p.revoked_keys, ' ') AS revoked_keys,
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
                LEFT JOIN placements p ON p.tunnel_id = t.id
                WHERE t.id = ANY ($1)
                ORDER BY t.seq
                """, TextArray(tunnels)))
    }

    mutating func assignments(inRegion region: String) throws(PostgresError) -> [Assignment] {
        try Self.assignments(
            query(
                """
                SELECT t.id, t.account_id, t.hostname, t.state = 'suspended' OR NOT a.served AS suspended,
                    p.owner_relay_id, p.standby_relay_id, p.previous_relay_id, coalesce(p.generation, 0) AS generation,
                    p.session, array_to_string(p.revoked_keys, ' ') AS revoked_keys,
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
                LEFT JOIN placements p ON p.tunnel_id = t.id
                WHERE t.region_id = $1
                ORDER BY t.seq
                """, region))
    }

    private static func assignments(_ rows: Rows) throws(PostgresError) -> [Assignment] {
        var found: [Assignment] = []
        for row in rows {
            let owner: String? = try row["owner_relay_id"]
            let isSuspended: Bool = try row["suspended"]
            let revokedKeys: String? = try row["revoked_keys"]
            found.append(
                Assignment(
                    tunnel: try row["id"], account: try row["account_id"], hostnames: try hostnames(row),
                    owner: owner, standby: try row["standby_relay_id"],
                    previousOwner: try row["previous_relay_id"], generation: try row["generation"],
                    session: try row["session"], limits: try Limits(effective: row),
                    // Whether the agent has linked is the owner's to know: a placed tunnel counts as online here.
                    state: isSuspended ? .suspended : owner == nil ? .offline : .online,
                    revokedKeys: (revokedKeys ?? "").split(separator: " ").map { String($0) }))
        }
        return found
    }

    /// Every name that leads to a tunnel, its own first, from the columns `hostname` and `own_hostnames`.
    static func hostnames(_ row: Row) throws(PostgresError) -> [String] {
        let own: String = try row["own_hostnames"]
        return [try row["hostname"]] + own.split(separator: " ").map { String($0) }
    }

    mutating func relays(inRegion region: String) throws(PostgresError) -> [RelayInfo] {
        var found: [RelayInfo] = []
        for row in try query(
            """
            SELECT id, region_id, endpoint, mesh_address, fingerprint, state, shared_entry
            FROM relays WHERE region_id = $1 AND state <> 'removed' ORDER BY id
            """, region)
        {
            found.append(try RelayInfo(row))
        }
        return found
    }
}

extension Limits {
    /// From the columns of `plans`.
    init(_ row: Row) throws(PostgresError) {
        self.init(
            players: try row["max_players"], bytes_per_s: try row["bytes_per_s"],
            idle_timeout_s: try row["idle_timeout_s"])
    }
}

extension RelayInfo {
    init(_ row: Row) throws(PostgresError) {
        guard let state = RelayState(rawValue: try row["state"]) else {
            throw .unexpectedValue("a relay's state is unknown")
        }
        self.init(
            id: try row["id"], region: try row["region_id"], endpoint: try row["endpoint"],
            meshAddress: try row["mesh_address"], fingerprint: try row["fingerprint"], state: state,
            sharedEntry: try row["shared_entry"])
    }
}
