/// What a player's first bytes say, as far as the display wants to know it. Nothing is decided by it: the bytes go
/// to the home server as they are.
public enum PlayerGreeting: Sendable, Hashable {
    /// A look at the server list.
    case ping
    /// Someone comes to play; the name is what the client claims.
    case login(name: String?)
    /// Too few bytes, or not Minecraft.
    case unknown

    /// Nothing more is to be learnt from more bytes.
    public var isComplete: Bool {
        switch self {
        case .ping: true
        case .login(let name): name != nil
        case .unknown: false
        }
    }

    /// Reads a handshake, and the login start behind it if it is there.
    public static func read(_ bytes: [UInt8]) -> PlayerGreeting {
        // The server list of clients before 1.7.
        if bytes.first == 0xFE { return .ping }
        var reader = Reader(bytes[...])
        guard var packet = reader.packet(limit: 2048), packet.varInt() == 0, packet.varInt() != nil,
            packet.text(limit: 1024) != nil, packet.skip(2), let intent = packet.varInt()
        else { return .unknown }
        switch intent {
        case 1: return .ping
        case 2, 3:
            guard var start = reader.packet(limit: 2048), start.varInt() == 0 else {
                return .login(name: nil)
            }
            return .login(name: start.text(limit: 64).flatMap(playerName))
        default: return .unknown
        }
    }

    /// Names have up to 16 letters, digits and underscores; anything else is not shown.
    private static func playerName(_ text: String) -> String? {
        let fits = text.utf8.allSatisfy {
            (0x61...0x7A).contains($0) || (0x41...0x5A).contains($0) || (0x30...0x39).contains($0)
                || $0 == 0x5F
        }
        return fits && (1...16).contains(text.utf8.count) ? text : nil
    }

    private struct Reader {
        private var bytes: ArraySlice<UInt8>

        init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

        mutating func varInt() -> Int? {
            var value: UInt32 = 0
            for place in 0..<5 {
                guard let byte = bytes.popFirst() else { return nil }
                value |= UInt32(byte & 0x7F) << UInt32(7 * place)
                if byte & 0x80 == 0 { return Int(Int32(bitPattern: value)) }
            }
            return nil
        }

        mutating func skip(_ count: Int) -> Bool {
            guard bytes.count >= count else { return false }
            bytes = bytes.dropFirst(count)
            return true
        }

        mutating func text(limit: Int) -> String? {
            guard let count = varInt(), (0...limit).contains(count), bytes.count >= count else { return nil }
            let content = bytes.prefix(count)
            bytes = bytes.dropFirst(count)
            return String(validating: content, as: UTF8.self)
        }

        mutating func packet(limit: Int) -> Reader? {
            guard let count = varInt(), (1...limit).contains(count), bytes.count >= count else { return nil }
            let content = bytes.prefix(count)
            bytes = bytes.dropFirst(count)
            return Reader(content)
        }
    }
}
