import Core
import Crypto
import Domain
import IO
import Redis
import Store
import Support
import Synchronization
import Testing
import Wire

@testable import Reconcilers

private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: 1 << 40) + Milliseconds(milliseconds) }

private func delta(_ rev: Int, epoch: Int = 1) -> RegionDelta {
    RegionDelta(
        epoch: epoch, region: "eu", prevRev: rev - 1, rev: rev,
        upserts: [
            Assignment(
                tunnel: "t\(rev)", account: "a", hostnames: ["h\(rev)"], generation: 1, state: .offline)
        ])
}

@Suite struct RegionPublicationTests {
    private let empty = RegionSnapshot(epoch: 1, region: "eu", rev: 5, assignments: [], relays: [])

    @Test func deltasGoOutInOrderAndAGapMeansReadingAgain() throws {
        var publication = RegionPublication(empty)
        #expect(publication.advance([delta(6), delta(7)]) == [.delta(delta(6)), .delta(delta(7))])
        #expect(publication.rev == 7)
        #expect(publication.advance([delta(7)]) == [])
        #expect(publication.advance([delta(9)]) == nil)
    }

    @Test func snapshotsFollowChangesAtALimitedPaceAndBeaconsEachSecond() {
        var publication = RegionPublication(empty)
        func tell(_ now: Int) -> [String] {
            publication.owed(at(now)).map { owed in
                publication.told(owed, at(now))
                return if case .beacon = owed { "beacon" } else { "snapshot" }
            }
        }
        #expect(tell(0) == ["snapshot", "beacon"])
        #expect(tell(100) == [])
        _ = publication.advance([delta(6)])
        #expect(tell(200) == [])
        #expect(tell(500) == ["snapshot"])
        #expect(tell(1000) == ["beacon"])
        publication.redisReturned()
        #expect(tell(1001) == ["snapshot", "beacon"])
    }
}

@Suite struct RegionWatchTests {
    @Test func aChangeReleasesThoseWhoAreBehindIt() async {
        let watch = RegionWatch()
        await withDiscardingTaskGroup { group in
            group.addTask { await watch.wait("eu", beyond: 4, timeout: .minutes(5)) }
            while watch.waiting == 0 { await Task.yield() }
            watch.advance("us", to: 9)
            watch.advance("eu", to: 4)
            #expect(watch.waiting == 1)
            watch.advance("eu", to: 5)
        }
        #expect(watch.waiting == 0)
        // What is known already does not wait.
        await watch.wait("eu", beyond: 4, timeout: .minutes(5))
    }

    @Test func nobodyWaitsOnceItIsClosed() async {
        let watch = RegionWatch()
        watch.close()
        await watch.wait("eu", beyond: 0, timeout: .minutes(5))
    }

    @Test func waitingEndsByItself() async {
        await RegionWatch().wait("eu", beyond: 0, timeout: Milliseconds(1))
    }
}

@Suite struct PublishingTests {
    private struct Parts: Sendable {
        let fixture: Fixture
        let redis: PrivateRedis
        let thread: LoopThread
        let client: RedisClient
        let leadership: Leadership
        let work: Task<Void, Never>
        let messages: AsyncStream<AssignmentMessage>

        func end() {
            work.cancel()
            fixture.watch.close()
            client.close()
            thread.stop()
            redis.end()
        }
    }

    /// A leader that publishes, and a subscriber that checks signatures as relays do.
    private func start() async throws -> Parts {
        let fixture = try await Fixture()
        let redis = try PrivateRedis()
        let url = try #require(RedisURL(redis.url))
        let thread = try LoopThread.start(name: "publishing")
        let client = await RedisClient.start(url: url, on: thread.mailbox)
        let leadership = Leadership(store: fixture.store, holder: "test")
        let publisher = Publisher(
            store: fixture.store, redis: client, watch: fixture.watch,
            keys: SigningKeys(KeyRing(signing: fixture.key)),
            leadership: leadership)
        let keys = VerificationKeys([fixture.key.publicKey])
        let (messages, deliver) = AsyncStream.makeStream(of: AssignmentMessage.self)
        let (states, report) = AsyncStream.makeStream(of: RedisState.self)
        thread.mailbox.post { loop in
            let subscriber = RedisConnection(loop: loop, url: url)
            subscriber.onStateChange = { state in
                leadership.redisIs(ready: state == .ready)
                report.yield(state)
            }
            subscriber.subscribe(["assignments:eu"]) { _, payload in
                let text = String(decoding: payload, as: UTF8.self)
                if let message = try? AssignmentMessage.verify(text, region: "eu", keys: keys) {
                    deliver.yield(message)
                }
            }
            subscriber.start()
            // Held until the loop ends.
            loop.schedule(after: .minutes(60)) { subscriber.close() }
        }
        for await state in states where state == .ready { break }
        let follow = fixture.followChanges()
        let work = Task {
            await withDiscardingTaskGroup { group in
                group.addTask { await leadership.run() }
                group.addTask { await publisher.run() }
            }
            follow.cancel()
        }
        return Parts(
            fixture: fixture, redis: redis, thread: thread, client: client, leadership: leadership,
            work: work,
            messages: messages)
    }

