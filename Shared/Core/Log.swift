import CLinux
import Synchronization

/// Lines for whoever runs the program: `2026-11-21T09:30:00Z info relay: link up tunnel=tun_1`, to stderr. A reader
/// that does not keep up loses lines instead of stopping the program. Never on the byte path, and no secret ever goes in.
public struct Log: Sendable {
    public enum Level: Int, Sendable, Comparable {
        case debug, info, warning, error
        public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }

        public init?(name: String) {
            switch name {
            case "debug": self = .debug
            case "info": self = .info
            case "warning": self = .warning
            case "error": self = .error
            default: return nil
            }
        }
    }

    /// Lines below this level are dropped; set once at start from LOG_LEVEL.
    public static let threshold = Atomic<Int>(Level.info.rawValue)

    private static let output = LineOutput(descriptor: 2)

    public let component: String

    public init(_ component: String) { self.component = component }

    public func debug(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.debug, message, fields)
    }
    public func info(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.info, message, fields)
    }
    public func warning(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.warning, message, fields)
    }
    public func error(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.error, message, fields)
    }

    private func write(_ level: Level, _ message: () -> String, _ fields: KeyValuePairs<String, String>) {
        guard level.rawValue >= Self.threshold.load(ordering: .relaxed) else { return }
        var line = "\(WallTime.now().rfc3339) \(level) \(component): \(Self.printable(message()))"
        for (name, value) in fields { line += " \(name)=\(Self.quoted(value))" }
        line += "\n"
        Self.output.write(line)
    }

    /// A value that a stranger may have chosen cannot start a line of its own, colour a terminal or turn the
    /// direction of writing.
    static func printable(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { isControl($0) ? "?" : $0 }))
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F...0x9F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }

    private static func quoted(_ value: String) -> String {
        let clean = printable(value)
        return clean.isEmpty || clean.contains(" ") || clean.contains("\"") ? JSON.string(clean).text : clean
    }
}
