import Core

/// Waiting times between questions to the control plane: full jitter, so that many agents that lost the same relay
/// do not come back together. The n-th wait of a pace is random between 0 and first · 2ⁿ, at most `most`: what failed
/// while nothing served does not keep the reserve waiting afterwards.
struct Backoff: Sendable {
    /// How urgent the next question is.
    enum Pace: Int, Sendable, CaseIterable {
        /// Nobody can join.
        case nothingServes
        /// Players come in, but not by the owner.
        case ownerLacks
        /// Only the reserve is missing.
        case standbyLacks

        var first: Milliseconds {
            switch self {
            case .nothingServes: .seconds(1)
            case .ownerLacks, .standbyLacks: .seconds(10)
            }
        }

        var most: Milliseconds {
            switch self {
            case .nothingServes: .seconds(30)
            case .ownerLacks: .minutes(1)
            case .standbyLacks: .minutes(5)
            }
        }
    }

    /// By pace.
    private var failures = [Int](repeating: 0, count: Pace.allCases.count)
    private var random: SplitMix64

    init(seed: UInt64) { random = SplitMix64(state: seed) }

    mutating func reset() { failures = [Int](repeating: 0, count: Pace.allCases.count) }

    mutating func next(_ pace: Pace) -> Milliseconds {
        let limit = min(pace.most.count, pace.first.count << min(failures[pace.rawValue], 10))
        failures[pace.rawValue] += 1
        return within(Milliseconds(limit))
    }

    /// Some time up to `most`.
    mutating func within(_ most: Milliseconds) -> Milliseconds {
        Milliseconds(Int.random(in: 0...max(0, most.count), using: &random))
    }

    /// A wait that was asked for, and up to half of it again so that not all come at its end.
    mutating func spread(_ asked: Milliseconds) -> Milliseconds {
        Milliseconds(asked.count + within(Milliseconds(asked.count / 2)).count)
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
