import Core

/// What passed through one relay since its last report, by tunnel: the body of `POST /v1/relay/usage`.
///
/// A relay sends a report until it is acknowledged, always the same one under the same id, so that the control
/// plane can add it exactly once. The hour of `from` is the hour that everything in it belongs to.
public struct UsageReport: Sendable, Hashable {
    public struct Row: Sendable, Hashable {
        public var tunnel: String
        /// From players to the home server.
        public var bytes_up: Int
        /// From the home server to players.
        public var bytes_down: Int
        /// Of everybody who was logged in, summed.
        public var player_s: Int

        public init(tunnel: String, bytes_up: Int, bytes_down: Int, player_s: Int) {
            self.tunnel = tunnel
            self.bytes_up = bytes_up
            self.bytes_down = bytes_down
            self.player_s = player_s
        }
    }

    public var relay: String
    /// Unique among the reports of this relay: which run of it, and a number that grows.
    public var id: String
    public var from: WallTime
    public var to: WallTime
    public var rows: [Row]

    /// A relay that has more to tell makes another report of it.
    public static let maxRows = 5000
    /// Of a whole report in JSON.
    public static let maxBytes = 1 << 20

    public init(relay: String, id: String, from: WallTime, to: WallTime, rows: [Row]) {
        self.relay = relay
        self.id = id
        self.from = from
        self.to = to
        self.rows = rows
    }

    public var json: JSON {
        [
            "relay": .string(relay), "report": .string(id), "from": .string(from.rfc3339),
            "to": .string(to.rfc3339),
            "tunnels": .array(
                rows.map {
                    [
                        "tunnel": .string($0.tunnel), "bytes_up": .number($0.bytes_up),
                        "bytes_down": .number($0.bytes_down), "player_s": .number($0.player_s),
                    ]
                }),
        ]
    }
}
