import Core

/// Where the tunnel lives: the relay that owns it and, if the region has a second one, the standby.
public struct Placement: Sendable, Hashable, CustomStringConvertible {
    public var generation: Int
    public var owner: PlacedRelay
    public var standby: PlacedRelay?

    public init(generation: Int, owner: PlacedRelay, standby: PlacedRelay? = nil) {
        self.generation = generation
        self.owner = owner
        self.standby = standby
    }

    /// The owner first.
    var relays: [PlacedRelay] { [owner] + (standby.map { [$0] } ?? []) }

    func relay(_ id: String) -> PlacedRelay? { relays.first { $0.id == id } }

    func names(_ relay: String) -> Bool { self.relay(relay) != nil }

    public var description: String {
        "generation \(generation) at \(owner)" + (standby.map { ", standby \($0)" } ?? "")
    }
}

/// One relay of a placement and the ticket that opens it. The ticket does not print.
public struct PlacedRelay: Sendable, Hashable, CustomStringConvertible {
    public var id: String
    public var endpoint: Endpoint
    /// SHA-256 of the relay's certificate in hex.
    public var fingerprint: String
    public var ticket: String

    public init(id: String, endpoint: Endpoint, fingerprint: String, ticket: String) {
        self.id = id
        self.endpoint = endpoint
        self.fingerprint = fingerprint
        self.ticket = ticket
    }

    public var description: String { id }
}
