/// Reads requests from a connection's bytes, strictly by RFC 9112: what could be read in two ways is refused.
public struct RequestParser: Sendable {
    public enum Event: Sendable {
        case request(HTTPRequestHead, body: [UInt8])
        /// The peer holds its body back until it reads `100 Continue`.
        case continueExpected
        /// Nothing more is read from this connection.
        case refused(HTTPRefusal)
    }

    private enum Stage {
        case start
        /// After the CR of one empty line before a request (RFC 9112 section 2.2).
        case emptyLine
        case head
        case body(HTTPRequestHead, BodyReader)
        case failed
    }

    /// How far the next request is.
    public enum Progress: Sendable { case idle, head, body }

    private let limits: HTTPHeadLimits
    private var stage = Stage.start
    private var skippedEmptyLine = false
    private var reader: HeadReader
    private var line = RequestLine()

    public init(limits: HTTPHeadLimits) {
        self.limits = limits
        reader = HeadReader(limits)
    }

    public var progress: Progress {
        switch stage {
        case .start, .failed: .idle
        case .emptyLine, .head: .head
        case .body: .body
        }
    }

    /// Reads from `consumed` on and moves it; nil when more bytes are needed. `bodyLimit` is asked once for
    /// each request that has a body, in bytes.
    public mutating func feed(
        _ input: Span<UInt8>, consumed: inout Int, bodyLimit: (HTTPRequestHead) -> Int
    ) -> Event? {
        do {
            return try read(input, &consumed, bodyLimit)
        } catch {
            stage = .failed
            return .refused(error)
        }
    }

    private mutating func read(
        _ input: Span<UInt8>, _ consumed: inout Int, _ bodyLimit: (HTTPRequestHead) -> Int
    ) throws(HTTPRefusal) -> Event? {
        while true {
            switch stage {
            case .start:
                guard consumed < input.count else { return nil }
                if input[consumed] == Ascii.carriageReturn, !skippedEmptyLine {
                    skippedEmptyLine = true
                    consumed += 1
                    stage = .emptyLine
                } else {
                    guard CharacterSet.token.contains(input[consumed]) else {
                        throw HTTPRefusal(400, "this is no HTTP request")
                    }
                    stage = .head
                }
            case .emptyLine:
                guard consumed < input.count else { return nil }
                guard input[consumed] == Ascii.lineFeed else {
                    throw HTTPRefusal(400, "each line must end with CR LF")
                }
                consumed += 1
                stage = .start
            case .head:
                switch try reader.feed(input, consumed: &consumed) {
                case .more: return nil
                case .startLine(let range):
                    line = try RequestLine(reader.bytes.span, range)
                    continue
                case .complete: break
                }
                let (head, framing, expectsContinue) = try finishHead()
                if framing == .none {
                    restart()
                    return .request(head, body: [])
                }
                let body = try BodyReader(framing, limitBytes: bodyLimit(head), limits: limits)
                stage = .body(head, body)
                if expectsContinue, consumed == input.count { return .continueExpected }
            case .body(let head, var body):
                // Not held twice while it grows.
                stage = .failed
                let isComplete = try body.feed(input, consumed: &consumed)
                guard isComplete else {
                    stage = .body(head, body)
                    return nil
                }
                restart()
                return .request(head, body: body.bytes)
            case .failed:
                consumed = input.count
                return nil
            }
        }
    }

    private mutating func restart() {
        stage = .start
        skippedEmptyLine = false
    }

    private mutating func finishHead() throws(HTTPRefusal) -> (HTTPRequestHead, BodyFraming, Bool) {
        let headers = HTTPHeaders(block: reader.bytes, fields: reader.fields)
        reader = HeadReader(limits)
        guard let target = line.target else { throw HTTPRefusal(400, "the request line is missing") }
        let facts = try FramingFields(headers)
        guard facts.hostCount == 1 else {
            throw HTTPRefusal(400, facts.hostCount == 0 ? "Host is missing" : "Host is given twice")
        }
        let framing: BodyFraming =
            if facts.isChunked { .chunked } else if let length = facts.contentLength, length > 0 {
                .length(length)
            } else { .none }
        let head = HTTPRequestHead(method: line.method, target: target, headers: headers)
        line.target = nil
        return (head, framing, facts.expectsContinue)
    }
}

/// `method SP request-target SP HTTP-version` (RFC 9112 section 3).
private struct RequestLine {
    var method = ""
    var target: RequestTarget?

    init() {}

    init(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(HTTPRefusal) {
        guard let first = bytes.index(of: Ascii.space, from: range.lowerBound), first < range.upperBound,
            first > range.lowerBound, bytes.holdsOnly(.token, range.lowerBound..<first)
        else { throw HTTPRefusal(400, "the request line must begin with a method") }
        guard let second = bytes.index(of: Ascii.space, from: first + 1), second < range.upperBound else {
            throw HTTPRefusal(400, "the request line must be a method, a target and HTTP/1.1")
        }
        try Self.checkVersion(bytes, second + 1..<range.upperBound)
        method = bytes.text(range.lowerBound..<first)
        guard method != "CONNECT" else { throw HTTPRefusal(501, "CONNECT is not offered here") }
        target = try RequestTarget(bytes, first + 1..<second, isOptions: method == "OPTIONS")
    }

    private static func checkVersion(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(HTTPRefusal) {
        let start = range.lowerBound
        guard range.count == 8, bytes[start] == UInt8(ascii: "H"), bytes[start + 1] == UInt8(ascii: "T"),
            bytes[start + 2] == UInt8(ascii: "T"), bytes[start + 3] == UInt8(ascii: "P"),
            bytes[start + 4] == UInt8(ascii: "/"), Ascii.isDigit(bytes[start + 5]),
            bytes[start + 6] == UInt8(ascii: "."), Ascii.isDigit(bytes[start + 7])
        else { throw HTTPRefusal(400, "the request line must end with HTTP/1.1") }
        guard bytes[start + 5] == UInt8(ascii: "1"), bytes[start + 7] == UInt8(ascii: "1") else {
            throw HTTPRefusal(505, "only HTTP/1.1 is spoken here")
        }
    }
}
