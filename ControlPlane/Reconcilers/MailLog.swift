import CLinux
import Core
import Domain
import IO

/// A file that mails are written to instead of being sent: for development, where links are taken from there.
public struct MailLog: Sendable {
    private let path: String

    public init(path: String) { self.path = path }

    /// Appends the mail in one piece, readable by its owner only.
    func append(_ mail: Mail, id: MailID, at time: WallTime) throws(SystemError) {
        let descriptor = mc_open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .last("open") }
        defer { close(descriptor) }
        let entry = Self.entry(mail, id: id, at: time)
        let count = entry.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard count == entry.count else { throw .last("write") }
    }

    static func entry(_ mail: Mail, id: MailID, at time: WallTime) -> [UInt8] {
        Array(
            """
            ---- \(id) \(mail.kind) \(time.rfc3339)
            To: \(mail.to)
            Subject: \(mail.subject)

            \(mail.text)

            """.utf8)
    }
}
