/// Looks up the TXT records of a name.
public protocol TXTResolver: Sendable {
    /// Ends within a bounded time, whatever servers do. `name` without a dot at its end.
    func txt(_ name: String) async -> TXTAnswer
}

/// What is known after a look-up.
public enum TXTAnswer: Sendable, Hashable {
    /// The records, each with its strings joined; at least one.
    case records([String])
    /// A server says that there are none.
    case none
    /// Nobody could say: silence, a failure, nonsense. Says nothing about the records.
    case unavailable(String)
}
