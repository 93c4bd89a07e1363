import Core
import HTTP
import Testing

@Suite("Answers are read by RFC 9112")
struct ResponseParserTests {
    enum Answer: Equatable {
        case response(Int, String, reusable: Bool)
        case refused(Int)
    }

    func read(_ pieces: [[UInt8]], toHead: Bool = false, limit: Int = 100, ends: Bool = false) -> Answer? {
        var parser = ResponseParser(toHead: toHead, bodyLimitBytes: limit)
        var waiting: [UInt8] = []
        func answer(_ event: ResponseParser.Event) -> Answer {
            switch event {
            case .response(let response, let reusable):
                .response(response.status, String(decoding: response.body, as: UTF8.self), reusable: reusable)
            case .refused(let refusal): .refused(refusal.status)
            }
        }
        for piece in pieces {
            waiting += piece
            var consumed = 0
            if let event = parser.feed(waiting.span, consumed: &consumed) { return answer(event) }
            waiting.removeFirst(consumed)
        }
        return ends ? parser.inputEnded().map(answer) : nil
    }

    func read(_ text: String, toHead: Bool = false, limit: Int = 100, ends: Bool = false) -> Answer? {
        read([Array(text.utf8)], toHead: toHead, limit: limit, ends: ends)
    }

    @Test(
        "An answer is read the same wherever the bytes are cut",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
        ])
    func readsFragments(_ text: String) {
        #expect(read(text) == .response(200, "hello", reusable: true))
        for pieces in Array(text.utf8).fragmentations {
            #expect(read(pieces) == .response(200, "hello", reusable: true))
        }
    }

    @Test("Without a length the body lasts to the end of the connection")
    func readsUntilClose() {
        #expect(
            read("HTTP/1.1 200 OK\r\n\r\nhello", ends: true) == .response(200, "hello", reusable: false))
        #expect(
            read("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", ends: true) == .refused(502))
        #expect(
            read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n", ends: true)
                == .refused(502))
        #expect(read("HTTP/1.1 200", ends: true) == .refused(502))
    }

    @Test("Answers to HEAD, 204 and 304 have no body")
    func knowsBodyless() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        #expect(read(text, toHead: true) == .response(200, "", reusable: true))
        #expect(read("HTTP/1.1 204 No Content\r\n\r\n") == .response(204, "", reusable: true))
        #expect(
            read("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n") == .response(304, "", reusable: true))
    }

    @Test("A connection that closes is not used again")
    func seesClose() {
        #expect(
            read("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                == .response(200, "", reusable: false))
        #expect(
            read("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n") == .response(200, "", reusable: false))
    }

    @Test("What is too large or no answer is refused")
    func refuses() {
        #expect(read("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n") == .refused(413))
        #expect(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n") == .refused(413))
        #expect(
            read("HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "a", count: 101)) == .refused(413))
        #expect(read("SSH-2.0-OpenSSH_9.2\r\n") == .refused(502))
        #expect(read("HTTP/2 200 OK\r\n\r\n") == .refused(502))
        #expect(read("HTTP/1.1 2x0 OK\r\n\r\n") == .refused(502))
        #expect(read("HTTP/1.1 101 Switching\r\n\r\n") == .refused(502))
        #expect(
            read("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
                == .refused(400))
        #expect(
            read(String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 50)) == .refused(502))
    }
}

@Suite("URLs of a client")
struct HTTPURLTests {
    @Test("A URL is taken apart")
    func parses() throws {
        let plain = try #require(HTTPURL("http://a.example/b?c=d"))
        #expect(!plain.isSecure)
        #expect(plain.endpoint.description == "a.example:80")
        #expect(plain.target == "/b?c=d")
        let secure = try #require(HTTPURL("HTTPS://[::1]:8443"))
        #expect(secure.isSecure)
        #expect(secure.endpoint.host == "::1")
        #expect(secure.endpoint.port == 8443)
        #expect(secure.authority == "[::1]:8443")
        #expect(secure.target == "/")
        #expect(HTTPURL("https://[::1]/")?.endpoint.port == 443)
    }

    @Test(
        "What is no plain http URL is none",
        arguments: [
            "", "a", "/a", "ftp://a/", "http://", "http:///a", "http://u:p@a/", "http://a/#b", "http://a b/",
            "http://a:99999/", "http://a:x/", "http://a/\r\nX: y", "https://", "*",
        ])
    func refuses(_ text: String) {
        #expect(HTTPURL(text) == nil)
    }
}
