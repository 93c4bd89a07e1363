import CLinux

/// All that is wrong with a program's configuration, told at once.
public struct SettingsError: Error, Sendable, Equatable, CustomStringConvertible {
    public let problems: [String]

    public init(problems: [String]) { self.problems = problems }

    public var description: String { problems.map { "- \($0)" }.joined(separator: "\n") }
}

/// Reads configuration from environment variables and collects every problem; `finish()` throws them together.
public struct Settings {
    private let environment: [String: String]
    private let isOfProcess: Bool
    public private(set) var problems: [String] = []
    /// A secret file longer than this is not a secret file.
    private static let maxFileBytes = 64 * 1024

    public init(environment: [String: String]) {
        self.environment = environment
        isOfProcess = false
    }

    private init(ofProcess environment: [String: String]) {
        self.environment = environment
        isOfProcess = true
    }

    /// The process's own environment. Secrets that are read from it are wiped out of it, since `/proc/PID/environ`
    /// shows it to others.
    public static func ofProcess() -> Settings {
        var found: [String: String] = [:]
        guard var entry = mc_environ() else { return Settings(environment: [:]) }
        while let text = entry.pointee {
            let pair = String(cString: text)
            if let equals = pair.firstIndex(of: "=") {
                found[String(pair[..<equals])] = String(pair[pair.index(after: equals)...])
            }
            entry += 1
        }
        return Settings(ofProcess: found)
    }

    private static func wipe(_ name: String) {
        guard var entry = mc_environ() else { return }
        while let text = entry.pointee {
            if strncmp(text, name + "=", name.utf8.count + 1) == 0 {
                let value = text + name.utf8.count + 1
                for index in 0..<strlen(value) { value[index] = 0 }
            }
            entry += 1
        }
    }

    public mutating func reject(_ problem: String) { problems.append(problem) }

    public func finish() throws(SettingsError) {
        guard problems.isEmpty else { throw SettingsError(problems: problems) }
    }

    /// The variable's text; an empty one counts as unset.
    public func optional(_ name: String) -> String? {
        guard let value = environment[name], !value.isEmpty else { return nil }
        return value
    }

    public func string(_ name: String, default standard: String) -> String { optional(name) ?? standard }

    public mutating func required(_ name: String, _ meaning: String) -> String {
        if let value = optional(name) { return value }
        problems.append("\(name) is not set: \(meaning)")
        return ""
    }

    public mutating func integer(_ name: String, default standard: Int, in range: ClosedRange<Int>) -> Int {
        guard let text = optional(name) else { return standard }
        guard let value = Int(text), range.contains(value) else {
            problems.append(
                "\(name) is \"\(text)\": it must be a whole number from \(range.lowerBound) to \(range.upperBound)"
            )
            return standard
        }
        return value
    }

    /// A secret from `NAME`, or from the first line of the file that `NAME_FILE` names.
    public mutating func secret(_ name: String) -> String? {
        defer { if isOfProcess { Self.wipe(name) } }
        guard let path = optional(name + "_FILE") else { return optional(name) }
        if optional(name) != nil {
            problems.append("\(name) and \(name)_FILE are both set: set one of them")
            return nil
        }
        guard let text = Self.read(path) else {
            problems.append("\(name)_FILE names \(path), which cannot be read")
            return nil
        }
        guard let line = text.split(whereSeparator: \.isNewline).first else {
            problems.append("\(name)_FILE names \(path), which is empty")
            return nil
        }
        return String(line)
    }

    public mutating func requiredSecret(_ name: String, _ meaning: String) -> String {
        let before = problems.count
        if let value = secret(name) { return value }
        if problems.count == before { problems.append("\(name) (or \(name)_FILE) is not set: \(meaning)") }
        return ""
    }

    /// The text of a small file; nil when it cannot be read, is larger than 64 KiB or is not UTF-8.
    public static func read(_ path: String) -> String? {
        let descriptor = mc_open(path, O_RDONLY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = CLinux.read(descriptor, &chunk, chunk.count)
            guard count >= 0, text.count + count <= maxFileBytes else { return nil }
            if count == 0 { return String(validating: text, as: UTF8.self) }
            text += chunk[..<count]
        }
    }
}
