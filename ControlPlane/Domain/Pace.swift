import Core

/// How much may be done now of what is done at a steady pace, with so much at once at most.
public struct Pace: Sendable, Hashable {
    private let per_s: Int
    private let burst: Int
    /// In thousandths.
    private var saved: Int
    private var counted: Instant?

    public init(per_s: Int, burst: Int) {
        self.per_s = per_s
        self.burst = burst
        saved = burst * 1000
    }

    public mutating func allowance(now: Instant) -> Int {
        if let counted {
            // An hour is as good as for ever.
            saved = min(burst * 1000, saved + min(now.since(counted).count, 3_600_000) * per_s)
        }
        counted = now
        return max(0, saved / 1000)
    }

    public mutating func take(_ count: Int) { saved -= count * 1000 }
}
