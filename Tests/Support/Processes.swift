import CLinux

/// What runs on this machine, from /proc.
public enum Processes {
    public static func children(of parent: pid_t) -> [pid_t] {
        guard let folder = opendir("/proc") else { return [] }
        defer { closedir(folder) }
        var found: [pid_t] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            // The parent is the second word behind the name, which is in brackets and may hold anything.
            guard let pid = pid_t(name), let stat = Files.read("/proc/\(pid)/stat"),
                let bracket = stat.lastIndex(of: ")")
            else { continue }
            let words = stat[stat.index(after: bracket)...].split(separator: " ")
            if words.count > 1, pid_t(words[1]) == parent { found.append(pid) }
        }
        return found
    }
}
