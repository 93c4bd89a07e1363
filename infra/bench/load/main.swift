import CLinux
import Core
import IO

let usage = """
    usage:
      BenchLoad serve
          a backend on a free port, which it prints
      BenchLoad pingpong --to HOST:PORT --name HOSTNAME [--connections 100] [--messages 100000] [--bytes 64]
      BenchLoad bulk --to HOST:PORT --name HOSTNAME [--connections 8] [--megabytes 1024]
      BenchLoad calls --to HOST:PORT [--connections 64] [--seconds 10] [--first 1] < CALLS
          HTTP calls over kept connections; CALLS has one a line: method, path, credential and body, with tabs between;
          {number____} becomes the number of the call, counted from --first
      pingpong and bulk: every connection sends a Minecraft login handshake for HOSTNAME first; "ready" is printed once all are
          through, and the load starts with the next line on standard input
    """

func stop(_ problem: String) -> Never {
    _ = "BenchLoad: \(problem)\n".withCString { write(2, $0, strlen($0)) }
    exit(1)
}

/// One line on standard output at once, for a script that waits for it.
func say(_ line: String) {
    let text = line + "\n"
    _ = text.withCString { write(1, $0, strlen($0)) }
}

/// `--name value` pairs after the command.
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
        guard let value = Int(text), value > 0 else { stop("--\(name) \(text) is not a positive number") }
        return value
    }
}

/// All of standard input.
func standardInput() -> String {
    var text: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 64 * 1024)
    while true {
        let count = read(0, &block, block.count)
        guard count > 0 else { return String(decoding: text, as: UTF8.self) }
        text += block[..<count]
    }
}

func run() throws(SystemError) {
    ProcessLimits.raiseDescriptors()
    let loop = try EventLoop()
    let options = Options(CommandLine.arguments.dropFirst(2))
    switch CommandLine.arguments.dropFirst().first {
    case "serve":
        try serve(on: loop)
    case "pingpong":
        let load = PingPong(
            connections: options.number("connections", default: 100),
            messages: options.number("messages", default: 100_000),
            messageBytes: min(options.number("bytes", default: 64), EventLoop.scratchBytes))
        try runClients(on: loop, to: options.text("to"), name: options.text("name"), load: load)
    case "bulk":
        let load = Bulk(
            connections: options.number("connections", default: 8),
            bytes: options.number("megabytes", default: 1024) << 20)
        try runClients(on: loop, to: options.text("to"), name: options.text("name"), load: load)
    case "calls":
        let target = options.text("to")
        try runCallers(
            on: loop, to: target, script: CallScript(standardInput(), host: target),
            connections: options.number("connections", default: 64),
            seconds: options.number("seconds", default: 10), first: options.number("first", default: 1))
    default: stop(usage)
    }
}

do {
    try run()
} catch {
    stop("\(error)")
}
