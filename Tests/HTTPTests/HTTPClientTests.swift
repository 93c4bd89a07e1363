import CLinux
import Core
import Crypto
import Dispatch
import HTTP
import IO
import Synchronization
import TLS
import Testing

@Suite("The client over real sockets", .timeLimit(.minutes(2)))
struct HTTPClientTests {
    /// A client on the server's own loop, or on any.
    private func call(
        on thread: LoopThread, _ request: HTTPClientRequest, times: Int = 1,
        secure: (@Sendable () throws(CodecError) -> any StreamCodec)? = nil
    ) -> Result<HTTPResponse, HTTPClientError> {
        let held = Held<Result<HTTPResponse, HTTPClientError>>()
        thread.mailbox.post { loop in
            let client = HTTPClient(loop: loop) { _ throws(CodecError) in
                guard let secure else { throw CodecError("no TLS here") }
                return try secure()
            }
            func next(_ left: Int) {
                client.send(request) { result in
                    guard left > 1, case .success = result else { return held.set(result) }
                    next(left - 1)
                }
            }
            next(times)
        }
        return held.wait()
    }

    @Test("A JSON call goes there and back, several on one connection")
    func calls() throws {
        let peers = Mutex<Set<SocketAddress>>([])
        let server = try TestServer { request, responder in
            peers.withLock { _ = $0.insert(request.peer) }
            let body = (try? JSON.parse(request.body)) ?? nil
            responder.respond(
                .json(201, ["method": .string(request.method), "path": .string(request.path), "body": body]))
        }
        let url = try #require(HTTPURL(server.url + "/v1/x?y"))
        let request = HTTPClientRequest("POST", url, headers: ["Authorization": "Bearer z"], json: ["a": 1])
        let response = try call(on: server.thread, request, times: 5).get()
        #expect(response.status == 201)
        #expect(try response.json() == ["method": "POST", "path": "/v1/x", "body": ["a": 1]])
        #expect(peers.withLock { $0.count } == 1)
    }

    @Test("A chunked answer is put together")
    func readsChunks() throws {
        let server = try TestServer { _, responder in
            responder.start(HTTPResponse(status: 200))
            for part in ["a", "bc", ""] { responder.send(Array(part.utf8)) }
            responder.finish()
        }
        let url = try #require(HTTPURL(server.url))
        #expect(try call(on: server.thread, HTTPClientRequest("GET", url)).get().body == Array("abc".utf8))
    }

    @Test("A server that closes kept connections costs nothing but a new one")
    func retriesKept() throws {
        var limits = HTTPServerLimits()
        limits.idleDeadline = Milliseconds(1)
        let server = try TestServer(limits: limits) { _, responder in responder.respond(.text(200, "x")) }
        let url = try #require(HTTPURL(server.url))
        #expect(try call(on: server.thread, HTTPClientRequest("GET", url), times: 50).get().status == 200)
    }

