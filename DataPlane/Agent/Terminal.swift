import AgentCore
import CLinux
import Core

/// What the agent says: notices as text or as JSON lines on standard output, complaints on standard error.
final class Terminal {
    private let json: Bool
    /// The reason of the last reconnect that was told: a person need not read it twice a second.
    private var lastReason: String?

    init(json: Bool) { self.json = json }

    func tell(_ notice: Notice) {
        if json { return Self.print(notice.json.text + "\n") }
        if case .failed = notice { return Self.complain(notice.text) }
        if case .reconnecting(let after, let reason) = notice {
            if reason == lastReason, after < .seconds(1) { return }
            lastReason = reason
        }
        if case .ready = notice { lastReason = nil }
        Self.print(notice.isMoment ? Self.clock() + "  " + notice.text : notice.text)
    }

    static func print(_ text: String) { write(text, to: 1) }

    static func complain(_ text: String) { write(text, to: 2) }

    /// Nobody reading any more is no reason to stop serving players.
    private static func write(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { CLinux.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if mc_errno() != EINTR {
                return
            }
        }
    }

    /// The time of day here.
    private static func clock() -> String {
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        return [parts.tm_hour, parts.tm_min, parts.tm_sec].map { $0 < 10 ? "0\($0)" : "\($0)" }
            .joined(separator: ":")
    }
}
