import Core

/// A token bucket that many draw on: while there is plenty everybody takes what they ask for; once it runs short
/// they take turns, a slice each, in the order in which they asked. A small reserve lets a few bytes of each
/// through between two turns, so that whoever sends little does not wait behind whoever sends much.
struct FairBucket: Sendable {
    private var bucket: TokenBucket
    private var waiting: [SourceID] = []
    /// What each has had from the reserve since the last round began.
    private var advances: [SourceID: Int] = [:]

    /// Between two turns each may have so many bytes at once.
    static let advance = 2048
    private static let leastSlice = 1024

    init(_ bucket: TokenBucket) { self.bucket = bucket }

    var bytes_per_s: Int { bucket.bytes_per_s }
    var waitingCount: Int { waiting.count }

    /// What one turn brings: about 8 ms of the rate.
    var slice: Int { min(max(bucket.bytes_per_s / 128, Self.leastSlice), Pipe.capacity) }
    /// What turns leave for small packets: about 30 ms of the rate.
    private var reserve: Int { max(bucket.bytes_per_s / 32, 2 * Self.advance) }

    /// Up to `wanted` bytes for `id`; 0 puts it in the line for a turn.
    mutating func ask(_ wanted: Int, for id: SourceID, now: Instant) -> Int {
        bucket.refill(now: now)
        if waiting.isEmpty, bucket.available >= reserve + min(wanted, slice) {
            if !advances.isEmpty { advances.removeAll(keepingCapacity: true) }
            return bucket.take(min(wanted, bucket.available - reserve))
        }
        let had = advances[id] ?? 0
        let granted = bucket.take(min(wanted, Self.advance - had))
        if granted > 0 { advances[id] = had + granted } else { waiting.append(id) }
        return granted
    }

    /// Of what `ask` or `turn` granted, so much was not used.
    mutating func giveBack(_ unused: Int, from id: SourceID) {
        bucket.giveBack(unused)
        if let had = advances[id] { advances[id] = max(0, had - unused) }
    }

    mutating func charge(_ bytes: Int) { bucket.charge(bytes) }

    /// Everybody may have an advance again.
    mutating func beginRound() { advances.removeAll(keepingCapacity: true) }

    /// Who may go on now, with how many bytes.
    mutating func turn(now: Instant) -> (id: SourceID, bytes: Int)? {
        bucket.refill(now: now)
        guard let first = waiting.first, bucket.available >= reserve + slice else { return nil }
        waiting.removeFirst()
        // What exceeds a used turn waits for the next.
        advances[first] = Self.advance
        return (first, bucket.take(slice))
    }

    /// When there is a turn to give; nil while nobody waits.
    var nextTurn: Instant? { waiting.isEmpty ? nil : bucket.time(of: reserve + slice) }

    /// It waits no more.
    mutating func forget(_ id: SourceID) {
        waiting.removeAll { $0 == id }
        advances[id] = nil
    }

    mutating func change(bytes_per_s: Int, now: Instant) {
        bucket.change(bytes_per_s: bytes_per_s, now: now)
    }
}
