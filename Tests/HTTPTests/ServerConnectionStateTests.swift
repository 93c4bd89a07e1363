import Core
import HTTP
import Testing

@Suite("One connection of the server decides by events and given times")
struct ServerConnectionStateTests {
    /// A connection whose output, deliveries and clock the test holds.
    struct Bench {
        var state: ServerConnectionState
        var now = Instant(nanoseconds: 1_000_000_000)
        var waiting: [UInt8] = []
        var delivered: [ServerConnectionState.Delivery] = []

        init(
            _ limits: HTTPServerLimits = HTTPServerLimits(),
            refuse: @escaping HTTPServer.Refusing = HTTPResponse.refusal
        ) {
            state = ServerConnectionState(limits: limits, now: now, refuse: refuse)
        }

        mutating func receive(_ text: String) {
            waiting += Array(text.utf8)
            readOn()
        }

        mutating func readOn() {
            while true {
                var consumed = 0
                let bytes = waiting
                let delivery = state.received(
                    bytes.span, consumed: &consumed, now: now, date: [], bodyLimit: { _ in 100 })
                waiting.removeFirst(consumed)
                guard let delivery else { return }
                delivered.append(delivery)
            }
        }

        mutating func answer(_ index: Int, _ text: String) {
            answer(index, .whole(.text(200, text)))
        }

        mutating func answer(_ index: Int, _ answer: ServerConnectionState.Answer) {
            state.answered(delivered[index].number, answer, date: [], now: now)
        }

        mutating func pass(_ milliseconds: Int) {
            now = now + Milliseconds(milliseconds)
            state.timePassed(now: now, date: [])
        }

        mutating func output() -> String { String(decoding: state.takeOutput(), as: UTF8.self) }

        /// The bodies and statuses that went out, in order.
        mutating func answers() -> [String] {
            var bytes = state.takeOutput()
            var found: [String] = []
            while !bytes.isEmpty {
                var parser = ResponseParser(bodyLimitBytes: 10_000)
                var consumed = 0
                guard
                    case .response(let response, _) = parser.feed(bytes.span, consumed: &consumed)
                else { return found + ["?"] }
                found.append(
                    response.status == 200
                        ? String(decoding: response.body, as: UTF8.self) : "\(response.status)")
                bytes.removeFirst(consumed)
            }
            return found
        }
    }

