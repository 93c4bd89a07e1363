import Core
import Crypto

/// The secret in a mail's link: 32 random bytes, of which the database keeps SHA-256.
struct LinkToken: Sendable {
    private static let byteCount = 32
    static let schema = Schema.text(String(repeating: "A", count: 43), 43...43)
        .about("What stands behind token= in the mail's link.")

    let text: String
    var hash: [UInt8] { SHA256.hash(Array(text.utf8)) }

    static func generate() -> LinkToken {
        LinkToken(text: Base64URL.encode(SecureRandom.bytes(byteCount)))
    }

    private init(text: String) { self.text = text }

    /// nil for what we never give out.
    init?(_ text: String) {
        guard text.utf8.count == 43, Base64URL.decode(text)?.count == Self.byteCount else { return nil }
        self.text = text
    }

    /// Where the mail sends its reader.
    func link(to page: String, _ settings: APISettings) -> String {
        MailPage.link(page, token: text, publicURL: settings.publicURL)
    }
}

extension Fields {
    /// The token of a mail's link; nil, which is not told from one that was used, when it is none of ours.
    mutating func linkToken(_ name: String) -> LinkToken? {
        LinkToken(text(name, length: 43...43))
    }
}

extension Problem {
    static let badLink = Problem(
        404, "bad-link",
        """
        This link is not good any more: it was used, has expired, or was not copied as a whole. If you have used it \
        already, all is done; otherwise ask for a new one.
        """)
}
