import HTTP
import Testing

@Suite("Requests are read by RFC 9112, strictly")
struct RequestParserTests {
    private static let host = "Host: a\r\n"

    struct Refusal: Sendable, CustomStringConvertible {
        let status: Int
        let text: String
        let description: String

        init(_ status: Int, _ description: String, _ text: String) {
            self.status = status
            self.text = text
            self.description = description
        }
    }

    static let refusals = [
        Refusal(400, "a bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        Refusal(400, "a bare LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n"),
        Refusal(400, "a bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
        Refusal(400, "bare LFs only", "GET / HTTP/1.1\nHost: a\n\n"),
        Refusal(400, "a bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n"),
        Refusal(400, "a NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n"),
        Refusal(400, "obs-fold", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n"),
        Refusal(400, "obs-fold with a tab", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\tc\r\n\r\n"),
        Refusal(400, "a space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        Refusal(400, "a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        Refusal(400, "a tab before the colon", "GET / HTTP/1.1\r\nHost\t: a\r\n\r\n"),
        Refusal(400, "no colon", "GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n"),
        Refusal(400, "no field name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
        Refusal(400, "a field name that is no token", "GET / HTTP/1.1\r\nHost: a\r\nA(: b\r\n\r\n"),
        Refusal(400, "no Host", "GET / HTTP/1.1\r\n\r\n"),
        Refusal(400, "two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        Refusal(400, "the same Host twice", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
        Refusal(400, "an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        Refusal(400, "a Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        Refusal(400, "a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        Refusal(400, "a Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        Refusal(400, "a Host with a bad port", "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n"),
        Refusal(400, "a Host with an unclosed bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
        Refusal(400, "a bad Host beside an absolute target", "GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n"),
        Refusal(400, "no Host beside an absolute target", "GET http://a/ HTTP/1.1\r\n\r\n"),
        Refusal(400, "a method that is no token", "G(T / HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "no method", " / HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "no target", "GET HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "an empty target", "GET  HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "a space in the target", "GET /a b HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "a target without a slash", "GET a HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "a target of another scheme", "GET ftp://a/ HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "an absolute target without a host", "GET http:///a HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "a fragment", "GET /a#b HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "a quote in the target", "GET /\" HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "a letter beyond ASCII in the target", "GET /\u{e9} HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "a star for GET", "GET * HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "a percent sign alone", "GET /% HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "half an escape", "GET /%2 HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "an escape that is no hex", "GET /%zz HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "a bad escape in the query", "GET /?a=%zz HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "an escaped NUL", "GET /%00 HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "escapes that are not UTF-8", "GET /%ff HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(400, "a version that is none", "GET / HTTX/1.1\r\n" + host + "\r\n"),
        Refusal(400, "a version in lower case", "GET / http/1.1\r\n" + host + "\r\n"),
        Refusal(400, "HTTP/0.9", "GET /\r\n"),
        Refusal(400, "a space after the version", "GET / HTTP/1.1 \r\n" + host + "\r\n"),
        Refusal(505, "HTTP/1.0", "GET / HTTP/1.0\r\n" + host + "\r\n"),
        Refusal(505, "HTTP/1.2", "GET / HTTP/1.2\r\n" + host + "\r\n"),
        Refusal(505, "HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        Refusal(501, "CONNECT", "CONNECT a:80 HTTP/1.1\r\n" + host + "\r\n"),
        Refusal(
            400, "Content-Length and Transfer-Encoding",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Refusal(
            400, "two Content-Lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
        Refusal(
            400, "a list of Content-Lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc"),
        Refusal(
            400, "a negative Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
        Refusal(400, "a signed Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na"),
        Refusal(400, "a hex Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na"),
        Refusal(400, "an empty Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
        Refusal(
            413, "a Content-Length beyond numbers",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"),
        Refusal(
            413, "a body over the limit", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"),
        Refusal(
            413, "a chunk over the limit",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"),
        Refusal(
            413, "a chunk beyond numbers",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
        Refusal(
            501, "an unknown coding before chunked",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
        Refusal(
            501, "an unknown coding on a line of its own",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Refusal(
            400, "a coding after chunked",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"),
        Refusal(
            400, "no chunked at the end", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
        Refusal(
            400, "chunked twice",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        Refusal(400, "an empty coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n"),
        Refusal(
            400, "chunked in disguise",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n"),
        Refusal(417, "another expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n"),
        Refusal(400, "a TLS handshake", "\u{16}\u{3}\u{1}\u{2}\0\u{1}"),
        Refusal(400, "a second empty line before the request", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Refusal(400, "a bare LF before the request", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]

    static let chunkedRefusals = [
        "\r\n", "x\r\n", "-1\r\n", "0x1\r\na\r\n", "1\na\r\n", "1\r\nab\r\n", "1\r\na\n", "1\r\na\rb",
        "1 a\r\n", "1;\0\r\n", "1;a=\n\r\n", "1\r;", "1;" + String(repeating: "a", count: 300),
        "0\r\nA : b\r\n\r\n", "0\r\nA: b\r\n c\r\n\r\n", "0\r\n\n", "0\r\nA: b\n\r\n",
    ]

    @Test("A message that can be read in two ways is refused", arguments: refusals)
    func refuses(_ refusal: Refusal) {
        #expect(read(refusal.text) == [.refused(refusal.status)])
        for pieces in Array(refusal.text.utf8).fragmentations {
            #expect(read(pieces) == [.refused(refusal.status)])
        }
    }

    @Test("A malformed chunked body is refused", arguments: chunkedRefusals)
    func refusesChunks(_ body: String) {
        let text = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
        #expect(read(text) == [.refused(400)])
        #expect(read(text.utf8.map { [$0] }) == [.refused(400)])
    }

    @Test("Nothing is read after a refusal")
    func stopsAfterRefusal() {
        #expect(read("GET / HTTP/1.0\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n") == [.refused(505)])
    }

    private static let stream = Array(
        ("\r\nGET /a?b=c HTTP/1.1\r\nHost: a:80\r\nX:\r\n\r\n"
            + "POST /b HTTP/1.1\r\nhost: [::1]:8080\r\nContent-Length: 5\r\n\r\nhello"
            + "\r\nPUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
            + "3\r\nabc\r\n00A;name=\"value\"\r\n0123456789\r\n1 \t;x\r\n!\r\n0\r\nTrailer: x\r\nB: c\r\n\r\n"
            + "DELETE /d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            + "OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
            + "BREW http://pot/e?f HTTP/1.1\r\nHost: a\r\n\r\n").utf8)

    private static let expected: [Read] = [
        .request(method: "GET", target: "/a?b=c", body: ""),
        .request(method: "POST", target: "/b", body: "hello"),
        .request(method: "PUT", target: "/c", body: "abc0123456789!"),
        .request(method: "DELETE", target: "/d", body: ""),
        .request(method: "OPTIONS", target: "*", body: ""),
        .request(method: "BREW", target: "/e?f", body: ""),
    ]

    @Test("Pipelined requests are read the same wherever the bytes are cut")
    func readsFragments() {
        #expect(read([Self.stream]) == Self.expected)
        for pieces in Self.stream.fragmentations { #expect(read(pieces) == Self.expected) }
    }

    @Test("A body is not asked for more than once: 100-continue only while it is held back")
    func expectsContinue() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n"
        let body = Read.request(method: "POST", target: "/", body: "hi")
        #expect(read([Array(head.utf8), Array("hi".utf8)]) == [.continueExpected, body])
        #expect(read(head + "hi") == [body])
        #expect(read("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n").count == 1)
    }

    @Test("Oversize lines, fields and counts are refused before they end")
    func capsHeads() {
        var limits = HTTPHeadLimits()
        limits.startLineBytes = 100
        limits.fieldBytes = 200
        limits.fieldCount = 3
        let long = String(repeating: "a", count: 100)
        #expect(read("GET /" + long, limits: limits) == [.refused(414)])
        #expect(read("GET /\(long) HTTP/1.1\r\nHost: a\r\n\r\n", limits: limits) == [.refused(414)])
        #expect(read("GET / HTTP/1.1\r\nHost: a\r\nA: \(long)\(long)", limits: limits) == [.refused(431)])
        #expect(
            read("GET / HTTP/1.1\r\nHost: a\r\nA: \(long)\r\nB: \(long)\r\n\r\n", limits: limits)
                == [.refused(431)])
        #expect(
            read("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\nC:\r\n\r\n", limits: limits) == [.refused(431)])
        let trailers = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: "
        #expect(read(trailers + long + long, limits: limits) == [.refused(431)])
        #expect(read("GET /a HTTP/1.1\r\nHost: a\r\nA: \(long)\r\n\r\n", limits: limits).count == 1)
    }

    @Test("The limit of a body is asked for with its head, and not for a request without one")
    func asksForTheLimit() {
        let text = Array(
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n".utf8)
        var parser = RequestParser(limits: HTTPHeadLimits())
        var asked: [String] = []
        var consumed = 0
        for _ in 0..<2 {
            _ = parser.feed(text.span, consumed: &consumed) {
                asked.append($0.path)
                return 0
            }
        }
        #expect(asked == ["/b"])
    }

    @Test("Random bytes never make a request and never a crash")
    func survivesGarbage() {
        var random = SystemRandomNumberGenerator()
        let seeds = [Self.stream] + Self.refusals.map { Array($0.text.utf8) }
        for _ in 0..<3000 {
            var bytes = seeds[Int.random(in: 0..<seeds.count, using: &random)]
            for _ in 0..<Int.random(in: 1...6, using: &random) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: index)
                default: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &random)], at: index)
                }
            }
            let cut = Int.random(in: 0...bytes.count, using: &random)
            #expect(read([bytes]) == read([Array(bytes[..<cut]), Array(bytes[cut...])]))
        }
    }
}

@Suite("The head of a request")
struct RequestHeadTests {
    @Test("Path, segments and query are decoded, an escaped slash makes no segment")
    func decodes() throws {
        let head = try #require(
            parsedHead("GET /v1/%74unnels/a%2Fb%20c?x=1&y=a+b%26&&z&x=%C3%A9= HTTP/1.1\r\nHost: a\r\n\r\n"))
        #expect(head.path == "/v1/tunnels/a%2Fb c")
        #expect(head.segments == ["v1", "tunnels", "a/b c"])
        #expect(head.query.map(\.name) == ["x", "y", "z", "x"])
        #expect(head.query.map(\.value) == ["1", "a b&", "", "é="])
    }

    @Test("The authority of an absolute target counts instead of Host")
    func prefersTargetAuthority() throws {
        let absolute = try #require(parsedHead("GET http://b:81?q HTTP/1.1\r\nHost: a\r\n\r\n"))
        #expect(absolute.authority == "b:81")
        #expect(absolute.target == "/?q")
        #expect(absolute.path == "/")
        #expect(try #require(parsedHead("GET / HTTP/1.1\r\nHost: a\r\n\r\n")).authority == "a")
    }

    @Test("Fields are found whatever their case, in their order, trimmed")
    func findsFields() throws {
        var headers = try #require(
            parsedHead(
                "GET / HTTP/1.1\r\nHost: a\r\nX-A:  1 \t\r\nx-a:2\r\nConnection: keep-alive ,\tClose\r\n\r\n")
        ).headers
        #expect(headers["x-A"] == "1")
        #expect(headers.values("X-a") == ["1", "2"])
        #expect(headers.count == 4)
        headers["X-A"] = "3"
        #expect(headers.values("x-a") == ["3"])
        headers["x-a"] = nil
        #expect(!headers.contains("X-A"))
    }

    @Test("A peer that asks to close is heard")
    func hearsClose() throws {
        let closing = try #require(
            parsedHead("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: a, CLOSE\r\n\r\n"))
        #expect(closing.asksToClose)
        let open = try #require(parsedHead("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n"))
        #expect(!open.asksToClose)
    }

    @Test("A value never starts a field of its own")
    func defusesInjection() {
        var headers = HTTPHeaders()
        headers.add("X", "a\r\nSet-Cookie: b\0")
        headers.add("Bad name", "x")
        headers.add("", "x")
        #expect(headers.count == 1)
        #expect(headers["x"] == "a  Set-Cookie: b")
    }
}
