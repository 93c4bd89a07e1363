import Core
import IO
import Testing

/// All with invented time.
struct TokenBucketTests {
    private func at(_ nanoseconds: UInt64) -> Instant { Instant(nanoseconds: 1_000_000 + nanoseconds) }
    private let second: UInt64 = 1_000_000_000

    @Test func aFullBucketGivesOneSecondAtOnceAndThenTheRate() {
        var bucket = TokenBucket(bytes_per_s: 1_000_000, isFull: true, now: at(0))
        #expect(bucket.take(5_000_000) == 1_000_000)
        #expect(bucket.take(1) == 0)
        bucket.refill(now: at(second / 4))
        #expect(bucket.take(5_000_000) == 250_000)
        bucket.refill(now: at(100 * second))
        #expect(bucket.take(5_000_000) == 1_000_000)
    }

    @Test func theLowestRateStillGivesOneFullRead() {
        var bucket = TokenBucket(bytes_per_s: 1000, isFull: true, now: at(0))
        #expect(bucket.take(1 << 20) == EventLoop.scratchBytes)
        bucket.refill(now: at(second))
        #expect(bucket.take(1 << 20) == 1000)
    }

    @Test(arguments: [7, 1000, 999_983, 62_500_000, 4_000_000_007])
    func noSpanOfTimeSeesMoreThanBurstAndRate(rate: Int) {
        var bucket = TokenBucket(bytes_per_s: rate, isFull: true, now: at(0))
        var random = SystemRandomNumberGenerator()
        var now: UInt64 = 0
        var sum = 0
        // Rate times time minus what passed: a burst is how far it ever falls.
        var highest = 0.0
        for _ in 0..<5000 {
            now += UInt64.random(in: 0...second / 20, using: &random)
            bucket.refill(now: at(now))
            let earned = Double(rate) * Double(now) / Double(second)
            highest = max(highest, earned - Double(sum))
            let taken = bucket.take(Int.random(in: 0...max(1, rate / 10), using: &random))
            bucket.giveBack(taken / 3)
            sum += taken - taken / 3
            #expect(highest - (earned - Double(sum)) <= Double(bucket.burst) + 1)
        }
    }

    @Test(arguments: [7, 999_983, 62_500_000])
    func oddPiecesOfTimeLoseNothing(rate: Int) {
        var bucket = TokenBucket(bytes_per_s: rate, isFull: false, now: at(0))
        var now: UInt64 = 0
        var sum = 0
        for step in 0..<10_000 {
            now += UInt64(step % 977 + 1)
            bucket.refill(now: at(now))
            sum += bucket.take(.max)
        }
        #expect(sum == Int(now) * rate / Int(second))
    }

    @Test(arguments: [1, 7, 999_983, 62_500_000])
    func theTimeOfBytesIsExact(rate: Int) {
        for bytes in [1, 2, 1000, 65_536] {
            var bucket = TokenBucket(bytes_per_s: rate, isFull: false, now: at(0))
            bucket.refill(now: at(12_345))
            _ = bucket.take(.max)
            let due = bucket.time(of: bytes)
            var early = bucket
            early.refill(now: Instant(nanoseconds: due.nanoseconds - 1))
            #expect(early.available < bytes)
            bucket.refill(now: due)
            #expect(bucket.available >= bytes)
        }
    }

    @Test func whatIsGivenBackIsThereAgainButNeverMoreThanABurst() {
        var bucket = TokenBucket(bytes_per_s: 100_000, isFull: true, now: at(0))
        #expect(bucket.take(60_000) == 60_000)
        bucket.giveBack(10_000)
        #expect(bucket.available == 50_000)
        bucket.giveBack(1_000_000)
        #expect(bucket.available == 100_000)
    }

    @Test func aChargeIsPaidBackFirst() {
        var bucket = TokenBucket(bytes_per_s: 100_000, isFull: false, now: at(0))
        bucket.charge(50_000)
        bucket.refill(now: at(second / 2))
        #expect(bucket.take(1) == 0)
        bucket.refill(now: at(second))
        #expect(bucket.take(.max) == 50_000)
        bucket.charge(.max)
        #expect(bucket.available == -100_000)
    }

    @Test func aHigherRateCountsFromNowOn() {
        var bucket = TokenBucket(bytes_per_s: 100_000, isFull: false, now: at(0))
        bucket.change(bytes_per_s: 1_000_000, now: at(second / 10))
        #expect(bucket.available == 10_000)
        bucket.refill(now: at(second / 5))
        #expect(bucket.available == 110_000)
    }

    @Test func aLowerRateLeavesItsShareOfWhatWasSaved() {
        var bucket = TokenBucket(bytes_per_s: 1_000_000, isFull: true, now: at(0))
        _ = bucket.take(500_000)
        bucket.change(bytes_per_s: 100_000, now: at(0))
        #expect(bucket.available == 50_000)
        // Lower than one read is no burst.
        bucket.change(bytes_per_s: 1, now: at(0))
        #expect(bucket.available == 32_768)
    }

    @Test(arguments: [-1, 0, 1, .max])
    func extremesDoNotOverflow(rate: Int) {
        var bucket = TokenBucket(bytes_per_s: rate, isFull: false, now: at(0))
        bucket.charge(.max)
        _ = bucket.time(of: .max)
        bucket.refill(now: at(second / 3))
        bucket.change(bytes_per_s: .max - max(0, rate), now: at(second))
        bucket.charge(.max)
        bucket.refill(now: Instant(nanoseconds: .max))
        #expect(bucket.take(.max) == bucket.burst)
        // A clock that stands or goes back brings nothing.
        bucket.refill(now: at(0))
        #expect(bucket.available == 0)
    }
}
