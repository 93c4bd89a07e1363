import Wire

/// A relay's wish for one data connection. The nonce does not print.
public struct DataRequest: Sendable, Hashable {
    public var link: LinkID
    public var nonce: Nonce
    public var rendezvous: Rendezvous
    /// Ahead of need, rather than for a player who waits.
    public var isParked: Bool

    public init(link: LinkID, nonce: Nonce, rendezvous: Rendezvous, isParked: Bool) {
        self.link = link
        self.nonce = nonce
        self.rendezvous = rendezvous
        self.isParked = isParked
    }
}

/// One attempt to have a link; numbers are not used again within a session.
public struct LinkID: Sendable, Hashable {
    public let number: Int

    public init(_ number: Int) { self.number = number }
}
