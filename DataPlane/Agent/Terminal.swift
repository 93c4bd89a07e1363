import AgentCore
import CLinux
import Core

/// What the agent says: notices as text or as JSON lines on standard output, complaints on standard error. Notices
/// never wait for their reader: players come first.
final class Terminal {
    private let json: Bool
    /// The last reconnect that was told, and when: a person need not read the same again and again.
    private var lastReason: (text: String, told: Instant)?
    private static let sameReasonPause = Milliseconds.minutes(1)

    private let output: LineOutput

    init(json: Bool) {
        self.json = json
        output = LineOutput(descriptor: 1) { count in
            json
                ? JSON.object(["event": "lines_lost", "count": .integer(Int64(count))]).text + "\n"
                : "(\(count) lines are missing here: nobody read them)\n"
        }
    }

    /// False while lines wait for whoever reads: call `flush` again soon.
    func flush() -> Bool { output.flush() }

    /// The last lines, for a reader who may be a little slow.
    func finish() { output.finish(within: .seconds(1)) }

    func tell(_ notice: Notice) {
        if json { return output.write(notice.json.text + "\n") }
        if case .failed = notice { return Self.complain(notice.text) }
        if case .reconnecting(_, let reason) = notice {
            let now = Instant.now()
            if let last = lastReason, last.text == reason, now < last.told + Self.sameReasonPause { return }
            lastReason = (reason, now)
        }
        if case .ready = notice { lastReason = nil }
        let text = notice.text
        guard !text.isEmpty else { return }
        output.write(notice.isMoment ? Self.clock() + "  " + text : text)
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