    @Test("A silent server is given up after the head's deadline")
    func timesOut() throws {
        let held = Held<HTTPResponder>()
        let server = try TestServer { _, responder in held.set(responder) }
        var request = HTTPClientRequest("GET", try #require(HTTPURL(server.url)))
        request.headDeadline = Milliseconds(30)
        let result = call(on: server.thread, request)
        guard case .failure(.timedOut) = result else {
            Issue.record("\(result)")
            return
        }
        held.wait().respond(.text(200, "late"))
    }

    @Test("An answer that does not end is given up after the body's deadline")
    func timesBodyOut() throws {
        let held = Held<HTTPResponder>()
        let server = try TestServer { _, responder in
            responder.start(HTTPResponse(status: 200))
            responder.send([1])
            held.set(responder)
        }
        var request = HTTPClientRequest("GET", try #require(HTTPURL(server.url)))
        request.bodyDeadline = Milliseconds(30)
        guard case .failure(.timedOut) = call(on: server.thread, request) else {
            Issue.record("no time-out")
            return
        }
        held.wait().finish()
    }

    @Test("An answer larger than allowed is refused")
    func capsAnswers() throws {
        let server = try TestServer { _, responder in
            responder.respond(HTTPResponse(status: 200, body: [UInt8](repeating: 0, count: 1001)))
        }
        var request = HTTPClientRequest("GET", try #require(HTTPURL(server.url)))
        request.maxResponseBytes = 1000
        guard case .failure(.badAnswer(_, let refusal)) = call(on: server.thread, request) else {
            Issue.record("no refusal")
            return
        }
        #expect(refusal.status == 413)
    }

    @Test("Nobody at the port is told in plain words")
    func tellsRefused() throws {
        let server = try TestServer { _, _ in }
        let url = try #require(HTTPURL(server.url))
        #expect(server.stop().wait())
        guard case .failure(let error) = call(on: server.thread, HTTPClientRequest("GET", url)) else {
            Issue.record("it answered")
            return
        }
        #expect(error.description == "nothing answers at \(server.address) (connection refused)")
    }

    @Test("A cancelled request is silent")
    func cancels() throws {
        let arrived = Held<HTTPResponder>()
        let server = try TestServer { _, responder in arrived.set(responder) }
        let url = try #require(HTTPURL(server.url))
        let called = Atomic<Bool>(false)
        let calls = Held<LoopBound<HTTPClientCall>>()
        server.thread.mailbox.post { loop in
            let client = HTTPClient(loop: loop)
            calls.set(
                LoopBound(
                    client.send(HTTPClientRequest("GET", url)) { _ in
                        called.store(true, ordering: .relaxed)
                    }, loop))
        }
        let responder = arrived.wait()
        let call = calls.wait()
        server.onLoop { loop, _ in call.get(loop).cancel() }
        responder.respond(.text(200, "x"))
        server.onLoop { _, _ in }
        let wasCalled = called.load(ordering: .relaxed)
        #expect(!wasCalled)
    }

    @Test("https goes through TLS to a server whose certificate is known, and to no other")
    func speaksTLS() throws {
        let made = try SelfSignedCertificate.generate(commonName: "test")
        let context = try TLSServerContext(
            certificatePEM: made.certificatePEM, privateKeyPEM: made.privateKeyPEM)
        let thread = try LoopThread.start(name: "tls-test")
        let listening = Held<SocketAddress>()
        thread.mailbox.post { loop in
            guard let any = SocketAddress(octets: [127, 0, 0, 1], port: 0),
                let listener = try? Listener(
                    loop: loop, address: any,
                    onAccept: { descriptor, _ in
                        guard let codec = try? context.codec() else { return }
                        Stream(loop: loop, descriptor: descriptor, codec: codec, handler: OneAnswer()).start()
                    })
            else { return }
            listening.set(listener.localAddress)
        }
        let url = try #require(HTTPURL("https://\(listening.wait())/a"))
        let right = try TLSClientContext(verify: .pinned(fingerprint: made.fingerprint))
        let result = call(on: thread, HTTPClientRequest("GET", url)) { () throws(CodecError) in
            try right.codec()
        }
        #expect(try result.get().body == Array("GET /a HTTP/1.1".utf8))

        let wrong = try TLSClientContext(
            verify: .pinned(fingerprint: String(repeating: "00", count: 32)))
        let refused = call(on: thread, HTTPClientRequest("GET", url)) { () throws(CodecError) in
            try wrong.codec()
        }
        guard case .failure(.connection) = refused else {
            Issue.record("\(refused)")
            return
        }
        thread.stop()
        thread.join()
    }
}

/// Answers the first request with its first line and closes.
private final class OneAnswer: StreamHandler {
    func streamReceived(_ stream: Stream) {
        let text = String(decoding: stream.input.array(), as: UTF8.self)
        guard text.hasSuffix("\r\n\r\n") else { return }
        stream.input.consume(stream.input.count)
        stream.send(Array("HTTP/1.1 200 OK\r\n\r\n\(text.prefix { $0 != "\r\n" })".utf8))
        stream.closeWhenSent()
    }

    func streamClosed(_ stream: Stream, _ end: StreamEnd) {}
}
