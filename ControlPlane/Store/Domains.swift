import Core
import Domain
import Postgres
import Wire

/// An own name as its owner sees it.
public struct DomainView: Sendable, Hashable {
    public var id: DomainID
    public var account: AccountID
    public var tunnel: TunnelID
    public var hostname: String
    public var proof: DomainProof
    /// The tunnel's own hostname.
    public var target: String
    /// Where the tunnel's relays are reached, when all have the same port.
    public var port: Int?
    /// Whether the account's plan has own domains.
    public var isAllowed: Bool

    /// Whether relays know the name.
    public var isServed: Bool { proof.state == .proven && isAllowed }

    public var records: DomainRecords {
        DomainRecords(hostname, account: account, target: target, port: port ?? DomainRecords.standardPort)
    }

    init(_ row: Row) throws(PostgresError) {
        id = try row["id"]
        account = try row["account_id"]
        tunnel = try row["tunnel_id"]
        hostname = try row["hostname"]
        guard let state = DomainState(rawValue: try row["state"]) else {
            throw .unexpectedValue("a domain's state is unknown")
        }
        proof = DomainProof(
            state: state, createdAt: try row["created_s"], provenAt: try row["proven_s"],
            missingSince: try row["missing_since_s"], misses: try row["misses"],
            checkedAt: try row["checked_s"], nextCheck: try row["next_check_s"])
        target = try row["target"]
        port = try row["port"]
        isAllowed = try row["own_domains"]
    }
}

/// A name that is to be looked up.
public struct DueDomain: Sendable, Hashable {
    public var id: DomainID
    public var account: AccountID
    public var hostname: String
}

extension Store {
    /// A ticket carries every name of its tunnel, and relays take tickets up to a size.
    public static let maxDomainsPerTunnel = 10

    /// Claims a name for a tunnel; it is looked up right away and served once it is proven. nil when the account has
    /// no such tunnel.
    public func addDomain(
        _ hostname: OwnHostname, tunnel: TunnelID, account: AccountID, actor: Actor
    ) async throws(StoreError) -> DomainView? {
        try await transaction { tx in
            guard let terms = try tx.lockedTerms(of: account),
                try tx.query(
                    "SELECT 1 FROM tunnels WHERE id = $1 AND account_id = $2 FOR KEY SHARE", tunnel, account
                ).first != nil
            else { return nil }
            if !terms.state.isServed { throw StoreError.suspended }
            guard terms.plan.ownDomains else { throw StoreError.plan(.ownDomain) }
            if let row = try tx.query(
                """
                SELECT t.hostname FROM domains d JOIN tunnels t ON t.id = d.tunnel_id
                WHERE d.account_id = $1 AND d.hostname = $2
                """, account, hostname.text
            ).first {
                throw StoreError.domainAttached(hostname.text, to: try row["hostname"])
            }
            if try tx.isProvenElsewhere(hostname.text, account: account) {
                throw StoreError.domainTaken(hostname.text)
            }
            let count: Int = try tx.row(
                "SELECT count(*) AS n FROM domains WHERE tunnel_id = $1", tunnel)["n"]
            guard count < Self.maxDomainsPerTunnel else {
                throw StoreError.tooManyDomains(Self.maxDomainsPerTunnel)
            }
            let id = DomainID.random()
            try tx.query(
                "INSERT INTO domains (id, account_id, tunnel_id, hostname) VALUES ($1, $2, $3, $4)", id,
                account, tunnel, hostname.text)
            try tx.audit(
                "domain.add", actor: actor, account: account, subject: id.text,
                after: ["hostname": .string(hostname.text), "tunnel": .string(tunnel.text)])
            return try tx.domain(id, account: account)
        }
    }

    /// nil when the account has no such tunnel with such a name.
    public func domain(_ id: DomainID, tunnel: TunnelID, account: AccountID) async throws(StoreError)
        -> DomainView?
    {
        try await transaction { tx in
            try tx.domain(id, account: account).flatMap { $0.tunnel == tunnel ? $0 : nil }
        }
    }

    /// The tunnel's own names, oldest first; nil when the account has no such tunnel.
    public func domains(
        of tunnel: TunnelID, account: AccountID, _ page: Page
    ) async throws(StoreError) -> Listing<DomainView>? {
        try await transaction { tx in
            guard
                try tx.query(
                    "SELECT 1 FROM tunnels WHERE id = $1 AND account_id = $2", tunnel, account
                ).first != nil
            else { return nil }
            let found = try tx.query(
                """
                SELECT seq, id, account_id, tunnel_id, hostname, state, misses, created_s, proven_s, missing_since_s,
                    checked_s, next_check_s, target, own_domains, port
                FROM shown_domains
                WHERE tunnel_id = $1 AND account_id = $2 AND seq > $3
                ORDER BY seq LIMIT $4
                """, tunnel, account, page.after ?? 0, page.limit + 1
            ).map { row in (place: try row["seq"] as Int, item: try DomainView(row)) }
            return Listing(found, page)
        }
    }

