import Core

@testable import Wire

/// Hex with spaces, as the protocol's page writes it.
func bytes(_ hex: String) -> [UInt8] { Hex.decode(hex.filter { $0 != " " }) ?? [] }

let nonceHex = "000102030405060708090A0B0C0D0E0F"
let nonce = Nonce(0..<16)!
let rendezvous = Rendezvous(relay: "r1", endpoint: "h:1")

/// A small reproducible source of randomness (SplitMix64), so that a failing run can be repeated.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }
}