    private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    @Test("What no handler sees is refused in the words that were given for it")
    func refusesInGivenWords() {
        var limits = HTTPServerLimits()
        limits.head.startLineBytes = 64
        var bench = Bench(limits) { .text($0.status, "ours") }
        bench.receive(get)
        bench.answer(0, .whole(HTTPResponse(status: 99)))
        bench.receive(get)
        bench.answer(1, .abandon)
        bench.receive("GET /" + String(repeating: "x", count: 100) + " HTTP/1.1\r\n")
        let output = bench.output()
        for status in ["500 Internal Server Error", "414 URI Too Long"] { #expect(output.contains(status)) }
        #expect(output.split(separator: "\r\n").filter { $0.hasPrefix("ours") }.count == 3)
        var late = Bench { .text($0.status, "late") }
        late.receive("GET /")
        late.pass(60_000)
        #expect(late.output().hasSuffix("late"))
    }

    @Test("Answers leave in the order of requests, all that are due in one piece")
    func keepsOrder() {
        var bench = Bench()
        bench.receive(get + get + get)
        #expect(bench.delivered.count == 3)
        bench.answer(2, "c")
        bench.answer(1, "b")
        #expect(bench.answers() == [])
        bench.answer(0, "a")
        #expect(bench.answers() == ["a", "b", "c"])
        #expect(bench.state.ending == .open)
    }

    @Test("A late, doubled or foreign answer is dropped")
    func dropsDoubles() {
        var bench = Bench()
        bench.receive(get + get)
        bench.answer(0, "a")
        bench.answer(0, "again")
        bench.answer(1, .end)
        bench.answer(1, .chunk([1]))
        bench.answer(1, "b")
        bench.answer(1, "again")
        bench.state.answered(99, .whole(.text(200, "x")), date: [], now: bench.now)
        #expect(bench.answers() == ["a", "b"])
    }

    @Test("No more requests are read than may be in flight")
    func capsFlight() {
        var limits = HTTPServerLimits()
        limits.requestsInFlight = 2
        var bench = Bench(limits)
        bench.receive(get + get + get)
        #expect(bench.delivered.count == 2)
        #expect(!bench.waiting.isEmpty)
        bench.answer(0, "a")
        bench.readOn()
        #expect(bench.delivered.count == 3)
    }

    @Test("No more requests are read while too much output waits")
    func capsOutput() {
        var bench = Bench()
        bench.state.outputWaits(256 * 1024, now: bench.now)
        bench.receive(get)
        #expect(bench.delivered.isEmpty)
        bench.state.outputWaits(0, now: bench.now)
        bench.readOn()
        #expect(bench.delivered.count == 1)
    }

    @Test("HEAD is told the length and gets no body")
    func answersHead() {
        var bench = Bench()
        bench.receive("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + get)
        bench.answer(0, "hello")
        let first = bench.output()
        #expect(first.contains("Content-Length: 5\r\n"))
        #expect(first.hasSuffix("\r\n\r\n"))
        bench.answer(1, "b")
        #expect(bench.answers() == ["b"])
    }

    @Test("Length, connection and date are the server's business")
    func ownsFraming() {
        var bench = Bench()
        bench.receive(get)
        bench.answer(
            0,
            .whole(
                HTTPResponse(
                    status: 200,
                    headers: [
                        "Content-Length": "99", "Transfer-Encoding": "chunked", "Date": "never", "X": "y",
                    ], body: [0x61])))
        #expect(bench.output() == "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 1\r\n\r\na")
    }

    @Test("204 and 304 have neither length nor body")
    func omitsBodies() {
        var bench = Bench()
        bench.receive(get + get)
        bench.answer(0, .whole(HTTPResponse(status: 204, body: [1])))
        bench.answer(1, .whole(HTTPResponse(status: 304, body: [1])))
        #expect(bench.output() == "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n")
    }

    @Test("A streamed answer is chunked and waits for its turn")
    func streams() {
        var bench = Bench()
        bench.receive(get + get)
        bench.answer(1, .start(HTTPResponse(status: 200)))
        bench.answer(1, .chunk(Array("hello".utf8)))
        #expect(bench.output() == "")
        bench.answer(0, "a")
        #expect(
            bench.output().hasSuffix("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"))
        bench.answer(1, .chunk([]))
        bench.answer(1, .chunk(Array(repeating: 0x61, count: 16)))
        bench.answer(1, .end)
        #expect(bench.output() == "10\r\naaaaaaaaaaaaaaaa\r\n0\r\n\r\n")
        #expect(bench.state.requestsInFlight == 0)
    }

    @Test("A streamed answer that is abandoned ends the connection without a last chunk")
    func abandonsStreams() {
        var bench = Bench()
        bench.receive(get)
        bench.answer(0, .start(HTTPResponse(status: 200)))
        bench.answer(0, .abandon)
        #expect(bench.state.ending == .now)
        #expect(!bench.output().contains("0\r\n\r\n"))
    }

    @Test("A request that nobody answers gets a 500")
    func answersAbandoned() {
        var bench = Bench()
        bench.receive(get)
        bench.answer(0, .abandon)
        #expect(bench.answers() == ["500"])
        #expect(bench.state.ending == .open)
    }

    @Test("A streamed answer nobody takes ends the connection")
    func capsStreams() {
        var limits = HTTPServerLimits()
        limits.streamedOutputBytes = 100
        var bench = Bench(limits)
        bench.receive(get + get)
        bench.answer(1, .start(HTTPResponse(status: 200)))
        bench.answer(1, .chunk(Array(repeating: 0, count: 101)))
        #expect(bench.state.ending == .now)
    }

    @Test("A refusal is answered after what was asked before, then the connection ends")
    func refusesInOrder() {
        var bench = Bench()
        bench.receive(get + "garbage\r\n\r\n" + get)
        #expect(bench.delivered.count == 1)
        #expect(bench.answers() == [])
        bench.answer(0, "a")
        #expect(bench.answers() == ["a", "400"])
        #expect(bench.state.ending == .afterOutput)
        bench.receive(get)
        #expect(bench.delivered.count == 1)
        #expect(bench.waiting.isEmpty)
    }

    @Test("A refusal is a problem document that says close")
    func refusalsAreProblems() {
        var bench = Bench()
        bench.receive("GET / HTTP/1.0\r\n")
        let output = bench.output()
        #expect(output.hasPrefix("HTTP/1.1 505 HTTP Version Not Supported\r\n"))
        #expect(output.contains("Content-Type: application/problem+json\r\n"))
        #expect(output.contains("Connection: close\r\n"))
        #expect(output.contains("\"status\":505"))
    }

    @Test("Connection: close from either side ends after that answer")
    func closesWhenAsked() {
        var bench = Bench()
        bench.receive("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + get)
        #expect(bench.delivered.count == 1)
        bench.answer(0, "a")
        #expect(bench.output().contains("Connection: close\r\n"))
        #expect(bench.state.ending == .afterOutput)

        var other = Bench()
        other.receive(get + get)
        other.answer(0, .whole(HTTPResponse(status: 200, headers: ["Connection": "close"])))
        other.answer(1, "b")
        #expect(other.answers() == [""])
        #expect(other.state.ending == .afterOutput)
    }

    @Test("100 Continue comes after the answers before it")
    func continuesInOrder() {
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        var bench = Bench()
        bench.receive(post)
        #expect(bench.output() == "HTTP/1.1 100 Continue\r\n\r\n")
        bench.receive("hi")
        #expect(bench.delivered.count == 1)
        bench.receive(post)
        #expect(bench.output() == "")
        bench.answer(0, "a")
        #expect(bench.output().hasSuffix("aHTTP/1.1 100 Continue\r\n\r\n"))
        bench.receive("hi")
        #expect(bench.delivered.count == 2)
    }

    @Test("100 Continue is not sent for a body that is too large")
    func refusesBeforeContinue() {
        var bench = Bench()
        bench.receive(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n")
        #expect(bench.answers() == ["413"])
        #expect(bench.state.ending == .afterOutput)
    }

    @Test("A head that comes too slowly gets 408")
    func timesHeadsOut() {
        var bench = Bench()
        bench.pass(60_000)
        for character in "GET / HT" {
            bench.receive(String(character))
            bench.pass(1000)
            #expect(bench.state.ending == .open)
        }
        bench.pass(2000)
        #expect(bench.answers() == ["408"])
        #expect(bench.state.ending == .afterOutput)
        bench.pass(2000)
        #expect(bench.state.ending == .now)
    }

    @Test("A body that comes too slowly gets 408, after the answers before it")
    func timesBodiesOut() {
        var bench = Bench()
        bench.receive(get + "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        for _ in 0..<8 {
            bench.pass(3700)
            bench.receive("a")
            #expect(bench.state.ending == .open)
        }
        bench.pass(500)
        #expect(bench.answers() == [])
        bench.answer(0, "a")
        #expect(bench.answers() == ["a", "408"])
    }

    @Test("An idle connection ends in silence; one whose request is in work waits")
    func timesIdleOut() {
        var bench = Bench()
        bench.pass(70_000)
        bench.receive(get)
        #expect(bench.state.deadline == nil)
        bench.pass(10 * 60_000)
        #expect(bench.state.ending == .open)
        bench.answer(0, "a")
        #expect(bench.answers() == ["a"])
        bench.pass(74_999)
        #expect(bench.state.ending == .open)
        bench.pass(1)
        #expect(bench.state.ending == .afterOutput)
        #expect(bench.output() == "")
    }

    @Test("A peer that takes nothing of its answer is dropped, a slow one is not")
    func timesSendingOut() {
        var bench = Bench()
        bench.receive(get)
        bench.answer(0, "a")
        bench.state.outputWaits(1000, now: bench.now)
        bench.pass(29_000)
        bench.state.outputWaits(900, now: bench.now)
        bench.pass(29_000)
        #expect(bench.state.ending == .open)
        bench.state.outputWaits(900, now: bench.now)
        bench.pass(1000)
        #expect(bench.state.ending == .now)
    }

    @Test("A peer that stopped sending still gets its answers")
    func answersHalfClosed() {
        var bench = Bench()
        bench.receive(get + get)
        bench.state.inputEnded()
        bench.readOn()
        bench.answer(0, "a")
        #expect(bench.state.ending == .open)
        bench.answer(1, "b")
        #expect(bench.answers() == ["a", "b"])
        #expect(bench.state.ending == .afterOutput)
        var empty = Bench()
        empty.receive("GET / HT")
        empty.state.inputEnded()
        empty.readOn()
        #expect(empty.state.ending == .afterOutput)
    }

    @Test("Requests that wait unread when the peer stops sending are answered too")
    func answersUnread() {
        var limits = HTTPServerLimits()
        limits.requestsInFlight = 1
        var bench = Bench(limits)
        bench.receive(get + get)
        bench.state.inputEnded()
        bench.readOn()
        bench.answer(0, "a")
        bench.readOn()
        #expect(bench.state.ending == .open)
        bench.answer(1, "b")
        bench.readOn()
        #expect(bench.answers() == ["a", "b"])
        #expect(bench.state.ending == .afterOutput)
    }

    @Test("Many requests with large answers in one read do not pile up")
    func capsUnsentAnswers() {
        var limits = HTTPServerLimits()
        limits.waitingOutputBytes = 1000
        var bench = Bench(limits)
        bench.receive(get)
        bench.answer(0, String(repeating: "x", count: 1000))
        bench.receive(get)
        #expect(bench.delivered.count == 1)
        _ = bench.output()
        bench.readOn()
        #expect(bench.delivered.count == 2)
    }

    @Test("An answer without a valid status becomes a 500", arguments: [0, 100, 600])
    func defusesStatus(_ status: Int) {
        var bench = Bench()
        bench.receive(get)
        bench.answer(0, .start(HTTPResponse(status: status)))
        #expect(bench.answers() == ["500"])
    }

    @Test("A graceful stop answers what was asked, says close and reads no more")
    func stops() {
        var bench = Bench()
        bench.receive(get + get)
        bench.state.stop(now: bench.now)
        bench.receive(get)
        #expect(bench.delivered.count == 2)
        bench.answer(0, "a")
        #expect(!bench.output().contains("close"))
        #expect(bench.state.ending == .open)
        bench.answer(1, "b")
        #expect(bench.output().contains("Connection: close\r\n"))
        #expect(bench.state.ending == .afterOutput)

        var idle = Bench()
        idle.state.stop(now: idle.now)
        #expect(idle.state.ending == .afterOutput)
    }

    @Test("A graceful stop lets a request that has begun arrive")
    func stopsAfterPartial() {
        var bench = Bench()
        bench.receive("GET / HTTP/1.1\r\n")
        bench.state.stop(now: bench.now)
        #expect(bench.state.ending == .open)
        bench.receive("Host: a\r\n\r\n")
        bench.answer(0, "a")
        #expect(bench.answers() == ["a"])
        #expect(bench.state.ending == .afterOutput)
    }
}

@Suite("Answers of handlers")
struct HTTPResponseTests {
    @Test("A problem has the members of RFC 9457")
    func buildsProblems() {
        let response = HTTPResponse.problem(
            404, detail: "there is no such tunnel", members: ["request_id": "req_1"])
        #expect(response.headers["content-type"] == "application/problem+json")
        #expect(
            String(decoding: response.body, as: UTF8.self)
                == #"{"type":"about:blank","title":"Not Found","status":404,"#
                + #""detail":"there is no such tunnel","request_id":"req_1"}"#)
    }

    @Test("JSON goes in and out")
    func carriesJSON() throws {
        let response = HTTPResponse.json(201, ["a": 1])
        #expect(response.status == 201)
        #expect(response.headers["Content-Type"] == "application/json")
        #expect(try response.json() == ["a": 1])
    }
}
