import Core

/// How large the head of a message may be.
public struct HTTPHeadLimits: Sendable, Hashable {
    /// The first line with its line end.
    public var startLineBytes = 8 * 1024
    /// All field lines together with their line ends; the same again for trailers.
    public var fieldBytes = 16 * 1024
    public var fieldCount = 100

    public init() {}
}

/// What the server grants one connection.
public struct HTTPServerLimits: Sendable, Hashable {
    public var head = HTTPHeadLimits()
    /// From the first byte of a head to its last.
    public var headDeadline = Milliseconds.seconds(10)
    /// From the end of a head to the end of its body.
    public var bodyDeadline = Milliseconds.seconds(30)
    /// Without a request, on a new connection and between two.
    public var idleDeadline = Milliseconds.seconds(75)
    /// While the peer takes none of the answer.
    public var sendDeadline = Milliseconds.seconds(30)
    /// How long the rest of a refused message is read and thrown away, so that the peer sees the answer.
    public var lingerDeadline = Milliseconds.seconds(2)
    /// Requests that wait for their answers before no more are read.
    public var requestsInFlight = 16
    /// Answers that wait for the peer before no more requests are read.
    public var waitingOutputBytes = 256 * 1024
    /// A streamed answer that waits behind others or for the peer ends the connection beyond this.
    public var streamedOutputBytes = 4 * 1024 * 1024
    public var connections = 10_000

    public init() {}
}
