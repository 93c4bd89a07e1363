import Core

/// Stops asking a service that has failed, but for one try now and then.
public struct CircuitBreaker: Sendable {
    private let pause: Milliseconds
    private var openUntil: Instant?

    public init(pause: Milliseconds) { self.pause = pause }

    public var isClosed: Bool { openUntil == nil }

    /// Whether to ask now. After a failure one may, once each `pause`, until `succeeded`.
    public mutating func mayTry(now: Instant) -> Bool {
        guard let openUntil else { return true }
        guard openUntil <= now else { return false }
        self.openUntil = now + pause
        return true
    }

    public mutating func succeeded() { openUntil = nil }
    public mutating func failed(now: Instant) { openUntil = now + pause }
}
