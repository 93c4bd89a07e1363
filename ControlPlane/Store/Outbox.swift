import Core
import Domain
import Postgres
import Synchronization
import Wire

/// The channel on which commits tell of new revisions: `region:rev`.
public enum AssignmentsChannel {
    public static let name = "assignments"

    /// nil for a payload that is not ours.
    public static func parse(_ payload: String) -> (region: String, rev: Int)? {
        guard let colon = payload.lastIndex(of: ":"), let rev = Int(payload[payload.index(after: colon)...])
        else {
            return nil
        }
        return (String(payload[..<colon]), rev)
    }
}

extension Transaction {
    /// Writes the outbox row of a revision: what these tunnels and relays are now, which tunnels are gone. Answers
    /// what is told of the tunnels.
    @discardableResult
    mutating func announce(
        _ region: String, _ rev: Int, upserts: [TunnelID] = [], deletes: [TunnelID] = [],
        relays: [RelayInfo] = []
    ) throws(PostgresError) -> [Assignment] {
        let assignments = upserts.isEmpty ? [] : try assignments(of: upserts)
        let payload: JSON = [
            "upserts": .array(assignments.map(\.json)),
            "deletes": .array(deletes.map { .string($0.text) }),
            "relays": .array(relays.map(\.json)),
        ]
        try query("INSERT INTO outbox (region_id, rev, payload) VALUES ($1, $2, $3)", region, rev, payload)
        try query("SELECT pg_notify($1, $2)", AssignmentsChannel.name, "\(region):\(rev)")
        return assignments
    }

    /// Outbox rows as deltas, one a revision.
    mutating func deltas(_ region: String, after rev: Int, epoch: Int, limit: Int) throws -> [RegionDelta] {
        try query(
            "SELECT rev, payload FROM outbox WHERE region_id = $1 AND rev > $2 ORDER BY rev LIMIT $3", region,
            rev,
            limit
        ).map { row in
            let payload: JSON = try row["payload"]
            let rev: Int = try row["rev"]
            return RegionDelta(
                epoch: epoch, region: region, prevRev: rev - 1, rev: rev,
                upserts: try (payload["upserts"]?.arrayValue ?? []).map { json in try Assignment(json: json)
                },
                deletes: (payload["deletes"]?.arrayValue ?? []).compactMap(\.stringValue),
                relays: try (payload["relays"]?.arrayValue ?? []).map { json in try RelayInfo(json: json) })
        }
    }

    mutating func snapshot(_ region: String, rev: Int, epoch: Int) throws(PostgresError) -> RegionSnapshot {
        RegionSnapshot(
            epoch: epoch, region: region, rev: rev, assignments: try assignments(inRegion: region),
            relays: try relays(inRegion: region))
    }

    mutating func head(of region: String) throws -> (rev: Int, epoch: Int) {
        let found = try query(
            """
            SELECT rev, coalesce((SELECT epoch FROM leases WHERE name = $2), 1) AS epoch
            FROM regions WHERE id = $1
            """, region, Lease.leader)
        guard let row = found.first else { throw StoreError.unknownRegion(region) }
        return (try row["rev"], try row["epoch"])
    }
}

extension Store {
    private static let maxDeltas = 1000

    /// The next revisions after `rev`, in order, for the leader to publish.
    public func outbox(_ region: String, after rev: Int, as lease: Lease) async throws(StoreError)
        -> [RegionDelta]
    {
        try await transaction { tx in
            try tx.check(lease)
            return try tx.deltas(region, after: rev, epoch: lease.epoch, limit: Self.maxDeltas)
        }
    }

    /// The whole region for the leader to begin with.
    public func regionSnapshot(_ region: String, as lease: Lease) async throws(StoreError) -> RegionSnapshot {
        try await transaction(.repeatableRead) { tx in
            try tx.check(lease)
            let rev = try tx.head(of: region).rev
            return try tx.snapshot(region, rev: rev, epoch: lease.epoch)
        }
    }

    /// What a relay that is at `since` under `epoch` is missing: one delta that spans the revisions, the whole
    /// region when they are not kept any more or it knows more than we do, a beacon when it is up to date.
    public func changes(region: String, since: Int, epoch: Int) async throws(StoreError) -> AssignmentMessage
    {
        try await transaction(.repeatableRead) { tx in
            let head = try tx.head(of: region)
            if since == head.rev, epoch <= head.epoch {
                if let digest = digests.find(region, rev: head.rev) {
                    return .beacon(
                        RegionBeacon(epoch: head.epoch, region: region, rev: head.rev, digest: digest))
                }
                let snapshot = try tx.snapshot(region, rev: head.rev, epoch: head.epoch)
                var state = RegionState(region: region)
                _ = state.apply(snapshot, fromControlPlane: true)
                digests.keep(region, rev: head.rev, digest: state.digest.text)
                return .beacon(
                    RegionBeacon(epoch: head.epoch, region: region, rev: head.rev, digest: state.digest.text))
            }
            if since > 0, since < head.rev, epoch <= head.epoch, head.rev - since <= Self.maxDeltas {
                let deltas = try tx.deltas(region, after: since, epoch: head.epoch, limit: Self.maxDeltas)
                if deltas.count == head.rev - since,
                    let merged = RegionDelta.merged(deltas, epoch: head.epoch)
                {
                    return .delta(merged)
                }
            }
            return .snapshot(try tx.snapshot(region, rev: head.rev, epoch: head.epoch))
        }
    }

    /// Forgets what nobody asks for any more: old outbox rows, expired sign-ins, old replies, links that are not good
    /// any more, mails that are settled.
    public func tidy(as lease: Lease) async throws(StoreError) {
        try await transaction { tx in
            try tx.check(lease)
            try tx.query("DELETE FROM outbox WHERE created_at < now() - interval '1 hour'")
            try tx.query("DELETE FROM usage_reports WHERE received_at < now() - interval '14 days'")
            try tx.query(
                "DELETE FROM usage_hours WHERE hour < now() - make_interval(secs => $1)",
                UsageSpan.kept_s)
            try tx.query("DELETE FROM sessions WHERE expires_at < now()")
            try tx.query("DELETE FROM invitations WHERE expires_at < now() - interval '30 days'")
            try tx.query("DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'")
            try tx.query("DELETE FROM mail_tokens WHERE expires_at < now()")
            try tx.query(
                """
                UPDATE mail_outbox SET state = 'given_up', body = '', problem = 'it was too late', finished_at = now()
                WHERE state = 'waiting' AND expires_at < now()
                """)
            try tx.query("DELETE FROM mail_outbox WHERE finished_at < now() - interval '30 days'")
        }
    }
}

/// Each region's digest at the last revision that somebody asked for, so that a held poll does not read the whole
/// region again and again.
final class RegionDigests: Sendable {
    private let kept = Mutex<[String: (rev: Int, digest: String)]>([:])

    func find(_ region: String, rev: Int) -> String? {
        kept.withLock { kept in kept[region].flatMap { $0.rev == rev ? $0.digest : nil } }
    }

    func keep(_ region: String, rev: Int, digest: String) {
        kept.withLock { $0[region] = (rev, digest) }
    }
}
