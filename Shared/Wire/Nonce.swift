/// 128 random bits that let an agent hand one data connection to one waiting player, once. The rendezvous makes
/// them; the first byte names the loop that keeps them. It does not print itself.
public struct Nonce: Sendable, Hashable, CustomStringConvertible {
    public static let byteCount = 16

    private let high: UInt64
    private let low: UInt64

    /// nil unless there are exactly 16 bytes.
    public init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// A fresh one for a loop to keep. The generator must be fit for secrets, as the system's is.
    public init(loop: UInt8, using random: inout some RandomNumberGenerator) {
        high = UInt64(loop) << 56 | random.next() >> 8
        low = random.next()
    }

    public var bytes: [UInt8] {
        (0..<Self.byteCount).map { index in
            UInt8(truncatingIfNeeded: (index < 8 ? high : low) >> UInt64(8 * (7 - index % 8)))
        }
    }

    /// Which of the rendezvous' loops keeps it.
    public var firstByte: UInt8 { UInt8(truncatingIfNeeded: high >> 56) }

    public var description: String { "nonce" }
}
