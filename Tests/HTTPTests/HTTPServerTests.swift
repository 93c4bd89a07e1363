import CLinux
import Core
import Dispatch
import HTTP
import IO
import Synchronization
import Testing

@Suite("The server over real sockets", .timeLimit(.minutes(2)))
struct HTTPServerTests {
    private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    private let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    private static let echo: HTTPServer.Handler = { request, responder in
        responder.respond(.text(200, "\(request.method) \(request.path) \(request.body.count)"))
    }

    @Test("A request is answered and the connection stays")
    func answers() throws {
        let server = try TestServer(Self.echo)
        let client = try RawClient(server.address)
        for index in 0..<3 {
            client.send("POST /\(index) HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            let answer = client.receive(until: "POST /\(index) 3")
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\nDate: "))
        }
        client.send(last)
        #expect(client.receive().contains("Connection: close\r\n"))
    }

    @Test("Every byte on its own makes the same request")
    func readsDribble() throws {
        let server = try TestServer(Self.echo)
        let client = try RawClient(server.address)
        let text = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
        for byte in text.utf8 { client.send([byte]) }
        #expect(client.receive(until: "POST /x 2").hasSuffix("POST /x 2"))
    }

    @Test("A thousand pipelined requests are answered in order")
    func pipelines() throws {
        let server = try TestServer(Self.echo)
        let client = try RawClient(server.address)
        let requests = (0..<999).map { "GET /\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined()
        client.send(requests + last)
        let answers = client.receive()
        let paths = answers.split(separator: "GET /").dropFirst().map { $0.prefix { $0 != " " } }
        #expect(paths == (0..<999).map { "\($0)" } + [""])
    }

    @Test("Whoever works on a request can see that its client is gone")
    func noticesClientsThatLeft() throws {
        let kept = Mutex<HTTPResponder?>(nil)
        let server = try TestServer { _, responder in kept.withLock { $0 = responder } }
        func seen() throws -> HTTPResponder {
            while true {
                if let responder = kept.withLock({ $0 }) { return responder }
                usleep(1000)
            }
        }
        do {
            let client = try RawClient(server.address)
            client.send(get)
            #expect(try !seen().isAbandoned)
            withExtendedLifetime(client) {}
        }
        while try !seen().isAbandoned { usleep(1000) }
        try seen().respond(.text(200, "nobody reads this"))
    }

    @Test("An answer from another thread reaches its request, in order with the others")
    func answersFromElsewhere() throws {
        let server = try TestServer { request, responder in
            guard request.path != "/now" else { return responder.respond(.text(200, "now")) }
            DispatchQueue.global().async {
                responder.respond(.text(200, "later"))
                responder.respond(.text(200, "twice"))
            }
        }
        let client = try RawClient(server.address)
        client.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n" + last)
        let answers = client.receive()
        let bodies = answers.split(separator: "\r\n\r\n").dropFirst().map { $0.prefix(3) }
        #expect(bodies == ["lat", "now", "lat"])
    }

    @Test("A streamed answer arrives chunk by chunk")
    func streams() throws {
        let held = Held<HTTPResponder>()
        let server = try TestServer { _, responder in
            responder.start(HTTPResponse(status: 200))
            responder.send(Array("one".utf8))
            held.set(responder)
        }
        let client = try RawClient(server.address)
        client.send(get)
        #expect(client.receive(until: "3\r\none\r\n").contains("Transfer-Encoding: chunked\r\n"))
        held.wait().send(Array("two".utf8))
        #expect(client.receive(until: "two\r\n") == "3\r\ntwo\r\n")
        held.wait().finish()
        #expect(client.receive(until: "\r\n\r\n") == "0\r\n\r\n")
    }

    @Test("A responder that is let go unanswered makes a 500")
    func answersForgotten() throws {
        let server = try TestServer { _, _ in }
        let client = try RawClient(server.address)
        client.send(last)
        #expect(client.receive().hasPrefix("HTTP/1.1 500 "))
    }

    @Test(
        "Garbage gets an answer that says so, and the connection closes",
        arguments: [
            ("\u{16}\u{3}\u{1}\0\0", "400"), ("GET / HTTP/1.0\r\n\r\n", "505"), ("\n\n\n", "400"),
            ("GET / HTTP/1.1\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n", "413"),
        ])
    func answersGarbage(_ text: String, _ status: String) throws {
        let server = try TestServer(Self.echo)
        let client = try RawClient(server.address)
        client.send(text)
        let answer = client.receive()
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
        #expect(answer.contains("Connection: close\r\n"))
    }

    @Test("The answer to a body that is too large arrives although the body is still being sent")
    func answersWhileSending() throws {
        let server = try TestServer(bodyLimitBytes: 10, Self.echo)
        for _ in 0..<10 {
            let client = try RawClient(server.address)
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n")
            client.send([UInt8](repeating: 0, count: 400_000))
            #expect(client.receive().hasPrefix("HTTP/1.1 413 "))
        }
    }

    @Test("A peer that stops sending after its request still gets the answer")
    func answersHalfClosed() throws {
        let server = try TestServer { request, responder in
            DispatchQueue.global().async { responder.respond(.text(200, "here")) }
        }
        let client = try RawClient(server.address)
        client.send(get)
        client.endSending()
        #expect(client.receive().hasSuffix("here"))
    }

    @Test("A head that never ends gets 408, an idle connection is closed")
    func timesOut() throws {
        var limits = HTTPServerLimits()
        limits.headDeadline = Milliseconds(50)
        limits.idleDeadline = Milliseconds(100)
        let server = try TestServer(limits: limits, Self.echo)
        let slow = try RawClient(server.address)
        slow.send("GET / HT")
        #expect(slow.receive().hasPrefix("HTTP/1.1 408 "))
        let idle = try RawClient(server.address)
        #expect(idle.sawClose())
    }

    @Test("A large answer reaches a slow reader whole")
    func sendsLargeAnswers() throws {
        let body = [UInt8](repeating: UInt8(ascii: "x"), count: 3_000_000)
        let server = try TestServer { _, responder in
            responder.respond(HTTPResponse(status: 200, body: body))
        }
        let client = try RawClient(server.address)
        client.send(last)
        #expect(client.receive().utf8.count > 3_000_000)
    }

    @Test("Pipelined requests with large answers all arrive, though nobody reads at first")
    func pipelinesLargeAnswers() throws {
        let body = [UInt8](repeating: UInt8(ascii: "x"), count: 100_000)
        let server = try TestServer { _, responder in
            responder.respond(HTTPResponse(status: 200, body: body))
        }
        let client = try RawClient(server.address)
        client.send(String(repeating: get, count: 50))
        client.endSending()
        #expect(client.receive().utf8.count > 50 * 100_000)
    }

    @Test("Dropped connections of every kind leave no descriptor behind")
    func leavesNothing() throws {
        let server = try TestServer { request, responder in
            if request.path == "/wait" {
                DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(20)) {
                    responder.respond(.text(200, "late"))
                }
            } else {
                responder.respond(.text(200, "x"))
            }
        }
        let kinds = ["", "GET", "garbage\n", get, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n", "\u{16}\u{3}"]
        for index in 0..<300 {
            let client = try RawClient(server.address)
            client.send(kinds[index % kinds.count])
        }
        // A last client whose turn comes after all the others'.
        let client = try RawClient(server.address)
        client.send(last)
        _ = client.receive()
        let deadline = Instant.now() + .seconds(10)
        while server.onLoop({ _, server in server.connectionCount }) > 0, Instant.now() < deadline {}
        #expect(server.onLoop { _, server in server.connectionCount } == 0)
    }

    @Test("Beyond its connections the server says 503")
    func capsConnections() throws {
        var limits = HTTPServerLimits()
        limits.connections = 1
        let server = try TestServer(limits: limits, Self.echo)
        let first = try RawClient(server.address)
        first.send(get)
        _ = first.receive(until: "GET / 0")
        let second = try RawClient(server.address)
        #expect(second.receive().hasPrefix("HTTP/1.1 503 "))
        first.send(last)
        #expect(first.receive().contains("200 OK"))
    }

    @Test("A graceful stop closes idle connections, finishes the others and refuses new ones")
    func stopsGracefully() throws {
        let held = Held<HTTPResponder>()
        let server = try TestServer { request, responder in
            if request.path == "/held" { held.set(responder) } else { responder.respond(.text(200, "x")) }
        }
        let idle = try RawClient(server.address)
        idle.send(get)
        _ = idle.receive(until: "\r\n\r\nx")
        let busy = try RawClient(server.address)
        busy.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        let responder = held.wait()
        let stopped = server.stop()
        #expect(idle.sawClose())
        idle.endSending()
        responder.respond(.text(200, "done"))
        let answer = busy.receive()
        #expect(answer.hasSuffix("done"))
        #expect(answer.contains("Connection: close\r\n"))
        busy.endSending()
        #expect(stopped.wait())
        #expect(throws: SystemError.self) { try RawClient(server.address) }
    }

    @Test("A graceful stop does not wait longer than it may")
    func stopsInTime() throws {
        let held = Held<HTTPResponder>()
        let server = try TestServer { _, responder in held.set(responder) }
        let client = try RawClient(server.address)
        client.send(get)
        let responder = held.wait()
        #expect(server.stop(within: Milliseconds(50)).wait())
        #expect(client.sawClose())
        responder.respond(.text(200, "too late"))
    }
}
