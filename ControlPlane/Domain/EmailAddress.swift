import Core

/// An e-mail address in the plain form `local@domain`; whether it exists is for the mail server to say.
public struct EmailAddress: Sendable, Hashable {
    public let text: String

    private static let maxBytes = 254
    private static let maxLocalBytes = 64

    /// nil for anything else; spaces around it are not forgiven.
    public init?(_ text: String) {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard text.utf8.count <= Self.maxBytes, parts.count == 2, !parts[0].isEmpty,
            parts[0].utf8.count <= Self.maxLocalBytes,
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !Self.special.contains($0) }),
            Self.isDomain(parts[1])
        else { return nil }
        self.text = text
    }

    private static let special = Set(",;:<>()[]\\\"".utf8)

    private static func isDomain(_ text: Substring) -> Bool {
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        return labels.count >= 2
            && labels.allSatisfy { label in
                (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
                    && label.utf8.allSatisfy { Base62.contains($0) || $0 == UInt8(ascii: "-") }
            }
    }
}

extension EmailAddress {
    /// Enough to recognise an address that one knows, such as `a***@mail.example`: for the audit log.
    public static func masked(_ text: String) -> String {
        text.prefix(1) + "***" + text[(text.lastIndex(of: "@") ?? text.endIndex)...]
    }
}

/// What we ask of passwords: length only, 15 characters where there is no second factor (NIST SP 800-63B-4, 3.1.1.2),
/// and not the address itself.
public enum PasswordRule {
    public static let length = 15...256

    /// What to do about a password that is refused; nil when it is fine.
    public static func problem(_ password: String, email: String) -> String? {
        let count = password.unicodeScalars.count
        if count < length.lowerBound { return "must have at least \(length.lowerBound) characters" }
        if count > length.upperBound { return "must have at most \(length.upperBound) characters" }
        if password.lowercased() == email.lowercased() { return "must differ from the e-mail address" }
        return nil
    }
}
