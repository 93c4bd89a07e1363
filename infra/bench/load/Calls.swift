import CLinux
import Core
import HTTP
import IO

/// Calls of an HTTP API over connections that are kept: each has one request under way, and sends the next one as
/// soon as its answer is there.
struct CallScript {
    private let requests: [[UInt8]]
    /// Where in each request the number of the call goes, in twelve digits; nil where nowhere.
    private let marks: [Range<Int>?]
    private static let mark = Array("{number____}".utf8)

    /// One call a line: method, path, credential and body, with tabs between. `{number____}` becomes the number of the
    /// call, so that each one is another.
    init(_ text: String, host: String) {
        var requests: [[UInt8]] = []
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
            guard parts.count == 4 else { stop("a call must have four parts with tabs between") }
            requests.append(
                Array(
                    """
                    \(parts[0]) \(parts[1]) HTTP/1.1\r\nHost: \(host)\r\nAuthorization: Bearer \(parts[2])\r\n\
                    Content-Length: \(parts[3].utf8.count)\r\n\r\n\(parts[3])
                    """.utf8))
        }
        guard !requests.isEmpty else { stop("there are no calls") }
        self.requests = requests
        marks = requests.map { request in
            (0...(max(0, request.count - Self.mark.count)))
                .first { request[$0...].starts(with: Self.mark) }
                .map { $0..<($0 + Self.mark.count) }
        }
    }

    func request(_ number: Int) -> [UInt8] {
        var request = requests[number % requests.count]
        if let mark = marks[number % requests.count] {
            var rest = number
            for index in mark.reversed() {
                request[index] = UInt8(0x30 + rest % 10)
                rest /= 10
            }
        }
        return request
    }
}

/// All connections of one run: how long, and what came of it.
final class Callers {
    let script: CallScript
    private let end: Instant
    private var next: Int
    private var open: Int
    private let started = Instant.now()
    private var latencies_us: [UInt32] = []
    private var statuses: [Int: Int] = [:]

    /// `first` is the number of the first call.
    init(_ script: CallScript, connections: Int, seconds: Int, first: Int) {
        self.script = script
        next = first
        open = connections
        end = started + .seconds(seconds)
        latencies_us.reserveCapacity(1_000_000)
    }

    /// The next request; nil when the time is over.
    func request(_ now: Instant) -> [UInt8]? {
        guard now < end else { return nil }
        defer { next += 1 }
        return script.request(next)
    }

    func answered(_ status: Int, after: Instant, at now: Instant) {
        statuses[status, default: 0] += 1
        latencies_us.append(UInt32(clamping: (now.nanoseconds - after.nanoseconds) / 1000))
    }

    func finished() {
        open -= 1
        guard open == 0 else { return }
        let elapsed = Instant.now().since(started)
        let sorted = latencies_us.sorted()
        var found = JSONObject()
        for (status, count) in statuses.sorted(by: { $0.key < $1.key }) {
            found[String(status)] = .integer(Int64(count))
        }
        say(
            JSON.object([
                "calls": .integer(Int64(sorted.count)), "elapsed_ms": .integer(Int64(elapsed.count)),
                "p50_us": Self.quantile(sorted, 0.5), "p99_us": Self.quantile(sorted, 0.99),
                "statuses": .object(found),
            ]).text)
        exit(0)
    }

    private static func quantile(_ sorted: [UInt32], _ part: Double) -> JSON {
        guard !sorted.isEmpty else { return .null }
        return .integer(Int64(sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]))
    }
}

/// One connection.
final class Caller: StreamHandler {
    private let callers: Callers
    private var parser = ResponseParser(bodyLimitBytes: 1 << 20)
    private var sentAt = Instant.now()

    init(_ callers: Callers) { self.callers = callers }

    func send(_ stream: Stream, _ now: Instant) {
        guard let request = callers.request(now) else {
            stream.close()
            return
        }
        sentAt = now
        stream.send(request)
    }

    func streamReceived(_ stream: Stream) {
        while !stream.isClosed {
            var consumed = 0
            let event = stream.input.withSpan { parser.feed($0, consumed: &consumed) }
            stream.input.consume(consumed)
            switch event {
            case nil: return
            case .response(let response, _):
                let now = Instant.now()
                callers.answered(response.status, after: sentAt, at: now)
                parser = ResponseParser(bodyLimitBytes: 1 << 20)
                send(stream, now)
            default: stop("the server does not answer in HTTP")
            }
        }
    }

    func streamClosed(_ stream: Stream, _ end: StreamEnd) { callers.finished() }
}

func runCallers(
    on loop: EventLoop, to target: String, script: CallScript, connections: Int, seconds: Int, first: Int
) throws(SystemError) {
    guard let address = SocketAddress(target) else {
        stop("--to \(target) is not IP:PORT, as in 127.0.0.1:8080")
    }
    let callers = Callers(script, connections: connections, seconds: seconds, first: first)
    for _ in 0..<connections {
        let caller = Caller(callers)
        let stream = Stream(loop: loop, descriptor: try connectedSocket(address), handler: caller)
        stream.start()
        caller.send(stream, .now())
    }
    loop.run()
}
