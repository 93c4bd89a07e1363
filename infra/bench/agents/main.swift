import CLinux
import Core
import IO

let usage = """
    usage:
      AgentCrowd --control URL --tunnels FILE [--links 2] [--data 16] [--start-per-s 200]
          many agents in one process, each with a session of its own: FILE has one a line, tunnel, hostname, region and agent
          key with tabs between. --data 0 brings no players. Behind each agent is a pretend home server that lets everybody in
          and sends back what they send.
      on standard input, one a line:
          status     how many agents have how many links, and what they asked
          mark       from now on it is noted who loses a link, when all are back and how many questions that took
          report     what was noted since the last mark
          end        the agents say goodbye
      answers are JSON, one object a line; times are nanoseconds of the monotonic clock
    """

func stop(_ problem: String) -> Never {
    _ = "AgentCrowd: \(problem)\n".withCString { write(2, $0, strlen($0)) }
    exit(1)
}

/// One line on standard output at once, for a script that waits for it.
func say(_ json: JSON) {
    var rest = Array((json.text + "\n").utf8)[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
        guard count > 0 else { return }
        rest = rest.dropFirst(count)
    }
}

extension JSON {
    static func whole(_ value: Int) -> JSON { .integer(Int64(value)) }
}

/// The whole file, however long.
func contents(of path: String) -> String {
    let descriptor = mc_open(path, O_RDONLY | O_CLOEXEC, 0)
    guard descriptor >= 0 else { stop("\(path) cannot be read") }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 64 * 1024)
    while true {
        let count = read(descriptor, &block, block.count)
        guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
        bytes += block[..<count]
    }
}

/// `--name value` pairs.
struct Options {
    private var values: [String: String] = [:]

    init(_ arguments: ArraySlice<String>) {
        var rest = Array(arguments)
        while !rest.isEmpty {
            let name = rest.removeFirst()
            guard name.hasPrefix("--"), !rest.isEmpty else { stop("\(name) is not understood\n\(usage)") }
            values[String(name.dropFirst(2))] = rest.removeFirst()
        }
    }

    func text(_ name: String) -> String {
        guard let value = values[name] else { stop("--\(name) is missing\n\(usage)") }
        return value
    }

    func number(_ name: String, default standard: Int) -> Int {
        guard let text = values[name] else { return standard }
        guard let value = Int(text), value >= 0 else { stop("--\(name) \(text) is no number") }
        return value
    }
}

func run() throws(SystemError) {
    ProcessLimits.raiseDescriptors()
    let options = Options(CommandLine.arguments.dropFirst())
    let loop = try EventLoop()
    let crowd = Crowd(
        loop: loop, control: options.text("control"), links: options.number("links", default: 2),
        maxData: options.number("data", default: 16))
    let path = options.text("tunnels")
    for line in contents(of: path).split(separator: "\n") {
        let parts = line.split(separator: "\t").map { String($0) }
        guard parts.count == 4 else { stop("\(path): a line must have four parts with tabs between") }
        crowd.add(tunnel: parts[0], hostname: parts[1], region: parts[2], key: parts[3])
    }
    let commands = CommandLines(loop: loop) { line in crowd.obey(line) }
    try commands.start()
    crowd.start(perSecond: max(1, options.number("start-per-s", default: 200)))
    loop.run()
}

do {
    try run()
} catch {
    stop("\(error)")
}
