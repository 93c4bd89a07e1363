import Core

/// How fast the players of a tunnel may be at a relay that is not its owner: as the owner said last, and an even part
/// of the limit when it has said nothing for a while.
public struct GrantedShare: Sendable {
    private struct Word: Sendable {
        let bytes_per_s: Int
        /// The tunnel's limit at that time.
        let limit: Int
        let at: Instant
    }
    private var word: Word?

    /// An owner says something each second.
    public static let silence = Milliseconds.seconds(3)

    public init() {}

    /// The owner's word, in bytes a second, while the tunnel's limit is `limit`.
    public mutating func granted(_ bytes_per_s: Int, limit: Int, now: Instant) {
        word = Word(bytes_per_s: max(0, min(bytes_per_s, limit)), limit: limit, at: now)
    }

    /// In bytes a second. `relays` may have players of the region, this one included. A limit that changed since the
    /// owner spoke changes the share alike, until the owner speaks again.
    public func rate(limit: Int, relays: @autoclosure () -> Int, now: Instant) -> Int {
        guard let word, now.since(word.at) < Self.silence else { return limit / max(1, relays()) }
        guard limit != word.limit else { return word.bytes_per_s }
        guard word.limit > 0 else { return limit / max(1, relays()) }
        return Int(Double(word.bytes_per_s) / Double(word.limit) * Double(limit))
    }
}
