/// The name by which a player's connection is routed, taken from what the client sent: lower case, no dot at the
/// end, nothing that mods, proxies or the port added. What a client typed and the target of an SRV record both
/// come out as the plain name.
public struct RoutingName: Sendable, Hashable, CustomStringConvertible {
    /// Characters a-z, 0-9, hyphen, underscore and dot; at most 255.
    public let text: String

    public var description: String { text }

    /// The first DNS label: "sleepy-creeper".
    public var label: String { String(text.prefix { $0 != "." }) }

    /// What the game allows as an address, in UTF-16 units.
    public static let maxUnits = 255

    public enum Refusal: Error, Sendable, Hashable {
        case empty
        /// More than 255 characters before any marker.
        case tooLong
        /// A host as BungeeCord writes it, with the player's address and identity behind it. A home server may
        /// trust them, and anyone can write them, so they never come in from outside.
        case forwardedIdentity
        /// Not a domain name: other characters, or an IP address.
        case notAName
    }

    /// Derives the name from a handshake's server address.
    ///
    /// Markers that are cut: `\0FML\0`, `\0FML2\0`, `\0FML3\0`, `\0FORGE…`, and TCPShield's `///…`. International
    /// names arrive in their ASCII form (`xn--…`), which passes through.
    public init(serverAddress: String) throws(Refusal) {
        let units = Array(serverAddress.utf8)
        // Counted as servers count that trust these parts: empty ones at the end do not count.
        let end = (units.lastIndex { $0 != 0 } ?? -1) + 1
        guard units[..<end].count(where: { $0 == 0 }) < 2 else { throw .forwardedIdentity }
        let beforeMarker = units.prefix { $0 != 0 && $0 != UInt8(ascii: "\\") }
        let typed = Self.cutTripleSlash(beforeMarker)
        let count = String(decoding: typed, as: UTF8.self).utf16.count
        guard count <= Self.maxUnits else { throw .tooLong }
        try self.init(typed: Self.cutPort(typed))
    }

    private init(typed: ArraySlice<UInt8>) throws(Refusal) {
        var name: [UInt8] = []
        for byte in typed {
            switch byte {
            case 0x41...0x5A: name.append(byte | 0x20)
            case 0x61...0x7A, 0x30...0x39, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                name.append(byte)
            default: throw .notAName
            }
        }
        while name.last == UInt8(ascii: ".") { name.removeLast() }
        guard !name.isEmpty else { throw .empty }
        // Top-level domains are never numbers, so this is an IPv4 address.
        guard !name.allSatisfy({ (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }) else {
            throw .notAName
        }
        text = String(decoding: name, as: UTF8.self)
    }

    private static func cutTripleSlash(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let slash = UInt8(ascii: "/")
        for index in text.indices.dropLast(2)
        where text[index] == slash && text[index + 1] == slash && text[index + 2] == slash {
            return text[..<index]
        }
        return text
    }

    /// Cuts ":25565". More than one colon is an IPv6 address and stays.
    private static func cutPort(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")),
            text[(colon + 1)...].allSatisfy({ (0x30...0x39).contains($0) })
        else { return text }
        return text[..<colon]
    }
}
