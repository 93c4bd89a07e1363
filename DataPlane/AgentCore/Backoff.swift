import Core

/// Waiting times between attempts: full jitter, so that many agents that lost the same relay do not come back
/// together. The n-th wait is random between 0 and 0.5 s · 2ⁿ, at most 30 s.
struct Backoff: Sendable {
    private var failures = 0
    private var random: SplitMix64
    private static let first = 500
    private static let most = 30_000

    init(seed: UInt64) { random = SplitMix64(state: seed) }

    mutating func reset() { failures = 0 }

    mutating func next() -> Milliseconds {
        let limit = min(Self.most, Self.first << min(failures, 10))
        failures += 1
        return Milliseconds(Int.random(in: 0...limit, using: &random))
    }

    /// A wait that was asked for, and up to as much again (at most 5 s) so that not all come at its end.
    mutating func spread(_ asked: Milliseconds) -> Milliseconds {
        Milliseconds(asked.count + Int.random(in: 0...min(asked.count, 5000), using: &random))
    }
}

/// A small generator with a given seed, so that one seed replays a run.
struct SplitMix64: RandomNumberGenerator, Sendable {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
