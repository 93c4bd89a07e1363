import Core
import Domain
import IO
import Redis
import Store
import Support
import Testing
import Wire

@testable import Reconcilers

@Suite struct LoadReaderTests {
    private struct Parts: Sendable {
        let reader: LoadReader
        let board: LoadBoard
        let client: RedisClient
        let leadership: Leadership
        let thread: LoopThread

        func end() {
            client.close()
            thread.stop()
        }

        /// As a relay does each second.
        func beat(_ report: LoadReport, key: String? = nil) async throws {
            _ = try await client.command(
                "SET", LoadReport.heartbeat(relay: key ?? report.relay), report.json.text, "PX", "60000",
                timeout: .seconds(30))
            _ = try await client.command(
                "ZADD", LoadReport.ranking(region: report.region), String(report.score), report.relay,
                timeout: .seconds(30))
        }

        func members(_ region: String) async throws -> [String] {
            try await client.command("ZRANGE", LoadReport.ranking(region: region), "0", "-1").arrayValue?
                .compactMap(\.text) ?? []
        }
    }

    private func start(_ fixture: Fixture, _ redis: PrivateRedis) async throws -> Parts {
        let thread = try LoopThread.start(name: "rankings")
        let client = await RedisClient.start(url: try #require(RedisURL(redis.url)), on: thread.mailbox)
        let board = LoadBoard()
        let leadership = Leadership(store: fixture.store, holder: "test")
        return Parts(
            reader: LoadReader(store: fixture.store, redis: client, board: board, leadership: leadership),
            board: board, client: client, leadership: leadership, thread: thread)
    }

    private func report(_ relay: String, players: Int = 1) -> LoadReport {
        LoadReport(relay: relay, region: "eu", players: players)
    }

    /// Promise: whoever starts late, or lost messages, knows the loads.
    @Test func whatRelaysLeftInRedisIsRead() async throws {
        let redis = try PrivateRedis()
        defer { redis.end() }
        let parts = try await start(try await Fixture(), redis)
        defer { parts.end() }
        try await parts.beat(report("r1", players: 7))
        try await parts.beat(report("r2"))
        try await parts.reader.read("eu", ["r1": .active, "r2": .draining])
        #expect(parts.board.current["r1"]?.players == 7)
        #expect(parts.board.current["r2"] != nil)
    }

    @Test func strangersAndWhoSpeaksForOthersDoNotCount() async throws {
        let redis = try PrivateRedis()
        defer { redis.end() }
        let parts = try await start(try await Fixture(), redis)
        defer { parts.end() }
        try await parts.beat(report("stranger"))
        try await parts.beat(report("r1"), key: "r2")
        try await parts.beat(report("r2"), key: "r1")
        try await parts.reader.read("eu", ["r1": .active, "r2": .active])
        #expect(parts.board.current["stranger"] == nil)
        #expect(parts.board.current["r1"] == nil)
        #expect(parts.board.current["r2"] == nil)
        #expect(try await parts.members("eu").contains("stranger"))
    }

    /// Promise: absence in Redis is never evidence.
    @Test func whatIsGoneFromRedisTakesNothingBack() async throws {
        let redis = try PrivateRedis()
        defer { redis.end() }
        let parts = try await start(try await Fixture(), redis)
        defer { parts.end() }
        try await parts.beat(report("r1", players: 7))
        try await parts.reader.read("eu", ["r1": .active])
        _ = try await parts.client.command("FLUSHALL", timeout: .seconds(30))
        try await parts.reader.read("eu", ["r1": .active])
        #expect(parts.board.current["r1"]?.players == 7)
        // A score that was restored from a backup, without a heartbeat, is no news either.
        _ = try await parts.client.command("ZADD", "load:eu", "100000", "r1", timeout: .seconds(30))
        try await parts.reader.read("eu", ["r1": .active])
        #expect(parts.board.current["r1"]?.players == 7)
    }

    @Test func onlyTheLeaderRemovesMembersAndOnlyThoseThatTheDatabaseSaysAreGone() async throws {
        let redis = try PrivateRedis()
        defer { redis.end() }
        let fixture = try await Fixture()
        let parts = try await start(fixture, redis)
        defer { parts.end() }
        for relay in ["r1", "r2", "r3", "stranger"] { try await parts.beat(report(relay)) }
        let known: [String: RelayState] = ["r1": .active, "r2": .lost, "r3": .removed]
        try await parts.reader.read("eu", known)
        #expect(try await parts.members("eu").count == 4)
        let work = Task { await parts.leadership.run() }
        try await eventually("it leads") { parts.leadership.isLeader }
        try await parts.reader.read("eu", known)
        #expect(try await parts.members("eu") == ["r1", "stranger"])
        work.cancel()
        await work.value
    }

    @Test func whatWasHeardSinceCountsMore() {
        let board = LoadBoard()
        board.report(report("r1", players: 9))
        board.report(report("r1", players: 2), age: .seconds(2))
        #expect(board.current["r1"]?.players == 9)
    }

    @Test func theProgramReadsByItself() async throws {
        let redis = try PrivateRedis()
        defer { redis.end() }
        let fixture = try await Fixture()
        try await fixture.relay("r1")
        let parts = try await start(fixture, redis)
        defer { parts.end() }
        try await parts.beat(report("r1", players: 5))
        let work = Task { await parts.reader.run() }
        defer { work.cancel() }
        parts.leadership.redisIs(ready: true)
        try await eventually("the load is known") { parts.board.current["r1"]?.players == 5 }
    }
}
