import CLinux
import Core
import IO
import Synchronization

/// A small Minecraft server: answers the status with given bytes, and after a login does what the test wants with
/// the raw connection. It notes every handshake as it came.
final class HomeServer: Sendable {
    struct Guest: Sendable {
        /// The address field of the handshake, markers included.
        let address: String
        /// The handshake packet byte for byte.
        let handshake: [UInt8]
        let player: String
        /// What the agent wrote before the player's first byte.
        let proxyHeader: [UInt8]
    }

    enum ProxyHeader: String, Sendable { case v1, v2 }

    typealias Game = @Sendable (Connection, Guest) throws -> Void

    let port: Int
    let status: String
    private let proxyHeader: ProxyHeader?
    private let game: Game
    private let listener: Int32
    private let noted = Mutex<[Guest]>([])

    static let plainStatus =
        #"{"version":{"name":"1.21.4","protocol":767},"players":{"max":20,"online":3},"description":"Home"}"#

    /// `game` gets the connection of a player who logged in; when it returns the connection is closed.
    init(
        status: String = HomeServer.plainStatus, proxyHeader: ProxyHeader? = nil,
        game: @escaping Game = HomeServer.echo
    ) throws {
        self.status = status
        self.proxyHeader = proxyHeader
        self.game = game
        let socket = try Self.boundSocket()
        listener = socket
        guard listen(socket, 512) == 0 else { throw SystemError.last("listen") }
        port = SocketAddress.local(of: socket)?.port ?? 0
        try ThreadHandle.start(name: "home") { [weak self] in
            while true {
                let guest = accept4(socket, nil, nil, Int32(O_CLOEXEC))
                guard guest >= 0 else {
                    if mc_errno() == EINTR || mc_errno() == ECONNABORTED { continue }
                    return
                }
                guard let self else {
                    close(guest)
                    return
                }
                self.receive(Connection(owning: guest))
            }
        }.detach()
    }

    deinit { end() }

    /// Nobody gets in any more; who is in stays.
    func end() { shutdown(listener, Int32(SHUT_RDWR)) }

    /// Every handshake so far that asked to log in.
    var logins: [Guest] { noted.withLock { $0 } }

    /// Sends back what comes until the player has no more to say.
    static let echo: Game = { connection, _ in
        while true {
            let bytes = try connection.receive(upTo: 65_536, within: .minutes(10))
            if bytes.isEmpty { return connection.finishSending() }
            try connection.send(bytes)
        }
    }

    private func receive(_ connection: Connection) {
        let thread = try? ThreadHandle.start(name: "home guest") { [self] in
            // What a player does wrong or a cut connection shows in the test at the player's end.
            try? serve(connection)
        }
        thread?.detach()
    }

    private func serve(_ connection: Connection) throws {
        let header = try proxyHeader.map { try Self.receiveHeader($0, connection) } ?? []
        var (_, fields, handshake) = try connection.receivePacket()
        _ = try fields.varInt()
        let address = try fields.string()
        _ = try fields.take(2)
        guard try fields.varInt() != 1 else { return try Self.answerStatus(connection, status) }
        var (_, login, _) = try connection.receivePacket()
        let guest = Guest(
            address: address, handshake: handshake, player: try login.string(), proxyHeader: header)
        noted.withLock { $0.append(guest) }
        let id = [UInt8](repeating: 7, count: 16)
        try connection.send(Packets.packet(2, id + Packets.string(guest.player) + [0]))
        try game(connection, guest)
    }

    private static func receiveHeader(_ version: ProxyHeader, _ connection: Connection) throws -> [UInt8] {
        switch version {
        case .v1:
            var line: [UInt8] = []
            while line.last != UInt8(ascii: "\n") && line.count < 108 {
                line += try connection.receive(exactly: 1)
            }
            return line
        case .v2:
            let head = try connection.receive(exactly: 16)
            return head + (try connection.receive(exactly: Int(head[14]) << 8 | Int(head[15])))
        }
    }

    private static func answerStatus(_ connection: Connection, _ status: String) throws {
        while true {
            let (id, fields, _) = try connection.receivePacket()
            if id == 0 {
                try connection.send(Packets.packet(0, Packets.string(status)))
            } else {
                return try connection.send(Packets.packet(1, fields.rest))
            }
        }
    }

    static func boundSocket() throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(O_CLOEXEC), 0)
        guard descriptor >= 0, let address = SocketAddress(octets: [127, 0, 0, 1], port: 0) else {
            throw SystemError.last("socket")
        }
        guard address.withSockaddr({ bind(descriptor, $0, $1) }) == 0 else {
            throw SystemError.last("bind")
        }
        return descriptor
    }
}

/// A port where nothing answers, and that nobody else can take meanwhile.
final class SilentPort: Sendable {
    let number: Int
    private let descriptor: Int32

    init() throws {
        descriptor = try HomeServer.boundSocket()
        number = SocketAddress.local(of: descriptor)?.port ?? 0
    }

    deinit { close(descriptor) }
}
