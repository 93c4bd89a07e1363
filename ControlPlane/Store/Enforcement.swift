import Core
import Domain
import Postgres
import Wire

/// A tunnel as far as its account's terms matter to it.
struct HeldTunnel: Sendable {
    var id: TunnelID
    var region: String
    var suspension: Suspension?
    /// Whether own domains of it are proven.
    var hasDomains: Bool

    /// From the columns id, region_id, suspended_reason and has_domains.
    init(_ row: Row) throws(PostgresError) {
        id = try row["id"]
        region = try row["region_id"]
        hasDomains = try row["has_domains"]
        suspension = try (row["suspended_reason"] as String?).map { reason throws(PostgresError) in
            guard let suspension = Suspension(rawValue: reason) else {
                throw .unexpectedValue("a tunnel's suspension is unknown")
            }
            return suspension
        }
    }
}

/// What an account has, oldest first, and its terms before and after a change.
struct Holding: Sendable {
    /// What counts at one time.
    struct Terms: Sendable {
        var plan: Plan
        var isServed: Bool
        var ownDomains: Bool

        init(_ plan: Plan, isServed: Bool, ownDomains: Bool) {
            self.plan = plan
            self.isServed = isServed
            self.ownDomains = ownDomains
        }
    }

    var account: AccountID
    var before: Terms
    var after: Terms
    var tunnels: [HeldTunnel]
}

/// Relays take in a revision at once: one that tells of more tunnels than this is cut into several.
let maxTunnelsPerRevision = 1000

extension Transaction {
    /// Suspends surplus tunnels, resumes those that have room again, and tells the regions of every tunnel whose
    /// assignment is another one now; `deleted` is a tunnel that is gone already, to be told with them.
    ///
    /// The caller holds the accounts' or the plan's lock. Regions are locked here, in order.
    mutating func enforce(_ holdings: [Holding], deleted: HeldTunnel? = nil, actor: Actor) throws {
        var suspended: [TunnelID] = []
        var resumed: [TunnelID] = []
        var touched: [String: [TunnelID]] = [:]
        if let deleted { touched[deleted.region] = [] }
        for holding in holdings {
            let change = Surplus.change(
                holding.tunnels.map { ($0.id, $0.suspension) }, maxTunnels: holding.after.plan.maxTunnels)
            suspended += change.suspended
            resumed += change.resumed
            let moved = Set(change.suspended + change.resumed)
            let allChange =
                holding.before.plan.limits != holding.after.plan.limits
                || holding.before.isServed != holding.after.isServed
            let namesChange = holding.before.ownDomains != holding.after.ownDomains
            for tunnel in holding.tunnels
            where allChange || moved.contains(tunnel.id) || (namesChange && tunnel.hasDomains) {
                touched[tunnel.region, default: []].append(tunnel.id)
            }
        }
        try suspendSurplus(suspended, actor: actor)
        try resumeSurplus(resumed, actor: actor)
        for (region, tunnels) in touched.sorted(by: { $0.key < $1.key }) {
            var deletes = deleted.map { $0.region == region ? [$0.id] : [] } ?? []
            var rest = tunnels[...]
            repeat {
                let rev = try nextRevision(of: region)
                try announce(
                    region, rev, upserts: Array(rest.prefix(maxTunnelsPerRevision)), deletes: deletes)
                rest = rest.dropFirst(maxTunnelsPerRevision)
                deletes = []
            } while !rest.isEmpty
        }
    }

    private mutating func suspendSurplus(_ tunnels: [TunnelID], actor: Actor) throws(PostgresError) {
        guard !tunnels.isEmpty else { return }
        try query(
            """
            UPDATE tunnels SET state = 'suspended', suspended_reason = 'surplus'
            WHERE id = ANY ($1) AND suspended_reason IS NULL
            """, TextArray(tunnels))
        try auditTunnels(
            "tunnel.suspend", tunnels, actor: actor, before: ["state": "active"],
            after: ["state": "suspended", "reason": "surplus"])
    }

    private mutating func resumeSurplus(_ tunnels: [TunnelID], actor: Actor) throws(PostgresError) {
        guard !tunnels.isEmpty else { return }
        try query(
            """
            UPDATE tunnels SET state = 'active', suspended_reason = NULL
            WHERE id = ANY ($1) AND suspended_reason = 'surplus'
            """, TextArray(tunnels))
        try auditTunnels(
            "tunnel.resume", tunnels, actor: actor, before: ["state": "suspended", "reason": "surplus"],
            after: ["state": "active"])
    }

    /// One row a tunnel, under its account.
    private mutating func auditTunnels(
        _ action: String, _ tunnels: [TunnelID], actor: Actor, before: JSON, after: JSON
    ) throws(PostgresError) {
        try query(
            """
            INSERT INTO audit_log (account_id, actor, address, action, subject, before, after)
            SELECT t.account_id, $2, $3, $4, t.id, $5::json, $6::json FROM tunnels t
            WHERE t.id = ANY ($1) ORDER BY t.seq
            """, TextArray(tunnels), actor.text, actor.address, action, before, after)
    }
}
