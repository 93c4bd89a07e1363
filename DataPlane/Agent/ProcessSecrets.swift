import CLinux

/// Takes secrets out of the memory that `/proc/PID/cmdline` and `/proc/PID/environ` show to others.
enum ProcessSecrets {
    /// Reads these variables; the values of those whose names begin with MINECART_KEY are overwritten.
    static func takeEnvironment(_ names: Set<String>) -> [String: String] {
        var found: [String: String] = [:]
        guard var entry = mc_environ() else { return found }
        while let text = entry.pointee {
            let pair = String(cString: text)
            if let equals = pair.firstIndex(of: "=") {
                let name = String(pair[..<equals])
                if names.contains(name) {
                    found[name] = String(pair[pair.index(after: equals)...])
                    if name == "MINECART_KEY" { overwrite(text + name.utf8.count + 1, with: 0) }
                }
            }
            entry += 1
        }
        return found
    }

    /// Overwrites the option's value, as the argument behind it or behind `=`. The arguments were read before.
    static func wipe(option: String) {
        let arguments = CommandLine.unsafeArgv
        var isValue = false
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let text = arguments[index] else { continue }
            let asterisk = CChar(bitPattern: UInt8(ascii: "*"))
            if isValue {
                overwrite(text, with: asterisk)
                isValue = false
            } else if strcmp(text, option) == 0 {
                isValue = true
            } else if strncmp(text, option + "=", option.utf8.count + 1) == 0 {
                overwrite(text + option.utf8.count + 1, with: asterisk)
            }
        }
    }

    private static func overwrite(_ text: UnsafeMutablePointer<CChar>, with filler: CChar) {
        for index in 0..<strlen(text) { text[index] = filler }
    }
}
