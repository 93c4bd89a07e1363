import Core

/// A mail to one person, in plain text. Whoever has something to say makes one with a maker in an extension and
/// posts it in the transaction that it tells of.
public struct Mail: Sendable, Hashable {
    public let to: String
    public let subject: String
    public let text: String
    /// Short and stable, for logs and counting, such as `verify-email`.
    public let kind: String
    /// How long it is worth sending; nil for ever.
    public let life_s: Int?

    private static let maxSubjectCharacters = 200

    /// Control characters in the subject become spaces.
    public init(to: String, subject: String, text: String, kind: String, life_s: Int? = nil) {
        self.to = to
        let plain = subject.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }
        self.subject = String(String(String.UnicodeScalarView(plain)).prefix(Self.maxSubjectCharacters))
        self.text = text
        self.kind = kind
        self.life_s = life_s
    }
}

/// When a mail that could not be sent is tried again.
public enum MailRetry {
    /// Seconds after the first, second, … failure: a day in all.
    private static let pauses_s = [2, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 28_800]
    private static let maxWished_s = 3600

    /// Seconds to wait after `failures` of them, nil to give up. `wished_s` is what the provider asked for.
    public static func pause_s(after failures: Int, wished_s: Int? = nil) -> Int? {
        guard failures >= 1, failures <= pauses_s.count else { return nil }
        return max(pauses_s[failures - 1], min(wished_s ?? 0, maxWished_s))
    }
}
