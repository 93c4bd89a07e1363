/// The first part of a tunnel's hostname, the one a person chooses or we make up.
public struct Label: Sendable, Hashable, CustomStringConvertible {
    public let text: String

    public static let length = 3...40

    /// Why a text cannot be a label; each says what to do.
    public enum Problem: Error, Sendable, Hashable, CustomStringConvertible {
        case length
        case characters
        case hyphens
        case reserved

        public var description: String {
            switch self {
            case .length: "a name has \(Label.length.lowerBound) to \(Label.length.upperBound) characters"
            case .characters: "a name has only the letters a to z, digits and single hyphens"
            case .hyphens: "a name begins and ends with a letter or digit and has no two hyphens in a row"
            case .reserved: "this name is reserved: choose another one"
            }
        }
    }

    /// Capital letters are taken as small ones.
    public init(_ text: String) throws(Problem) {
        let bytes = text.utf8.map { (0x41...0x5A).contains($0) ? $0 + 0x20 : $0 }
        guard Self.length.contains(bytes.count) else { throw .length }
        guard bytes.allSatisfy(Self.isAllowed) else { throw .characters }
        let hyphen = UInt8(ascii: "-")
        guard bytes.first != hyphen, bytes.last != hyphen,
            !zip(bytes, bytes.dropFirst()).contains(where: { $0 == hyphen && $1 == hyphen })
        else { throw .hyphens }
        let lower = String(decoding: bytes, as: UTF8.self)
        guard !Self.reserved.contains(lower) else { throw .reserved }
        self.text = lower
    }

    public var description: String { text }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x61...0x7A, 0x30...0x39, 0x2D: true
        default: false
        }
    }

    /// Names that players could take for ours, and names that mail and certificates give power to.
    static let reserved: Set<String> = Set(
        """
        abuse account accounts admin administrator agent agents api app apps assets auth autoconfig autodiscover
        billing blog bot cdn certificate cloud community config console contact control dashboard demo dev dns docs
        download downloads email example ftp gateway git help home hostmaster http https imap info internal ipv4
        ipv6 isatap join legal localdomain localhost login logs mail mailer-daemon mcp mesh metrics minecart
        minecraft mojang monitor ns1 ns2 ns3 ns4 official operator ops owner play pop pop3 postmaster pricing
        privacy prod proxy public register relay relays root sales secure security server service settings shop
        signup site smtp staff staging static stats status store stripe sudo support sysadmin system team terms test
        testing tunnel tunnels unknown update updates usenet user users vpn webhook webhooks webmail webmaster wpad
        www www1 www2
        """.split(whereSeparator: \.isWhitespace).map(String.init))
}
