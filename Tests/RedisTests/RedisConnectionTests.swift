import Core
import IO
import Redis
import Support
import Synchronization
import Testing

/// A Redis of its own for each test that takes it down; the others share one.
@Suite struct RedisConnectionTests {
    private func client(_ redis: PrivateRedis) async throws -> (RedisClient, LoopThread) {
        let thread = try LoopThread.start(name: "redis-test")
        let url = try #require(RedisURL(redis.url))
        return (await RedisClient.start(url: url, on: thread.mailbox), thread)
    }

    @Test func commandsAreAnsweredInOrder() async throws {
        let (client, thread) = try await client(try PrivateRedis.shared())
        defer { thread.stop() }
        #expect(try await client.command("SET", "order:a", "1") == .status("OK"))
        try await withThrowingTaskGroup(of: Int64?.self) { group in
            for _ in 0..<200 { group.addTask { try await client.command("INCR", "order:a").integerValue } }
            var values: Set<Int64> = []
            for try await value in group { values.insert(try #require(value)) }
            #expect(values == Set(2...201))
        }
    }

    @Test func anErrorOfRedisIsTheCommandsOwn() async throws {
        let (client, thread) = try await client(try PrivateRedis.shared())
        defer { thread.stop() }
        await #expect(throws: RedisError.self) { try await client.command("NOSUCHCOMMAND") }
        #expect(try await client.command("PING") == .status("PONG"))
    }

    @Test func aLargeValueComesBackWhole() async throws {
        let (client, thread) = try await client(try PrivateRedis.shared())
        defer { thread.stop() }
        let value = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        _ = try await client.command([Array("SET".utf8), Array("large".utf8), value], timeout: .seconds(10))
        #expect(
            try await client.command([Array("GET".utf8), Array("large".utf8)], timeout: .seconds(10))
                == .bytes(value))
    }

    @Test func commandsFailWhileRedisIsAwayAndWorkAgainAfterwards() async throws {
        let redis = try PrivateRedis()
        defer { redis.end() }
        let (client, thread) = try await client(redis)
        defer { thread.stop() }
        #expect(try await client.command("PING") == .status("PONG"))
        redis.halt()
        await #expect(throws: RedisError.self) {
            // The first may still be sent into the dying connection.
            _ = try await client.command("PING", timeout: Milliseconds(500))
            _ = try await client.command("PING", timeout: Milliseconds(500))
        }
        try redis.resume()
        #expect(try await client.command("PING", timeout: .seconds(10)) == .status("PONG"))
    }

    @Test func subscriptionsComeBackAfterAnOutage() async throws {
        let redis = try PrivateRedis()
        defer { redis.end() }
        let url = try #require(RedisURL(redis.url))
        let (publisher, thread) = try await client(redis)
        defer { thread.stop() }
        let (states, report) = AsyncStream.makeStream(of: RedisState.self)
        let (messages, deliver) = AsyncStream.makeStream(of: String.self)
        let held = Mutex<LoopBound<RedisConnection>?>(nil)
        thread.mailbox.post { loop in
            let connection = RedisConnection(loop: loop, url: url)
            connection.onStateChange = { report.yield($0) }
            connection.subscribe(["news", "more"]) { channel, bytes in
                deliver.yield(channel + ":" + String(decoding: bytes, as: UTF8.self))
            }
            connection.start()
            held.withLock { $0 = LoopBound(connection, loop) }
        }
        var stateIterator = states.makeAsyncIterator()
        var messageIterator = messages.makeAsyncIterator()
        while let state = await stateIterator.next(), state != .ready {}
        _ = try await publisher.command("PUBLISH", "news", "one")
        #expect(await messageIterator.next() == "news:one")
        redis.halt()
        while let state = await stateIterator.next(), state == .ready || state == .connecting {}
        try redis.resume()
        while let state = await stateIterator.next(), state != .ready {}
        _ = try await publisher.command("PUBLISH", "more", "two", timeout: .seconds(10))
        #expect(await messageIterator.next() == "more:two")
    }

    @Test func aPasswordIsSentAndAWrongOneIsTold() async throws {
        let redis = try PrivateRedis.shared()
        let (admin, thread) = try await client(redis)
        defer { thread.stop() }
        _ = try await admin.command("ACL", "SETUSER", "me", "on", ">secret", "~*", "&*", "+@all")
        let good = await RedisClient.start(
            url: RedisURL(host: "127.0.0.1", port: redis.port, user: "me", password: "secret"),
            on: thread.mailbox)
        #expect(try await good.command("SET", "k", "v") == .status("OK"))
        let wrong = await RedisClient.start(
            url: RedisURL(host: "127.0.0.1", port: redis.port, user: "me", password: "wrong"),
            on: thread.mailbox)
        await #expect(throws: RedisError.away) {
            try await wrong.command("PING", timeout: Milliseconds(300))
        }
    }
}
