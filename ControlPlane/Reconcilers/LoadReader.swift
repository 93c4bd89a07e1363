import Core
import Domain
import Redis
import Store
import Wire

/// Reads each second what relays keep in Redis about their load, so that a control plane that starts late, or lost
/// messages, knows of all of them. What is not there says nothing: Redis may have lost it. Relays that the database
/// does not know do not count.
public struct LoadReader: Sendable {
    private let store: Store
    private let redis: RedisClient
    private let board: LoadBoard
    private let leadership: Leadership
    private let log = Log("loads")

    private static let interval = Milliseconds.seconds(1)
    /// A relay that was just registered is heard by its messages meanwhile.
    private static let relaysInterval = Milliseconds.seconds(3)
    private static let recent = Milliseconds(1500)

    public init(store: Store, redis: RedisClient, board: LoadBoard, leadership: Leadership) {
        self.store = store
        self.redis = redis
        self.board = board
        self.leadership = leadership
    }

    /// Runs until the task is cancelled.
    public func run() async {
        var known: [String: [String: RelayState]] = [:]
        var read: Instant?
        while await Task.pause(Self.interval) {
            if read.map({ Instant.now().since($0) >= Self.relaysInterval }) ?? true {
                do {
                    known = try await store.relayStates()
                    read = .now()
                } catch {
                    // Those that are known stay: loads are as true without the database.
                    log.debug("cannot read which relays there are: \(error)")
                }
            }
            guard leadership.redisIsReady else { continue }
            do throws(RedisError) {
                for (region, relays) in known { try await self.read(region, relays) }
            } catch {
                log.debug("cannot read loads: \(error)")
            }
        }
    }

    /// One region, whose relays are `known`.
    func read(_ region: String, _ known: [String: RelayState]) async throws(RedisError) {
        let key = LoadReport.ranking(region: region)
        let members = try await redis.command("ZRANGE", key, "0", "-1").arrayValue?.compactMap(\.text) ?? []
        let heard = board.current
        for relay in members where known[relay] != nil {
            // Whose messages come need not be asked about.
            if let at = heard.heard(relay), Instant.now().since(at) < Self.recent { continue }
            let name = LoadReport.heartbeat(relay: relay)
            // Its age by what is left of its life: asked first, so that it is never taken for younger than it is.
            guard let left = try await redis.command("PTTL", name).integerValue, left > 0,
                let beat = try await redis.command("GET", name).bytesValue,
                let report = Self.report(beat, of: relay, in: region)
            else { continue }
            board.report(report, age: Milliseconds(max(0, LoadReport.heartbeat_ms - Int(left))))
        }
        guard leadership.isLeader else { return }
        let gone = members.filter { known[$0] == .lost || known[$0] == .removed }
        if !gone.isEmpty {
            _ = try await redis.command((["ZREM", key] + gone).map { Array($0.utf8) })
        }
    }

    /// nil when it is not of this relay.
    private static func report(_ beat: [UInt8], of relay: String, in region: String) -> LoadReport? {
        guard beat.count <= LoadReport.maxBytes, let json = try? JSON.parse(beat, maxDepth: 4),
            let report = try? LoadReport(json: json),
            report.relay == relay, report.region == region
        else { return nil }
        return report
    }
}
