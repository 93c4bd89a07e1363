import CLinux
import Core
import IO
import Support
import Synchronization

/// One program as a process of its own. The kernel kills it when this process ends, however it ends.
final class Part: Sendable {
    enum End: Sendable, Hashable {
        case code(Int32)
        case signal(Int32)
    }

    let name: String
    let pid: pid_t
    private let outputPath: String
    private let logPath: String
    private let ended = Mutex<End?>(nil)

    /// What it wrote to standard output.
    var output: String { Self.text(of: outputPath) }
    /// What it wrote to standard error.
    var log: String { Self.text(of: logPath) }

    /// The folder of the built programs: the one this test's program lies in.
    private static let binaries: String = {
        var path = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &path, path.count)
        let text = String(
            decoding: path.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return text.split(separator: "/").dropLast().reduce(into: "") { $0 += "/" + $1 }
    }()

    /// The kernel's order to kill a child comes when the thread that started it ends, so this one never ends.
    private static let spawner = Result { () throws(SystemError) in try LoopThread.start(name: "spawner") }

    /// `environment` is all the program sees, but for PATH.
    init(
        _ name: String, program: String, _ arguments: [String], environment: [String: String], folder: String
    ) throws {
        self.name = name
        outputPath = "\(folder)/\(name).out"
        logPath = "\(folder)/\(name).log"
        let path = Self.binaries + "/" + program
        guard access(path, X_OK) == 0 else { throw Trouble("\(path) is missing: run swift build first") }
        let words = ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--", path] + arguments
        let variables = ["PATH=/usr/bin:/bin"] + environment.map { "\($0.key)=\($0.value)" }
        let (out, log) = (outputPath, logPath)
        let started = Gathering<Result<pid_t, SystemError>>(expecting: 1)
        try Self.spawner.get().mailbox.post { _ in
            started.add(
                Result { () throws(SystemError) in
                    try Self.spawn(words, variables, output: out, log: log)
                })
        }
        pid = try started.wait()[0].get()
        // Afterwards the process is the program itself, and its arguments are its own.
        try eventually("\(name) begins") { Self.isProgram(pid, path) || end != nil ? true : nil }
    }

    deinit { kill() }

    /// How it ended; nil while it runs.
    var end: End? {
        ended.withLock { ended in
            if ended != nil { return ended }
            var status: Int32 = 0
            guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
            ended = status & 0x7F == 0 ? .code(status >> 8 & 0xFF) : .signal(status & 0x7F)
            return ended
        }
    }

    /// Nothing happens to one that has ended: its number may be somebody else's by now.
    func signal(_ number: Int32) {
        guard end == nil else { return }
        CLinux.kill(pid, number)
    }

    /// kill -9, and waits until it is gone.
    func kill() {
        signal(SIGKILL)
        while end == nil { usleep(1000) }
    }

    func waitForEnd(within limit: Milliseconds = patience) throws -> End {
        try eventually("\(name) ends", within: limit) { end }
    }

    /// Asks it to end; one that does not is killed.
    func stop(within limit: Milliseconds = patience) throws -> End {
        signal(SIGTERM)
        return try waitForEnd(within: limit)
    }

    /// The rest of the first line of its log that has `mark`, up to a space.
    func logged(_ mark: String) throws -> String {
        try eventually("\(name) logs \(mark)") { () throws -> String? in
            for line in log.split(separator: "\n") {
                if let range = line.firstRange(of: mark) {
                    return String(line[range.upperBound...].prefix { $0 != " " })
                }
            }
            if let end { throw Trouble("\(name) ended (\(end)) instead of logging \(mark):\n\(log)") }
            return nil
        }
    }

    /// What others on this machine can see of it: its arguments and its environment.
    var visible: String {
        Self.text(of: "/proc/\(pid)/cmdline") + "\n" + Self.text(of: "/proc/\(pid)/environ")
    }

    /// Descriptors that it holds open now.
    var descriptorCount: Int {
        guard let folder = opendir("/proc/\(pid)/fd") else { return 0 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // "." and ".."
        return max(0, count - 2)
    }

    /// Memory that it really uses now.
    var resident_KiB: Int {
        let line = Self.text(of: "/proc/\(pid)/status").split(separator: "\n")
            .first { $0.hasPrefix("VmRSS:") }
        return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    }

    private static func isProgram(_ pid: pid_t, _ path: String) -> Bool {
        var target = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/\(pid)/exe", &target, target.count)
        return path.utf8.elementsEqual(target.prefix(max(0, count)).map { UInt8(bitPattern: $0) })
    }

    private static func text(of path: String) -> String {
        let descriptor = mc_open(path, O_RDONLY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk[..<count]
        }
    }

    private static func spawn(_ words: [String], _ variables: [String], output: String, log: String)
        throws(SystemError) -> pid_t
    {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        // As from a shell: no signal blocked, none ignored.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var arguments = words.map { strdup($0) } + [nil]
        var environment = variables.map { strdup($0) } + [nil]
        defer { for text in arguments + environment { free(text) } }
        var child: pid_t = 0
        let failure = posix_spawn(&child, words[0], &actions, &attributes, &arguments, &environment)
        guard failure == 0 else { throw SystemError("posix_spawn", code: failure) }
        return child
    }
}
