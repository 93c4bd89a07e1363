import Core
import Domain
import Postgres

/// What came of the wish to delete an account.
public enum AccountDeletion: Sendable, Hashable {
    case done
    case gone
    /// It is paid for, or was to be: the bill comes first.
    case billed(BillingState)
    /// It has other owners, who keep it.
    case shared
}

/// What is posted when an account is deleted.
public struct DeletionMails: Sendable {
    public var owner: @Sendable (_ email: String) -> Mail
    public var member: @Sendable (_ email: String) -> Mail

    public init(
        owner: @escaping @Sendable (String) -> Mail, member: @escaping @Sendable (String) -> Mail
    ) {
        self.owner = owner
        self.member = member
    }
}

extension Store {
    /// Deletes an account with its tunnels (relays are told, and their players' connections end), its keys, sign-ins
    /// and members, and every user who belongs to no other account. Its usage and its audit log stay, under a row that
    /// nobody can use. Only when no bill is open and `owner` is the only owner.
    public func deleteAccount(
        _ account: AccountID, by owner: UserID, actor: Actor, mails: DeletionMails?
    ) async throws(StoreError) -> AccountDeletion {
        try await transaction { tx in
            guard let terms = try tx.lockedTerms(of: account) else { return .gone }
            guard [.none, .revoked].contains(terms.state.billing) else {
                return .billed(terms.state.billing)
            }
            let members = try tx.query(
                """
                SELECT m.user_id, m.role, u.email FROM members m JOIN users u ON u.id = m.user_id
                WHERE m.account_id = $1 ORDER BY m.user_id
                """, account
            ).map { row in
                (
                    user: try row["user_id"] as UserID, role: try row["role"] as String,
                    email: try row["email"] as String
                )
            }
            guard !members.contains(where: { $0.role == Role.owner.rawValue && $0.user != owner }) else {
                return .shared
            }
            let tunnels = try tx.deleteTunnels(of: account, actor: actor)
            try tx.query(
                "SELECT 1 FROM users WHERE id = ANY ($1) ORDER BY id FOR UPDATE",
                TextArray(members.map(\.user)))
            try tx.query("DELETE FROM sessions WHERE account_id = $1", account)
            try tx.query("DELETE FROM members WHERE account_id = $1", account)
            try tx.query("DELETE FROM agent_keys WHERE account_id = $1", account)
            try tx.query("DELETE FROM api_keys WHERE account_id = $1", account)
            try tx.query("DELETE FROM invitations WHERE account_id = $1", account)
            try tx.query("DELETE FROM account_limits WHERE account_id = $1", account)
            // With links that went to those who are gone: none of them may bring an account back.
            try tx.query(
                """
                WITH gone AS (
                    DELETE FROM users u WHERE u.id = ANY ($1)
                        AND NOT EXISTS (SELECT 1 FROM members m WHERE m.user_id = u.id)
                    RETURNING u.email)
                DELETE FROM mail_tokens t USING gone WHERE lower(t.email) = lower(gone.email)
                """, TextArray(members.map(\.user)))
            try tx.query("UPDATE accounts SET deleted_at = now(), name = NULL WHERE id = $1", account)
            try tx.audit(
                "account.delete", actor: actor, account: account, subject: account.text,
                before: [
                    "plan": .string(terms.state.plan), "members": .integer(Int64(members.count)),
                    "tunnels": .integer(Int64(tunnels)),
                ])
            if let mails {
                for member in members {
                    try tx.post(
                        member.user == owner ? mails.owner(member.email) : mails.member(member.email))
                }
            }
            return .done
        }
    }
}

extension Transaction {
    /// Deletes all tunnels of an account that is locked, and tells their regions; how many there were.
    fileprivate mutating func deleteTunnels(of account: AccountID, actor: Actor) throws -> Int {
        var regions: [String: [TunnelID]] = [:]
        let tunnels = try query(
            "SELECT id, region_id FROM tunnels WHERE account_id = $1 ORDER BY seq FOR UPDATE", account
        ).map { row in (id: try row["id"] as TunnelID, region: try row["region_id"] as String) }
        for tunnel in tunnels { regions[tunnel.region, default: []].append(tunnel.id) }
        // Those who place or revoke hold keys before regions.
        try query("SELECT 1 FROM agent_keys WHERE account_id = $1 ORDER BY id FOR UPDATE", account)
        var revisions: [(region: String, rev: Int, tunnels: ArraySlice<TunnelID>)] = []
        for (region, tunnels) in regions.sorted(by: { $0.key < $1.key }) {
            revisions.append((region, try nextRevision(of: region), tunnels[...]))
        }
        try query(
            """
            INSERT INTO former_tunnels (id, account_id, hostname, seq)
            SELECT id, account_id, hostname, seq FROM tunnels WHERE account_id = $1
            ON CONFLICT DO NOTHING
            """, account)
        try query(
            """
            INSERT INTO audit_log (account_id, actor, address, action, subject, detail)
            SELECT t.account_id, $2, $3, 'tunnel.delete', t.id, json_build_object('hostname', t.hostname)
            FROM tunnels t WHERE t.account_id = $1 ORDER BY t.seq
            """, account, actor.text, actor.address)
        try query("DELETE FROM tunnels WHERE account_id = $1", account)
        for revision in revisions {
            var rev = revision.rev
            var rest = revision.tunnels
            while true {
                try announce(revision.region, rev, deletes: Array(rest.prefix(maxTunnelsPerRevision)))
                rest = rest.dropFirst(maxTunnelsPerRevision)
                if rest.isEmpty { break }
                rev = try nextRevision(of: revision.region)
            }
        }
        return tunnels.count
    }
}
