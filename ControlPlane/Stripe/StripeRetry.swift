import Core

/// Whether and when a request to Stripe is made once more, as Stripe's Go library decides it: half a second to five,
/// growing with the square of the tries, less up to a quarter by chance.
public struct StripeRetry: Sendable, Hashable {
    /// What became of one try.
    public enum Outcome: Sendable, Hashable {
        /// An answer. `shouldRetry` is what its `Stripe-Should-Retry` says.
        case answer(status: Int, shouldRetry: Bool?, code: String?)
        /// No connection, a broken one, no answer in time, or one that makes no sense.
        case noAnswer
    }

    /// Tries after the first.
    public var maxRetries: Int
    public static let shortestPause_ms = 500
    public static let longestPause_ms = 5000

    public init(maxRetries: Int = 2) { self.maxRetries = maxRetries }

    /// How long to wait before the next try, nil to leave it. `retries` were made already, `left` is what the
    /// request as a whole may still take, `chance` is from 0 up to 1.
    public func pause(
        after outcome: Outcome, retries: Int, left: Milliseconds, chance: Double
    ) -> Milliseconds? {
        guard retries < maxRetries, Self.isWorthRetrying(outcome) else { return nil }
        let grown = min(
            Self.shortestPause_ms + Self.shortestPause_ms * retries * retries, Self.longestPause_ms)
        let jittered = grown - Int(Double(grown / 4) * min(max(chance, 0), 1))
        let pause = Milliseconds(max(jittered, Self.shortestPause_ms))
        return pause < left ? pause : nil
    }

    static func isWorthRetrying(_ outcome: Outcome) -> Bool {
        switch outcome {
        case .noAnswer: true
        case .answer(_, let said?, _): said
        case .answer(409, nil, _): true
        // Trying again is what being rate limited forbids; a lock that somebody else held is another matter.
        case .answer(429, nil, let code): code == "lock_timeout"
        case .answer(let status, nil, _): status >= 500
        }
    }
}
