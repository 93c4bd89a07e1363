/// The one source of randomness of a run: SplitMix64, so that a seed replays it.
struct Chance: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// From 0 to `limit` - 1.
    mutating func below(_ limit: Int) -> Int {
        Int(truncatingIfNeeded: (next() >> 33) % UInt64(max(1, limit)))
    }

    mutating func within(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + below(range.upperBound - range.lowerBound + 1)
    }

    mutating func happens(_ permille: Int) -> Bool { permille > 0 && below(1000) < permille }

    /// From 0 to 1.
    mutating func fraction() -> Double { Double(next() >> 11) * 0x1p-53 }

    mutating func pick<Item>(_ items: [Item]) -> Item? { items.isEmpty ? nil : items[below(items.count)] }

    /// A generator of its own, so that what one part draws does not move another's draws.
    mutating func split() -> Chance { Chance(next()) }
}
