/// A domain name as DNS carries it: labels of bytes, compared without regard to ASCII case.
public struct DNSName: Sendable, CustomStringConvertible {
    /// As they came or are to be sent, case kept.
    public let labels: [[UInt8]]

    static let maxLabelBytes = 63
    /// With the length bytes and the root's zero (RFC 1035, section 2.3.4).
    static let maxBytes = 255

    /// nil for an empty label, one of more than 63 bytes, or a name of more than 255 bytes.
    init?(labels: [[UInt8]]) {
        guard labels.allSatisfy({ (1...Self.maxLabelBytes).contains($0.count) }),
            labels.reduce(1, { $0 + $1.count + 1 }) <= Self.maxBytes
        else { return nil }
        self.labels = labels
    }

    /// From `_minecart.play.example.com`, with or without a dot at its end. Labels are taken as they are: no escapes.
    public init?(_ text: String) {
        var text = text[...]
        if text.hasSuffix(".") { text = text.dropLast() }
        guard !text.isEmpty else { return nil }
        self.init(
            labels: text.split(separator: ".", omittingEmptySubsequences: false).map { Array($0.utf8) })
    }

    /// In the form of the wire, uncompressed.
    var bytes: [UInt8] { labels.flatMap { [UInt8($0.count)] + $0 } + [0] }

    public var description: String {
        labels.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ".") + "."
    }

    /// With each letter's case chosen by chance, so that an answer that repeats the name shows that its sender saw
    /// the question (draft-vixie-dnsext-dns0x20).
    func withRandomCase(using generator: inout some RandomNumberGenerator) -> DNSName {
        var bits: UInt64 = 0
        var left = 0
        let mixed = labels.map { label in
            label.map { byte -> UInt8 in
                guard Self.isLetter(byte) else { return byte }
                if left == 0 {
                    bits = generator.next()
                    left = UInt64.bitWidth
                }
                defer {
                    bits >>= 1
                    left -= 1
                }
                return bits & 1 == 0 ? byte | 0x20 : byte & ~0x20
            }
        }
        return DNSName(labels: mixed) ?? self
    }

    fileprivate static func isLetter(_ byte: UInt8) -> Bool {
        (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }

    fileprivate var folded: [[UInt8]] {
        labels.map { label in label.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 } }
    }
}

extension DNSName: Hashable {
    public static func == (left: DNSName, right: DNSName) -> Bool { left.folded == right.folded }
    public func hash(into hasher: inout Hasher) { hasher.combine(folded) }
}
