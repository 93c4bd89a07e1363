import AgentCore
import Core
import Crypto

/// The key with which the agent speaks to the control plane. It does not print.
struct AgentKey: Sendable, CustomStringConvertible, CustomReflectable {
    private let text: String

    /// Throws what is wrong with the key before anybody is bothered with it.
    init(_ source: KeySource) throws(AgentFailure) {
        switch source {
        case .text(let given): text = Self.trimmed(given)
        case .file(let path):
            guard let content = Settings.read(path) else {
                throw .local("the key file \(path) cannot be read")
            }
            guard let line = content.split(whereSeparator: \.isNewline).first else {
                throw .local("the key file \(path) is empty")
            }
            text = Self.trimmed(line)
        }
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), text.utf8.count <= 4096 else {
            throw .damagedKey
        }
        if text.hasPrefix("mc"), text.contains("_"), TypedKey(parsing: text) == nil { throw .damagedKey }
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        String(text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }

    var authorization: String { "Bearer " + text }

    var description: String { "key" }
    var customMirror: Mirror { Mirror(self, children: []) }
}
