/// What a player's client says first (protocol since 1.7): which name was typed and what it wants.
public struct Handshake: Sendable, Hashable {
    public enum Intent: Int32, Sendable, Hashable {
        case status = 1
        case login = 2
        /// A login that another server sent here (1.20.5 and newer).
        case transfer = 3

        public var isLogin: Bool { self != .status }
    }

    public var protocolVersion: Int32
    /// As the client sent it, with markers and dots: never for routing, see `RoutingName`.
    public var serverAddress: String
    public var port: Int
    public var intent: Intent
    /// How many bytes of the connection it took, from the very first on. They are forwarded as they came.
    public var byteCount: Int

    public init(
        protocolVersion: Int32, serverAddress: String, port: Int, intent: Intent, byteCount: Int
    ) {
        self.protocolVersion = protocolVersion
        self.serverAddress = serverAddress
        self.port = port
        self.intent = intent
        self.byteCount = byteCount
    }
}
