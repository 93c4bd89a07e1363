/// The relay where a player waits and where the agent brings a data connection.
public struct Rendezvous: Sendable, Hashable {
    public static let maxRelayBytes = 64
    public static let maxEndpointBytes = 255

    /// The relay's id, which the data connection's preamble repeats.
    public var relay: String
    /// What the agent dials: "host:port".
    public var endpoint: String

    public init(relay: String, endpoint: String) {
        self.relay = relay
        self.endpoint = endpoint
    }
}

extension Rendezvous {
    func write(to writer: inout WireWriter) {
        writer.shortText(relay, limit: Self.maxRelayBytes)
        writer.shortText(endpoint, limit: Self.maxEndpointBytes)
    }

    init(from reader: inout WireReader) throws(WireError) {
        relay = try reader.shortText(limit: Self.maxRelayBytes)
        endpoint = try reader.shortText(limit: Self.maxEndpointBytes)
    }
}
