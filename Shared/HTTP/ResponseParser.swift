/// Reads the answer to one request (RFC 9112). Interim answers are skipped.
public struct ResponseParser: Sendable {
    public enum Event: Sendable {
        /// `reusable`: the connection may carry another request.
        case response(HTTPResponse, reusable: Bool)
        case refused(HTTPRefusal)
    }

    private enum Stage {
        case head
        case body(HTTPResponse, BodyReader)
        case done
    }

    private let limits: HTTPHeadLimits
    private let toHead: Bool
    private let bodyLimitBytes: Int
    private var stage = Stage.head
    private var reader: HeadReader
    private var status = 0
    private var closes = false
    /// Interim answers are capped, so that they cannot go on for ever.
    private var interimLeft = 16
    public private(set) var hasBegun = false
    /// The head was read, interim ones not counted.
    public private(set) var hasHead = false

    /// `toHead`: the request was HEAD, so no body follows whatever the fields say.
    public init(limits: HTTPHeadLimits = HTTPHeadLimits(), toHead: Bool = false, bodyLimitBytes: Int) {
        self.limits = limits
        self.toHead = toHead
        self.bodyLimitBytes = bodyLimitBytes
        reader = HeadReader(limits)
    }

    /// Reads from `consumed` on and moves it; nil when more bytes are needed.
    public mutating func feed(_ input: Span<UInt8>, consumed: inout Int) -> Event? {
        if consumed < input.count { hasBegun = true }
        do {
            return try read(input, &consumed)
        } catch {
            stage = .done
            return .refused(error)
        }
    }

    /// The peer has sent its last byte: completes a body that ends so; else a refusal. nil after the answer.
    public mutating func inputEnded() -> Event? {
        switch stage {
        case .done: return nil
        case .body(var response, let body) where body.endsWithConnection:
            stage = .done
            response.body = body.bytes
            return .response(response, reusable: false)
        case .head, .body:
            stage = .done
            return .refused(
                HTTPRefusal(502, "the connection ended before the answer was complete"))
        }
    }

    private mutating func read(_ input: Span<UInt8>, _ consumed: inout Int) throws(HTTPRefusal) -> Event? {
        while true {
            switch stage {
            case .head:
                switch try reader.feed(input, consumed: &consumed) {
                case .more: return nil
                case .startLine(let range):
                    (status, closes) = try Self.readStatus(reader.bytes.span, range)
                    continue
                case .complete: break
                }
                let headers = HTTPHeaders(block: reader.bytes, fields: reader.fields)
                reader = HeadReader(limits)
                guard status >= 200 else {
                    interimLeft -= 1
                    guard status != 101, interimLeft > 0 else {
                        throw HTTPRefusal(502, "the server sent an interim answer that was not asked for")
                    }
                    continue
                }
                hasHead = true
                closes = closes || headers.lists("close", in: "connection")
                let response = HTTPResponse(status: status, headers: headers)
                let framing = try framing(headers)
                if framing == .none {
                    stage = .done
                    return .response(response, reusable: !closes)
                }
                let body = try BodyReader(framing, limitBytes: bodyLimitBytes, limits: limits)
                stage = .body(response, body)
            case .body(var response, var body):
                stage = .done
                guard try body.feed(input, consumed: &consumed) else {
                    stage = .body(response, body)
                    return nil
                }
                response.body = body.bytes
                return .response(response, reusable: !closes)
            case .done: return nil
            }
        }
    }

    private func framing(_ headers: HTTPHeaders) throws(HTTPRefusal) -> BodyFraming {
        let facts = try FramingFields(headers, ofRequest: false)
        guard !toHead, ResponseWriter.hasBody(status) else { return .none }
        if facts.isChunked { return .chunked }
        guard let length = facts.contentLength else { return .untilClose }
        return length == 0 ? .none : .length(length)
    }

    /// HTTP/1.0 is understood in answers; such a connection is not used again.
    private static func readStatus(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(HTTPRefusal)
        -> (status: Int, closes: Bool)
    {
        let malformed = HTTPRefusal(502, "the answer does not begin with an HTTP status line")
        let start = range.lowerBound
        guard range.count >= 12, bytes.spells("http/1.", start..<start + 7),
            bytes[start + 7] == UInt8(ascii: "1") || bytes[start + 7] == UInt8(ascii: "0"),
            bytes[start + 8] == Ascii.space, range.count == 12 || bytes[start + 12] == Ascii.space
        else { throw malformed }
        var status = 0
        for index in start + 9..<start + 12 {
            guard Ascii.isDigit(bytes[index]) else { throw malformed }
            status = status * 10 + Int(bytes[index] - 0x30)
        }
        guard status >= 100, status < 600 else { throw malformed }
        return (status, bytes[start + 7] == UInt8(ascii: "0"))
    }
}
