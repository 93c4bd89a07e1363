import CLinux
import Core
import IO
import Redis
import Support

let usage = """
    usage:
      FaultTool proxy --to PORT
          a TCP proxy on a free loopback port; on standard input, one a line:
              fault WAY [latency_ms=N] [jitter_ms=N] [bytes_per_s=N] [slice=N] [slow_close_ms=N] [limit=N] [silent=1]
              heal | reset | refuse | accept
          WAY is up (from who connects), down or both
      FROM_URL=redis://... TO_URL=redis://... FaultTool bridge --region NAME
          carries assignments from one Redis to another and what relays tell back; on standard input, one a line:
              bad SHARE      of assignments lost, sent twice, sent late, and of old snapshots; 0 for none
              status         how many that were, and where relays are
      answers are JSON, one object a line
    """

func stop(_ problem: String) -> Never {
    _ = "FaultTool: \(problem)\n".withCString { write(2, $0, strlen($0)) }
    exit(1)
}

func say(_ json: JSON) {
    let text = json.text + "\n"
    _ = text.withCString { write(1, $0, strlen($0)) }
}

extension JSON {
    static func whole(_ value: Int) -> JSON { .integer(Int64(value)) }
}

func number(_ text: some StringProtocol) -> Int {
    guard let value = Int(text), value >= 0 else { stop("\(text) is no number") }
    return value
}

func runProxy(to port: Int) throws {
    let proxy = try FaultyProxy(to: port)
    say(["event": "listening", "port": .whole(proxy.port)])
    while let line = readLine() {
        let words = line.split(separator: " ")
        switch words.first {
        case "fault": setFault(proxy, words.dropFirst())
        case "heal": proxy.heal()
        case "reset": proxy.reset()
        case "refuse": proxy.refuse(true)
        case "accept": proxy.refuse(false)
        default: stop("\(line) is no command\n\(usage)")
        }
        say(["event": "done", "connections": .whole(proxy.connectionCount)])
    }
}

func setFault(_ proxy: FaultyProxy, _ words: ArraySlice<Substring>) {
    let ways: [Substring: FaultyProxy.Way] = ["up": .up, "down": .down, "both": .both]
    guard let way = words.first.flatMap({ ways[$0] }) else { stop(usage) }
    var fault = Fault()
    for word in words.dropFirst() {
        let parts = word.split(separator: "=")
        guard parts.count == 2 else { stop(usage) }
        let value = number(parts[1])
        switch parts[0] {
        case "latency_ms": fault.latency = Milliseconds(value)
        case "jitter_ms": fault.jitter = Milliseconds(value)
        case "bytes_per_s": fault.bytes_per_s = value
        case "slice": fault.slice_bytes = value
        case "slow_close_ms": fault.slowClose = Milliseconds(value)
        case "limit": fault.limit_bytes = value
        case "silent": fault.isSilent = value != 0
        default: stop(usage)
        }
    }
    proxy.set(fault, way)
}

func runBridge(region: String) throws {
    guard let from = getenv("FROM_URL").flatMap({ RedisURL(String(cString: $0)) }),
        let to = getenv("TO_URL").flatMap({ RedisURL(String(cString: $0)) })
    else { stop("FROM_URL and TO_URL must say where the two Redis are\n\(usage)") }
    let bridge = try LossyBridge(from: from, to: to, region: region)
    while !bridge.isReady { usleep(10_000) }
    say(["event": "ready"])
    while let line = readLine() {
        let words = line.split(separator: " ")
        if words.count == 2, words[0] == "bad", let share = Double(words[1]), (0...1).contains(share) {
            bridge.set(.bad(share))
            say(["event": "done"])
        } else if line == "status" {
            sayStatus(bridge)
        } else {
            stop("\(line) is no command\n\(usage)")
        }
    }
}

func sayStatus(_ bridge: LossyBridge) {
    let counts = bridge.counts
    var relays = JSONObject()
    for (relay, told) in bridge.positions.sorted(by: { $0.key < $1.key }) {
        let steps = zip(told, told.dropFirst())
        relays[relay] = [
            "positions": .whole(told.count), "backwards": .whole(steps.count { $1 < $0 }),
            "epoch": .whole(told.last?.epoch ?? 0), "rev": .whole(told.last?.rev ?? 0),
            "digest": .string(told.last?.digest ?? ""),
        ]
    }
    say([
        "event": "status", "passed": .whole(counts.passed), "lost": .whole(counts.lost),
        "twice": .whole(counts.twice), "late": .whole(counts.late),
        "old_snapshots": .whole(counts.oldSnapshots), "relays": .object(relays),
    ])
}

let words = CommandLine.arguments
ProcessLimits.raiseDescriptors()
do {
    guard words.count == 4 else { stop(usage) }
    switch (words[1], words[2]) {
    case ("proxy", "--to"): try runProxy(to: number(words[3]))
    case ("bridge", "--region"): try runBridge(region: words[3])
    default: stop(usage)
    }
} catch {
    stop("\(error)")
}
