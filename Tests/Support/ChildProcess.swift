import CLinux

/// Why a test's helper program could not be started.
public struct SupportError: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// A program that a test starts, with a lifeline: when this process ends, however it ends, the program ends too
/// and its folder is removed. A shell between the two waits for the lifeline's end of file.
public final class ChildProcess: Sendable {
    private let lifeline: Int32
    private let shell: pid_t

    /// Runs `command` (a shell command of one simple program) with output to `log`. `remove` is a folder that
    /// goes away with it.
    public init(command: String, endSignal: String, log: String, remove: String?) throws(SupportError) {
        var ends: [Int32] = [0, 0]
        guard pipe2(&ends, Int32(O_CLOEXEC)) == 0 else { throw SupportError("pipe2: errno \(mc_errno())") }
        let removal = remove.map { "rm -rf '\($0)'" } ?? ":"
        // Signals meant for the terminal's group (Ctrl-C) must not end the shell before it has cleaned up.
        let script = """
            trap '' INT TERM HUP
            (trap - INT TERM HUP; exec \(command)) >>'\(log)' 2>&1 </dev/null &
            child=$!
            read -r word
            kill -\(endSignal) $child
            # What is stopped would not hear of it.
            kill -CONT $child $(cat /proc/$child/task/$child/children 2>/dev/null) 2>/dev/null
            wait $child
            [ "$word" = keep ] || \(removal)
            """
        shell = try Self.spawn("/bin/sh", ["-c", script], input: ends[0], log: log)
        close(ends[0])
        lifeline = ends[1]
    }

    /// Ends the program and waits for it. `keepFolder` leaves its folder for another start.
    public func end(keepFolder: Bool = false) {
        let word = Array("keep\n".utf8)
        if keepFolder { _ = write(lifeline, word, word.count) }
        close(lifeline)
        var status: Int32 = 0
        while waitpid(shell, &status, 0) < 0 && mc_errno() == EINTR {}
    }

    /// Runs a program to its end; throws with the log's tail when it fails.
    public static func run(_ program: String, _ arguments: [String], log: String) throws(SupportError) {
        let null = mc_open("/dev/null", O_RDONLY | O_CLOEXEC, 0)
        defer { close(null) }
        let child = try spawn(program, arguments, input: null, log: log)
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 && mc_errno() == EINTR {}
        guard status == 0 else {
            throw SupportError("\(program) \(arguments.joined(separator: " ")) failed:\n\(tail(of: log))")
        }
    }

    /// The last lines of a log.
    public static func tail(of path: String) -> String {
        (Files.read(path) ?? "").split(separator: "\n").suffix(20).joined(separator: "\n")
    }

    private static func spawn(_ program: String, _ arguments: [String], input: Int32, log: String)
        throws(SupportError) -> pid_t
    {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        // Threads of Swift's pool block signals; a shell that inherits that never hears of its child's end.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var noSignals = sigset_t()
        sigemptyset(&noSignals)
        posix_spawnattr_setsigmask(&attributes, &noSignals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var strings = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for text in strings { free(text) } }
        var child: pid_t = 0
        let failure = posix_spawn(&child, program, &actions, &attributes, &strings, mc_environ())
        guard failure == 0 else { throw SupportError("cannot start \(program): errno \(failure)") }
        return child
    }
}
