import COpenSSL

/// Random numbers that nobody can guess, from OpenSSL's generator.
public enum SecureRandom {
    public static func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            precondition(
                RAND_bytes(buffer.baseAddress, Int32(count)) == 1, "the system gives no random bytes")
            filled = count
        }
    }

    /// A number from 0 up to, not including, `bound`, each as likely as the others. `bound` is at least 1.
    public static func below(_ bound: Int) -> Int {
        var generator = SecureRandomGenerator()
        return Int.random(in: 0..<bound, using: &generator)
    }
}

/// The same source for the standard library's `shuffled(using:)` and `randomElement(using:)`.
public struct SecureRandomGenerator: RandomNumberGenerator {
    public init() {}

    public mutating func next() -> UInt64 {
        SecureRandom.bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
