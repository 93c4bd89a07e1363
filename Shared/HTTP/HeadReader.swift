/// Collects the head of a message, or the trailers of a chunked body, line by line and checks the field lines
/// (RFC 9112 sections 2.2 and 5). Each line ends with CR LF; obs-fold and space before a colon are refused.
struct HeadReader: Sendable {
    enum Step {
        case more
        case startLine(Range<Int>)
        case complete
    }

    private let limits: HTTPHeadLimits
    private var awaitsStartLine: Bool
    private(set) var bytes: [UInt8] = []
    private(set) var fields: [HTTPHeaders.Field] = []
    private var hasAll = false
    private var lineStart = 0
    /// Where the field lines begin.
    private var fieldsStart = 0

    /// `hasStartLine` is false for trailers.
    init(_ limits: HTTPHeadLimits, hasStartLine: Bool = true) {
        self.limits = limits
        awaitsStartLine = hasStartLine
    }

    /// Takes bytes up to the end of the head and checks the lines among them. Call again after `startLine`,
    /// which stands at the range of `bytes` without its line end.
    mutating func feed(_ input: Span<UInt8>, consumed: inout Int) throws(HTTPRefusal) -> Step {
        if !hasAll {
            let (end, isComplete) = endOfHead(input, from: consumed)
            if bytes.isEmpty { fields.reserveCapacity(12) }
            bytes.append(input, consumed..<end)
            consumed = end
            hasAll = isComplete
        }
        while let lineFeed = bytes.span.index(of: Ascii.lineFeed, from: lineStart) {
            if awaitsStartLine, lineFeed >= limits.startLineBytes { throw startLineTooLong }
            guard lineFeed > lineStart, bytes[lineFeed - 1] == Ascii.carriageReturn else {
                throw HTTPRefusal(400, "each line must end with CR LF")
            }
            let line = lineStart..<lineFeed - 1
            lineStart = lineFeed + 1
            if awaitsStartLine {
                awaitsStartLine = false
                fieldsStart = lineStart
                return .startLine(line)
            }
            guard !line.isEmpty else { continue }
            guard fields.count < limits.fieldCount else {
                throw HTTPRefusal(431, "there are more than \(limits.fieldCount) header fields")
            }
            let field = try Self.field(bytes.span, line)
            fields.append(field)
        }
        if awaitsStartLine, bytes.count >= limits.startLineBytes { throw startLineTooLong }
        if !awaitsStartLine, bytes.count - fieldsStart > limits.fieldBytes {
            throw HTTPRefusal(431, "the header fields are larger than \(limits.fieldBytes) bytes")
        }
        return hasAll ? .complete : .more
    }

    private var startLineTooLong: HTTPRefusal {
        HTTPRefusal(414, "the first line is longer than \(limits.startLineBytes) bytes")
    }

    /// The index after the head's last byte if it is in `input`, else the input's end. A head ends with the
    /// second of two line feeds that have nothing or one byte between them; that the byte is a CR is checked
    /// later.
    private func endOfHead(_ input: Span<UInt8>, from start: Int) -> (end: Int, isComplete: Bool) {
        // Positions count from the head's first byte; a first line that is empty ends trailers, not a head.
        let offset = bytes.count - start
        var previous = lineStart > 0 ? lineStart - 1 : awaitsStartLine ? -3 : -1
        var from = start
        while let lineFeed = input.index(of: Ascii.lineFeed, from: from) {
            if lineFeed + offset - previous <= 2 { return (lineFeed + 1, true) }
            previous = lineFeed + offset
            from = lineFeed + 1
        }
        return (input.count, false)
    }

    private static func field(_ bytes: Span<UInt8>, _ line: Range<Int>) throws(HTTPRefusal)
        -> HTTPHeaders.Field
    {
        let token = CharacterSet.token
        var colon = line.lowerBound
        while colon < line.upperBound, token.contains(bytes[colon]) { colon += 1 }
        guard colon > line.lowerBound, colon < line.upperBound, bytes[colon] == UInt8(ascii: ":") else {
            throw HTTPRefusal(400, "a header field must be a name, a colon and a value on one line")
        }
        for index in colon + 1..<line.upperBound where !Ascii.isFieldContent(bytes[index]) {
            throw HTTPRefusal(400, "a header value holds a control character")
        }
        return HTTPHeaders.Field(
            name: line.lowerBound..<colon, value: bytes.trimmed(colon + 1..<line.upperBound))
    }
}
