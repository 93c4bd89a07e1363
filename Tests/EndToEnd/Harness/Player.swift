import Core

/// A player whose login the home server took. What it sends comes back where the home server echoes.
struct Player {
    let connection: Connection

    /// The status text as the server list gets it. A pong with other bytes than the ping's throws.
    static func ping(port: Int, _ address: String) throws -> String {
        let connection = try Connection(to: port)
        try connection.send(Packets.handshake(address, intent: 1) + Packets.packet(0, []))
        var (id, fields, _) = try connection.receivePacket()
        let status = try fields.string()
        guard id == 0, fields.rest.isEmpty else { throw Trouble("the status answer is none") }
        let token: [UInt8] = (1...8).map { _ in .random(in: 0...255) }
        try connection.send(Packets.packet(1, token))
        let pong = try connection.receivePacket()
        guard pong.id == 1, pong.fields.rest == token else { throw Trouble("the pong is another ping's") }
        return status
    }

    /// Logs in. Throws with the text that the player reads when it is refused.
    static func join(port: Int, _ address: String, as name: String = "Steve") throws -> Player {
        let connection = try Connection(to: port)
        let start = Packets.packet(0, Packets.string(name) + [UInt8](repeating: 0, count: 16))
        try connection.send(Packets.handshake(address, intent: 2) + start)
        var (id, fields, _) = try connection.receivePacket()
        guard id == 2 else { throw Trouble("kicked: \(id == 0 ? try fields.string() : "packet \(id)")") }
        return Player(connection: connection)
    }

    /// The text of the kick that a login ends in.
    static func kick(port: Int, _ address: String) throws -> String {
        let connection = try Connection(to: port)
        let start = Packets.packet(0, Packets.string("Steve") + [UInt8](repeating: 0, count: 16))
        try connection.send(Packets.handshake(address, intent: 2) + start)
        var (id, fields, _) = try connection.receivePacket()
        guard id == 0 else { throw Trouble("the login was taken") }
        let text = try fields.string()
        guard try connection.receiveToEnd().isEmpty else { throw Trouble("more came behind the kick") }
        return text
    }

    /// Sends some bytes and throws unless the same come back.
    func echo(_ count: Int = 1000) throws {
        let bytes: [UInt8] = (0..<count).map { _ in .random(in: 0...255) }
        try connection.send(bytes)
        guard try connection.receive(exactly: count) == bytes else { throw Trouble("other bytes came back") }
    }

    /// Goes away, and waits until the home server has closed too.
    func leave() throws {
        connection.finishSending()
        guard try connection.receiveToEnd().isEmpty else { throw Trouble("bytes came that nobody asked for") }
    }
}
