import Core
import Domain
import Postgres

/// Whose a key is, and how it goes when they go.
extension Transaction {
    /// Locks the account, so that a key is made either before its maker is removed, and goes then, or not at all.
    /// nil when nobody signed in for it; throws `membership` when `actor` is gone or has less than `needed` by now.
    mutating func keyMaker(
        _ actor: Actor, account: AccountID, needing needed: Set<Scope>
    ) throws -> UserID? {
        guard try query("SELECT 1 FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account).first != nil
        else { throw StoreError.membership(.noMember) }
        let grant = try grant(of: actor, in: account)
        guard needed.isSubset(of: grant.scopes) else { throw StoreError.membership(.noMember) }
        return grant.user
    }

    /// Under the account's lock: revokes what a member made and could not make with `role`; with nil, everything.
    mutating func revokeKeys(
        of user: UserID, account: AccountID, beyond role: Role?, actor: Actor
    ) throws {
        let left = role?.scopes ?? []
        let keys = try query(
            """
            SELECT id, array_to_string(scopes, ' ') AS scopes FROM api_keys
            WHERE made_by = $1 AND account_id = $2 AND revoked_at IS NULL ORDER BY seq
            """, user, account)
        for row in keys {
            let scopes = Scope.set(column: try row["scopes"])
            if role != nil, scopes.isSubset(of: left) { continue }
            let id: APIKeyID = try row["id"]
            try query("UPDATE api_keys SET revoked_at = now() WHERE id = $1", id)
            try audit("api_key.revoke", actor: actor, account: account, subject: id.text)
        }
        if Scope.ofAgents.isSubset(of: left) { return }
        var agents: [AgentKeyID] = []
        for row in try query(
            "SELECT id FROM agent_keys WHERE made_by = $1 AND account_id = $2 AND revoked_at IS NULL ORDER BY seq",
            user, account)
        {
            agents.append(try row["id"])
        }
        try revokeAgentKeys(agents, account: account, actor: actor)
    }

    /// Under the account's lock: what one member made is another's from now on.
    mutating func adoptKeys(of user: UserID, account: AccountID, by heir: UserID?) throws(PostgresError) {
        try query(
            "UPDATE api_keys SET made_by = $3 WHERE made_by = $1 AND account_id = $2", user, account, heir)
        try query(
            "UPDATE agent_keys SET made_by = $3 WHERE made_by = $1 AND account_id = $2", user, account, heir)
    }

    /// Ends keys, every placement that was made with them, and the players who play on through them; relays are
    /// told with the next revision. False when the account has none of these keys.
    @discardableResult
    mutating func revokeAgentKeys(
        _ ids: [AgentKeyID], account: AccountID, actor: Actor
    ) throws -> Bool {
        var revoked: [AgentKeyID] = []
        var names: [String] = []
        for row in try query(
            """
            UPDATE agent_keys SET revoked_at = now()
            WHERE id = ANY ($1::text[]) AND account_id = $2 AND revoked_at IS NULL
            RETURNING id, name
            """, TextArray(ids), account)
        {
            revoked.append(try row["id"])
            names.append(try row["name"])
        }
        guard !revoked.isEmpty else { return false }
        let regions = try query(
            """
            SELECT DISTINCT p.region_id FROM tunnels t JOIN placements p ON p.tunnel_id = t.id
            WHERE t.account_id = $2 AND (p.agent_key_id = ANY ($1::text[]) OR p.past_keys && $1::text[])
            ORDER BY p.region_id
            """, TextArray(revoked), account)
        for row in regions { try endPlacements(of: revoked, account: account, region: row["region_id"]) }
        for (id, name) in zip(revoked, names) {
            try audit(
                "agent_key.revoke", actor: actor, account: account, subject: id.text,
                before: ["name": .string(name)])
        }
        return true
    }

    private mutating func endPlacements(
        of keys: [AgentKeyID], account: AccountID, region: String
    ) throws {
        let rev = try nextRevision(of: region)
        var tunnels: Set<TunnelID> = []
        for key in keys {
            for row in try query(
                """
                UPDATE placements p SET revoked_keys = (ARRAY[$1::text] || p.revoked_keys)[1:16]
                FROM tunnels t
                WHERE t.id = p.tunnel_id AND t.account_id = $3 AND p.region_id = $2
                    AND (p.agent_key_id = $1 OR $1 = ANY (p.past_keys))
                RETURNING p.tunnel_id
                """, key, region, account)
            {
                tunnels.insert(try row["tunnel_id"])
            }
            try query(
                """
                UPDATE placements
                SET generation = generation + 1, session = NULL, agent_key_id = NULL, owner_relay_id = NULL,
                    standby_relay_id = NULL, previous_relay_id = owner_relay_id, linked_at = NULL
                WHERE agent_key_id = $1 AND region_id = $2
                """, key, region)
        }
        try announce(region, rev, upserts: Array(tunnels))
    }
}
