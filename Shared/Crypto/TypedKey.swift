import Core

/// A secret that programs authenticate with: `mca_` for agents and so on, 32 random base62 characters, and 6
/// more that check the rest, so that scanners find leaked keys and typing errors never reach the database.
public struct TypedKey: Sendable, CustomStringConvertible, CustomReflectable {
    /// Who holds the key; the raw value begins its text.
    public enum Prefix: String, Sendable, CaseIterable {
        case agent = "mca_"
        case account = "mck_"
        case relay = "mcr_"
        case `operator` = "mco_"
    }

    private static let randomCount = 32
    private static let checksumCount = 6

    public let prefix: Prefix
    /// The key itself: shown once to its owner, never stored, never logged.
    public let text: String

    public static func generate(prefix: Prefix) -> TypedKey {
        var generator = SecureRandomGenerator()
        let random = (0..<randomCount).map { _ in
            Base62.alphabet[Int.random(in: 0..<Base62.alphabet.count, using: &generator)]
        }
        let body = prefix.rawValue + String(decoding: random, as: UTF8.self)
        return TypedKey(prefix: prefix, text: body + checksum(of: body))
    }

    private init(prefix: Prefix, text: String) {
        self.prefix = prefix
        self.text = text
    }

    /// nil unless `text` is a well-formed key of some kind.
    public init?(parsing text: String) {
        for prefix in Prefix.allCases {
            if let key = TypedKey(parsing: text, prefix: prefix) {
                self = key
                return
            }
        }
        return nil
    }

    /// nil unless `text` is a well-formed key of this kind.
    public init?(parsing text: String, prefix: Prefix) {
        let bytes = Array(text.utf8)
        let start = Array(prefix.rawValue.utf8)
        guard bytes.count == start.count + Self.randomCount + Self.checksumCount, bytes.starts(with: start),
            bytes.dropFirst(start.count).allSatisfy(Base62.contains)
        else { return nil }
        let body = String(decoding: bytes.dropLast(Self.checksumCount), as: UTF8.self)
        guard text == body + Self.checksum(of: body) else { return nil }
        self.init(prefix: prefix, text: text)
    }

    private static func checksum(of body: String) -> String {
        Base62.encode(UInt64(CRC32.checksum(body.utf8)), width: checksumCount)
    }

    /// What is stored and looked up: the SHA-256 of the text. No slow hash: the text cannot be guessed.
    public var hash: [UInt8] { SHA256.hash(Array(text.utf8)) }

    /// The secret stays out of logs and dumps.
    public var description: String { prefix.rawValue + "…" }
    public var customMirror: Mirror { Mirror(self, children: ["prefix": prefix.rawValue]) }
}
