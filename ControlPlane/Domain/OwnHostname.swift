import Core

/// A customer's own name for a tunnel: `play.example.com`, in lower case, without a dot at its end.
public struct OwnHostname: Sendable, Hashable, CustomStringConvertible {
    public let text: String

    public var description: String { text }

    /// So that `_minecraft._tcp.` still fits before it (RFC 1035 allows 253 characters).
    public static let maxLength = 237
    private static let maxLabelLength = 63

    /// Why a text cannot be one; each says what to do.
    public enum Problem: Error, Sendable, Hashable, CustomStringConvertible {
        case empty
        case tooLong
        case notASCII
        case wildcard
        case address
        case characters
        case label
        case single
        case topLevel
        case ours(baseDomain: String)

        public var description: String {
            switch self {
            case .empty: "must be a domain name such as play.example.com"
            case .tooLong: "must have at most \(OwnHostname.maxLength) characters"
            case .notASCII:
                "must be in its ASCII form: write names with letters such as ö as your registrar shows them,"
                    + " beginning with xn--"
            case .wildcard: "must be one name: attach each name by itself, a * is not served"
            case .address: "must be a name, not an IP address"
            case .characters: "must have only letters a to z, digits, hyphens and dots"
            case .label:
                "must have 1 to \(OwnHostname.maxLabelLength) characters between dots,"
                    + " with no hyphen at either end"
            case .single:
                "must have a dot in it, such as play.example.com: a top-level name cannot be attached"
            case .topLevel: "must end with a top-level domain of the public internet"
            case .ours(let base): "must not be under \(base): such names come with tunnels, choose one there"
            }
        }
    }

    /// Capital letters are taken as small ones, and one dot at the end is dropped.
    public init(_ typed: String, baseDomain: String) throws(Problem) {
        var bytes = typed.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
        let dot = UInt8(ascii: ".")
        guard bytes.allSatisfy({ $0 < 0x80 }) else { throw .notASCII }
        if bytes.last == dot { bytes.removeLast() }
        guard !bytes.isEmpty else { throw .empty }
        guard bytes.count <= Self.maxLength else { throw .tooLong }
        guard !bytes.contains(UInt8(ascii: "*")) else { throw .wildcard }
        guard !bytes.contains(UInt8(ascii: ":")) else { throw .address }
        guard bytes.allSatisfy({ Self.isAllowed($0) || $0 == dot }) else { throw .characters }
        let labels = bytes.split(separator: dot, omittingEmptySubsequences: false)
        guard labels.allSatisfy(Self.isLabel) else { throw .label }
        guard labels.count >= 2, let last = labels.last else { throw .single }
        // No top-level domain is a number, so what ends with one is an IPv4 address to some program.
        guard !last.allSatisfy(Self.isDigit) else { throw .address }
        let top = String(decoding: last, as: UTF8.self)
        guard last.count >= 2, let first = last.first, !Self.isDigit(first), !Self.privateTops.contains(top)
        else { throw .topLevel }
        let text = String(decoding: bytes, as: UTF8.self)
        guard text != baseDomain, !text.hasSuffix("." + baseDomain) else {
            throw .ours(baseDomain: baseDomain)
        }
        self.text = text
    }

    /// Names that mean something else on every machine (RFC 6761, RFC 8375, RFC 6762, RFC 7686).
    private static let privateTops: Set<String> = [
        "localhost", "local", "internal", "onion", "invalid", "arpa",
    ]

    private static func isAllowed(_ byte: UInt8) -> Bool {
        (0x61...0x7A).contains(byte) || isDigit(byte) || byte == UInt8(ascii: "-")
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func isLabel(_ label: ArraySlice<UInt8>) -> Bool {
        (1...maxLabelLength).contains(label.count) && label.first != UInt8(ascii: "-")
            && label.last != UInt8(ascii: "-")
    }
}
