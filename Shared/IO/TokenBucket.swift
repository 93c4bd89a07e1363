import Core

/// How many bytes may pass now, for a rate: tokens come back with time, unused ones add up to one second's worth.
/// In every span of time at most `burst` plus rate times span is taken.
public struct TokenBucket: Sendable, Hashable {
    public private(set) var bytes_per_s: Int
    /// Bytes that may pass at the last `refill`; below 0 after `charge`.
    public private(set) var available: Int
    /// Of a byte, in billionths.
    private var fraction = 0
    private var refilledAt: Instant

    /// At the lowest rate too, one full read may pass at once.
    public static let leastBurst = EventLoop.scratchBytes
    /// Faster than any network card here; sums of nanoseconds times bytes stay within 63 bits.
    private static let highestRate = 1 << 32
    private static let nanosecondsPerSecond = 1_000_000_000

    /// A bucket that `isFull` has saved up for a burst.
    public init(bytes_per_s: Int, isFull: Bool, now: Instant) {
        self.bytes_per_s = Self.usable(bytes_per_s)
        available = 0
        refilledAt = now
        if isFull { available = burst }
    }

    /// What may pass at once after a quiet time.
    public var burst: Int { max(bytes_per_s, Self.leastBurst) }

    public mutating func refill(now: Instant) {
        guard now > refilledAt else { return }
        let elapsed_ns = now.nanoseconds - refilledAt.nanoseconds
        let missing_ns = UInt64((burst - available) * Self.nanosecondsPerSecond / bytes_per_s)
        refilledAt = now
        guard elapsed_ns <= missing_ns else {
            available = burst
            fraction = 0
            return
        }
        let (bytes, rest) = (Int(elapsed_ns) * bytes_per_s + fraction)
            .quotientAndRemainder(dividingBy: Self.nanosecondsPerSecond)
        available = min(burst, available + bytes)
        fraction = rest
    }

    /// Takes `most` bytes, or what there is.
    public mutating func take(_ most: Int) -> Int {
        let taken = max(0, min(most, available))
        available -= taken
        return taken
    }

    /// Takes back what was taken and not used.
    public mutating func giveBack(_ bytes: Int) { available = min(burst, available + bytes) }

    /// Bytes that passed unasked, paid for later.
    public mutating func charge(_ bytes: Int) { available = max(-burst, available - min(bytes, 2 * burst)) }

    /// When so many bytes are available, if none are taken; never later than when the bucket is full.
    public func time(of bytes: Int) -> Instant {
        let missing = min(bytes, burst) - available
        guard missing > 0 else { return refilledAt }
        // Rounded up: at that time they are there.
        let wait_ns = (missing * Self.nanosecondsPerSecond - fraction + bytes_per_s - 1) / bytes_per_s
        return Instant(nanoseconds: refilledAt.nanoseconds + UInt64(wait_ns))
    }

    /// From `now` on. A bucket keeps what it saved, but a lower rate leaves no more than its share of it: whoever
    /// used all of a high rate has no burst of a lower one.
    public mutating func change(bytes_per_s rate: Int, now: Instant) {
        refill(now: now)
        let before = burst
        bytes_per_s = Self.usable(rate)
        available = max(available, -burst)
        guard burst < before, available > 0 else { return }
        available = Int(Double(available) / Double(before) * Double(burst))
    }

    private static func usable(_ bytes_per_s: Int) -> Int { min(max(1, bytes_per_s), highestRate) }
}
