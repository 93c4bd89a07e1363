import Core
import Testing

@testable import IO

/// All with invented time.
struct FairBucketTests {
    /// Runs a bucket's turns as its shell does, for senders who always have more or send now and then.
    private struct World {
        var bucket: FairBucket
        let rate: Int
        var now = Instant(nanoseconds: 0)
        var passed: [SourceID: Int] = [:]
        private var waiting: Set<SourceID> = []

        init(_ rate: Int, isFull: Bool = false) {
            self.rate = rate
            bucket = FairBucket(TokenBucket(bytes_per_s: rate, isFull: isFull, now: Instant(nanoseconds: 0)))
        }

        /// Reads until it has to wait, `piece` bytes at a time.
        mutating func bulk(_ id: SourceID, piece: Int = 65_536) {
            guard !waiting.contains(id) else { return }
            while true {
                let granted = bucket.ask(piece, for: id, now: now)
                guard granted > 0 else {
                    waiting.insert(id)
                    return
                }
                passed[id, default: 0] += granted
            }
        }

        /// One packet. False when it has to wait for a turn.
        mutating func packet(_ bytes: Int, from id: SourceID) -> Bool {
            let granted = bucket.ask(65_536, for: id, now: now)
            guard granted > 0 else { return false }
            bucket.giveBack(granted - min(granted, bytes), from: id)
            passed[id, default: 0] += min(granted, bytes)
            return granted >= bytes
        }

        mutating func pass(until end: Instant) {
            while let due = bucket.nextTurn, due <= end {
                now = max(now, due)
                bucket.beginRound()
                for _ in 0..<bucket.waitingCount {
                    guard let (id, bytes) = bucket.turn(now: now) else { break }
                    waiting.remove(id)
                    passed[id, default: 0] += bytes
                    bulk(id)
                }
            }
            now = end
        }

        var total: Int { passed.values.reduce(0, +) }
    }

    private let ids = (0..<300).map { SourceID(slot: UInt32($0), generation: 1) }
    private func seconds(_ count: Double) -> Instant { Instant(nanoseconds: UInt64(count * 1e9)) }

    @Test func whileThereIsPlentyNobodyWaits() {
        var bucket = FairBucket(
            TokenBucket(bytes_per_s: 1_000_000, isFull: true, now: Instant(nanoseconds: 0)))
        for id in ids.prefix(10) {
            let granted = bucket.ask(65_536, for: id, now: Instant(nanoseconds: 0))
            #expect(granted == 65_536)
            bucket.giveBack(granted - 100, from: id)
        }
        #expect(bucket.waitingCount == 0)
        #expect(bucket.nextTurn == nil)
    }

    @Test(arguments: [64_000, 1_000_000, 62_500_000])
    func aBulkGetsTheWholeRateAndNoMore(rate: Int) {
        var world = World(rate)
        world.bulk(ids[0])
        world.pass(until: seconds(10))
        #expect(world.total <= 10 * rate)
        #expect(world.total >= 10 * rate - rate / 8 - 8192)
    }

    @Test func bulksShareEqually() {
        var world = World(1_000_000)
        for id in ids.prefix(7) { world.bulk(id) }
        world.pass(until: seconds(10))
        let shares = ids.prefix(7).map { world.passed[$0] ?? 0 }
        let slice = world.bucket.slice
        #expect((shares.max() ?? 0) - (shares.min() ?? 0) <= slice + FairBucket.advance)
        #expect(world.total <= 10_000_000)
    }

    @Test func whoComesLaterGetsAShareAtOnce() {
        var world = World(1_000_000)
        world.bulk(ids[0])
        world.pass(until: seconds(5))
        let before = world.passed[ids[0]] ?? 0
        world.bulk(ids[1])
        world.pass(until: seconds(7))
        let after = (world.passed[ids[0]] ?? 0) - before
        #expect(abs(after - (world.passed[ids[1]] ?? 0)) <= world.bucket.slice + 2 * FairBucket.advance)
    }

    @Test func smallPacketsPassBetweenTheTurnsOfBulks() {
        var world = World(1_000_000)
        for id in ids.prefix(5) { world.bulk(id) }
        var delayed = 0
        for step in 1...400 {
            world.pass(until: seconds(Double(step) / 40))
            for id in ids[10..<20] where !world.packet(200, from: id) { delayed += 1 }
        }
        #expect(delayed == 0)
        #expect(world.total <= 10_000_000)
    }

    @Test func aFullTunnelOfGreedyPlayersStarvesNobody() {
        var world = World(2_500_000)
        for id in ids { world.bulk(id, piece: 1500) }
        world.pass(until: seconds(20))
        let shares = ids.map { world.passed[$0] ?? 0 }
        let slice = world.bucket.slice
        #expect((shares.max() ?? 0) - (shares.min() ?? 0) <= slice + FairBucket.advance)
        #expect(world.total <= 20 * 2_500_000)
    }

    @Test func aHigherLimitBringsTurnsForwardAtOnce() throws {
        var world = World(10_000)
        world.bulk(ids[0])
        let slow = try #require(world.bucket.nextTurn)
        world.bucket.change(bytes_per_s: 10_000_000, now: world.now)
        let fast = try #require(world.bucket.nextTurn)
        #expect(fast < slow)
        world.pass(until: seconds(1))
        #expect(world.total >= 9_000_000)
        #expect(world.total <= 10_000_000)
    }

    @Test func whoLeavesIsNotWaitedFor() {
        var world = World(10_000)
        world.bulk(ids[0])
        world.bulk(ids[1])
        world.bucket.forget(ids[0])
        #expect(world.bucket.waitingCount == 1)
        world.pass(until: seconds(10))
        let left = world.passed[ids[0]] ?? 0
        #expect(left <= FairBucket.advance)
        #expect((world.passed[ids[1]] ?? 0) >= 80_000)
    }
}