    /// Detaches a name: relays forget it with the next revision. False when the account has no such tunnel with such
    /// a name.
    public func deleteDomain(
        _ id: DomainID, tunnel: TunnelID, account: AccountID, actor: Actor
    ) async throws(StoreError) -> Bool {
        try await transaction { tx in
            guard try tx.lockedTerms(of: account) != nil,
                let domain = try tx.lockedDomain(id, account: account), domain.tunnel == tunnel
            else { return false }
            try tx.query("DELETE FROM domains WHERE id = $1", id)
            if domain.isServed { try tx.tellRelays(of: tunnel) }
            try tx.audit(
                "domain.delete", actor: actor, account: account, subject: id.text,
                before: [
                    "hostname": .string(domain.hostname), "tunnel": .string(tunnel.text),
                    "state": .string(domain.proof.state.rawValue),
                ])
            return true
        }
    }

    /// Takes in what a look-up found. A name that becomes proven is served, and one that lapses is not any more,
    /// from the next revision on; of two accounts that prove a name at once, one has it. `lease` is the leader's.
    /// The finding that counted, and the name as it is now; nil when it is gone.
    public func recordDomainCheck(
        _ id: DomainID, account: AccountID, _ finding: DomainFinding, now: WallTime, actor: Actor,
        as lease: Lease? = nil
    ) async throws(StoreError) -> (finding: DomainFinding, domain: DomainView)? {
        try await transaction { tx in
            if let lease { try tx.check(lease) }
            guard try tx.lockedTerms(of: account) != nil,
                let before = try tx.lockedDomain(id, account: account)
            else { return nil }
            let isElsewhere =
                try finding == .found && before.proof.state != .proven
                && tx.isProvenElsewhere(before.hostname, account: account)
            let finding = isElsewhere ? DomainFinding.taken : finding
            var after = before
            let news = after.proof.take(finding, now: now)
            try tx.write(after)
            if before.isServed != after.isServed { try tx.tellRelays(of: after.tunnel) }
            if before.proof.state != after.proof.state {
                try tx.audit(
                    "domain.\(after.proof.state.rawValue)", actor: actor, account: account, subject: id.text,
                    before: ["state": .string(before.proof.state.rawValue)],
                    after: [
                        "state": .string(after.proof.state.rawValue), "hostname": .string(after.hostname),
                    ])
            }
            if let news { try tx.tellOwners(news, of: after) }
            return (finding, after)
        }
    }

    /// Names whose look-up is due, longest overdue first.
    public func dueDomains(now: WallTime, limit: Int, as lease: Lease) async throws(StoreError) -> [DueDomain]
    {
        try await transaction { tx in
            try tx.check(lease)
            return try tx.query(
                """
                SELECT id, account_id, hostname FROM domains
                WHERE next_check_at <= to_timestamp($1) ORDER BY next_check_at LIMIT $2
                """, now, limit
            ).map { row in
                DueDomain(id: try row["id"], account: try row["account_id"], hostname: try row["hostname"])
            }
        }
    }
}

extension Transaction {
    fileprivate mutating func domain(_ id: DomainID, account: AccountID) throws(PostgresError) -> DomainView?
    {
        guard
            let row = try query(
                """
                SELECT id, account_id, tunnel_id, hostname, state, misses, created_s, proven_s, missing_since_s,
                    checked_s, next_check_s, target, own_domains, port
                FROM shown_domains
                WHERE id = $1 AND account_id = $2
                """, id, account
            ).first
        else { return nil }
        return try DomainView(row)
    }

    /// The caller holds the account's terms: domains come after accounts and plans, before regions.
    fileprivate mutating func lockedDomain(_ id: DomainID, account: AccountID) throws(PostgresError)
        -> DomainView?
    {
        try query("SELECT 1 FROM domains WHERE id = $1 AND account_id = $2 FOR UPDATE", id, account)
        return try domain(id, account: account)
    }

    /// Also when it is a tunnel's name under a base domain of earlier days.
    fileprivate mutating func isProvenElsewhere(
        _ hostname: String, account: AccountID
    ) throws(PostgresError) -> Bool {
        try query(
            """
            SELECT 1 FROM domains WHERE hostname = $1 AND state = 'proven' AND account_id <> $2
            UNION ALL SELECT 1 FROM tunnels WHERE hostname = $1
            """, hostname, account
        ).first != nil
    }

    fileprivate mutating func write(_ domain: DomainView) throws {
        do {
            try query(
                """
                UPDATE domains SET
                    state = $2, misses = $3, proven_at = to_timestamp($4), missing_since = to_timestamp($5),
                    checked_at = to_timestamp($6), next_check_at = to_timestamp($7)
                WHERE id = $1
                """, domain.id, domain.proof.state.rawValue, domain.proof.misses, domain.proof.provenAt,
                domain.proof.missingSince, domain.proof.checkedAt, domain.proof.nextCheck)
        } catch PostgresError.uniqueViolation(constraint: "domains_proven_key") {
            // Another account's proof came between our look and our write: the next try sees it.
            throw PostgresError.serializationFailure
        }
    }

    fileprivate mutating func tellRelays(of tunnel: TunnelID) throws {
        let region: String = try row("SELECT region_id FROM tunnels WHERE id = $1", tunnel)["region_id"]
        try announce(region, nextRevision(of: region), upserts: [tunnel])
    }

    fileprivate mutating func tellOwners(
        _ news: DomainProof.News, of domain: DomainView
    ) throws(PostgresError) {
        for owner in try owners(of: domain.account) {
            switch news {
            case .willLapse(let time):
                try post(
                    .domainWillLapse(
                        to: owner, hostname: domain.hostname, proof: domain.records.proof, at: time))
            case .lapsed:
                try post(.domainLapsed(to: owner, hostname: domain.hostname, proof: domain.records.proof))
            }
        }
    }
}
