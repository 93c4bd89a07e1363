import Core

/// What a relay tells the relays that let players of a tunnel in, once a second: how many of them are here, and what
/// they could use. A tunnel without players is told once, with none.
public struct PresenceReport: Sendable, Hashable {
    public struct Row: Sendable, Hashable {
        public var tunnel: String
        /// Logged in or let in; who looks at the server list is none.
        public var players: Int
        /// What they could use of the tunnel's limit; 0 without a limit.
        public var bytes_per_s: Int

        public init(tunnel: String, players: Int, bytes_per_s: Int) {
            self.tunnel = tunnel
            self.players = players
            self.bytes_per_s = bytes_per_s
        }
    }

    /// As many answers to questions had come over this connection when the rows were counted; whoever was let in by
    /// them is in the rows, or has left again. 0 in all but the last of several frames.
    public var answersHeard: Int
    public var rows: [Row]

    public init(answersHeard: Int, rows: [Row]) {
        self.answersHeard = answersHeard
        self.rows = rows
    }
}

/// How many bytes a second the players of tunnels may have at the relay that is told: the word of their owner.
public struct ShareReport: Sendable, Hashable {
    public struct Row: Sendable, Hashable {
        public var tunnel: String
        public var bytes_per_s: Int

        public init(tunnel: String, bytes_per_s: Int) {
            self.tunnel = tunnel
            self.bytes_per_s = bytes_per_s
        }
    }

    public var rows: [Row]

    public init(rows: [Row]) { self.rows = rows }
}

private let maxTunnelBytes = 64

extension PresenceReport {
    /// So that a frame stays below 16 KiB, whatever the tunnels are called.
    public static let maxRows = 200

    func write(to writer: inout WireWriter) {
        let sent = rows.prefix(Self.maxRows)
        writer.u32(answersHeard)
        writer.u16(sent.count)
        for row in sent {
            writer.shortText(row.tunnel, limit: maxTunnelBytes)
            writer.u32(row.players)
            writer.u64(UInt64(clamping: row.bytes_per_s))
        }
    }

    init(from reader: inout WireReader) throws(WireError) {
        answersHeard = try reader.u32()
        let count = try reader.u16()
        guard count <= Self.maxRows else {
            throw .tooLarge(what: "the rows of a presence report", bytes: count, limit: Self.maxRows)
        }
        rows = []
        rows.reserveCapacity(count)
        for _ in 0..<count {
            let tunnel = try reader.shortText(limit: maxTunnelBytes)
            let players = try reader.u32()
            rows.append(Row(tunnel: tunnel, players: players, bytes_per_s: Int(clamping: try reader.u64())))
        }
    }
}

extension ShareReport {
    public static let maxRows = 200

    func write(to writer: inout WireWriter) {
        let sent = rows.prefix(Self.maxRows)
        writer.u16(sent.count)
        for row in sent {
            writer.shortText(row.tunnel, limit: maxTunnelBytes)
            writer.u64(UInt64(clamping: row.bytes_per_s))
        }
    }

    init(from reader: inout WireReader) throws(WireError) {
        let count = try reader.u16()
        guard count <= Self.maxRows else {
            throw .tooLarge(what: "the rows of a share report", bytes: count, limit: Self.maxRows)
        }
        rows = []
        rows.reserveCapacity(count)
        for _ in 0..<count {
            let tunnel = try reader.shortText(limit: maxTunnelBytes)
            rows.append(Row(tunnel: tunnel, bytes_per_s: Int(clamping: try reader.u64())))
        }
    }
}