    private func snapshot(_ parts: Parts) async throws -> RegionSnapshot? {
        guard let text = try await parts.client.command("GET", "snapshot:eu", timeout: .seconds(10)).text
        else { return nil }
        let message = try AssignmentMessage.verify(
            text, region: "eu", keys: VerificationKeys([parts.fixture.key.publicKey]))
        guard case .snapshot(let snapshot) = message else { return nil }
        return snapshot
    }

    @Test func aRelayThatFollowsRedisKnowsEveryPlacement() async throws {
        let parts = try await start()
        defer { parts.end() }
        let account = try await parts.fixture.account()
        var messages = parts.messages.makeAsyncIterator()
        while let message = await messages.next() { if case .beacon = message { break } }
        var state = RegionState(region: "eu")
        _ = state.apply(.snapshot(try #require(try await snapshot(parts))), fromControlPlane: false)

        try await parts.fixture.relay("r1")
        let tunnel = try await parts.fixture.tunnel(account)
        _ = try await parts.fixture.place(tunnel, "ses_1", account)
        while state.assignments[tunnel]?.owner == nil, let message = await messages.next() {
            #expect(state.apply(message) != .gap)
        }
        #expect(state.assignments[tunnel]?.owner == "r1")
        while let message = await messages.next() {
            guard case .beacon(let beacon) = message, beacon.rev >= state.rev else { continue }
            #expect(state.check(beacon) == .current)
            break
        }
    }

    @Test func afterRedisLostEverythingTheSnapshotComesBack() async throws {
        let parts = try await start()
        defer { parts.end() }
        var messages = parts.messages.makeAsyncIterator()
        while let message = await messages.next() { if case .beacon = message { break } }
        parts.redis.halt()
        try await parts.fixture.relay("r9")
        try parts.redis.resume()
        while let message = await messages.next() {
            if case .beacon(let beacon) = message, beacon.rev > 0 { break }
        }
        #expect(try await snapshot(parts)?.relays.map(\.id) == ["r9"])
    }

    /// Promise: what Redis loses while it runs, or gets back from a backup, is put right without a change.
    @Test func aSnapshotThatVanishedOrIsOldIsReplaced() async throws {
        let parts = try await start()
        defer { parts.end() }
        try await parts.fixture.relay("r1")
        func isThere() async throws -> Bool { try await snapshot(parts)?.relays.map(\.id) == ["r1"] }
        try await eventually("the snapshot is there") { try await isThere() }
        _ = try await parts.client.command("FLUSHALL", timeout: .seconds(30))
        try await eventually("it is there again") { try await isThere() }
        let epoch = try #require(parts.leadership.current?.epoch)
        _ = try await parts.client.command("SET", "snapshot:eu", "old", timeout: .seconds(30))
        _ = try await parts.client.command("SET", "snapshot:eu:order", "\(epoch) 0", timeout: .seconds(30))
        try await eventually("the old one is replaced") { (try? await isThere()) == true }
    }

    @Test func anOlderLeaderCannotReplaceASnapshot() async throws {
        let thread = try LoopThread.start(name: "projection")
        defer { thread.stop() }
        let url = try #require(RedisURL(try PrivateRedis.shared().url))
        let projection = RedisProjection(await RedisClient.start(url: url, on: thread.mailbox))
        #expect(try await projection.replaceSnapshot("zz", epoch: 2, rev: 10, signed: "a"))
        #expect(try await !projection.replaceSnapshot("zz", epoch: 1, rev: 99, signed: "b"))
        #expect(try await !projection.replaceSnapshot("zz", epoch: 2, rev: 9, signed: "c"))
        #expect(try await projection.replaceSnapshot("zz", epoch: 2, rev: 10, signed: "d"))
        #expect(try await projection.replaceSnapshot("zz", epoch: 3, rev: 1, signed: "e"))
    }

    @Test func oneOfTwoLeadsAndTheOtherTakesOverUnderALaterEpoch() async throws {
        let fixture = try await Fixture()
        let first = try #require(try await fixture.store.holdLease(Lease.leader, holder: "one", length_s: 6))
        #expect(try await fixture.store.holdLease(Lease.leader, holder: "two", length_s: 6) == nil)
        try await fixture.store.releaseLease(first)
        let second = try #require(try await fixture.store.holdLease(Lease.leader, holder: "two", length_s: 6))
        #expect(second.epoch > first.epoch)
        await #expect(throws: StoreError.leaseLost) {
            _ = try await fixture.store.outbox("eu", after: 0, as: first)
        }
    }
}
