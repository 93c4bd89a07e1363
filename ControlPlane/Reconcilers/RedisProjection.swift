import Core
import Redis
import Wire

/// What we keep in Redis for relays: one signed snapshot per region, and messages about what changes. All of it may
/// vanish at any time; relays then ask over HTTP.
struct RedisProjection: Sendable {
    private let redis: RedisClient
    /// A snapshot of 100,000 tunnels takes a while to send.
    private static let timeout = Milliseconds.seconds(5)

    /// Replaces the snapshot unless one of a later leader, or of the same leader and a later revision, is there. The
    /// order is kept in a key of its own, since the signed text cannot be read by Redis.
    private static let replaceScript = """
        local epoch, rev = tonumber(ARGV[1]), tonumber(ARGV[2])
        local there = redis.call('GET', KEYS[2])
        if there and redis.call('EXISTS', KEYS[1]) == 1 then
            local e, r = string.match(there, '^(%d+) (%d+)$')
            e, r = tonumber(e), tonumber(r)
            if e and (e > epoch or (e == epoch and r > rev)) then return 0 end
        end
        redis.call('SET', KEYS[1], ARGV[3])
        redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. ARGV[2])
        return 1
        """

    init(_ redis: RedisClient) { self.redis = redis }

    static func snapshotKey(_ region: String) -> String { "snapshot:\(region)" }
    static func channel(_ region: String) -> String { "assignments:\(region)" }

    /// false when a later snapshot is there already: somebody else leads.
    func replaceSnapshot(_ region: String, epoch: Int, rev: Int, signed: String) async throws(RedisError)
        -> Bool
    {
        let key = Self.snapshotKey(region)
        let reply = try await redis.command(
            "EVAL", Self.replaceScript, "2", key, key + ":order", String(epoch), String(rev), signed,
            timeout: Self.timeout)
        return reply.integerValue == 1
    }

    /// Which snapshot is there; nil when none is.
    func snapshotOrder(_ region: String) async throws(RedisError) -> (epoch: Int, rev: Int)? {
        let key = Self.snapshotKey(region)
        guard try await redis.command("EXISTS", key).integerValue == 1,
            let parts = try await redis.command("GET", key + ":order").text?.split(separator: " "),
            parts.count == 2, let epoch = Int(parts[0]), let rev = Int(parts[1])
        else { return nil }
        return (epoch, rev)
    }

    func publish(_ region: String, signed: String) async throws(RedisError) {
        _ = try await redis.command("PUBLISH", Self.channel(region), signed)
    }
}
