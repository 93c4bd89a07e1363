/// The fields on which the extent of a message hangs (RFC 9112 section 6).
struct FramingFields {
    private(set) var hostCount = 0
    private(set) var contentLength: Int?
    private(set) var isChunked = false
    private(set) var expectsContinue = false

    /// In an answer Host and Expect mean nothing.
    init(_ headers: HTTPHeaders, ofRequest: Bool = true) throws(HTTPRefusal) {
        let bytes = headers.block.span
        var codings: [HTTPHeaders.Field] = []
        for field in headers.fields {
            switch field.name.count {
            case 4 where ofRequest && bytes.spells("host", field.name):
                hostCount += 1
                guard RequestTarget.isAuthority(bytes, field.value) else {
                    throw HTTPRefusal(400, "Host names no valid host")
                }
            case 6 where ofRequest && bytes.spells("expect", field.name):
                guard bytes.spells("100-continue", field.value) else {
                    throw HTTPRefusal(417, "Expect knows only 100-continue here")
                }
                expectsContinue = true
            case 14 where bytes.spells("content-length", field.name):
                guard contentLength == nil else { throw HTTPRefusal(400, "Content-Length is given twice") }
                contentLength = try Self.length(bytes, field.value)
            case 17 where bytes.spells("transfer-encoding", field.name):
                codings.append(field)
            default: break
            }
        }
        guard !codings.isEmpty else { return }
        guard contentLength == nil else {
            throw HTTPRefusal(400, "Content-Length and Transfer-Encoding exclude each other")
        }
        try checkCodings(bytes, codings)
        isChunked = true
    }

    private static func length(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(HTTPRefusal) -> Int {
        guard !range.isEmpty, range.count <= 18 else {
            throw HTTPRefusal(range.isEmpty ? 400 : 413, "Content-Length must be a number of bytes")
        }
        var value = 0
        for index in range {
            guard Ascii.isDigit(bytes[index]) else {
                throw HTTPRefusal(400, "Content-Length must be a number of bytes")
            }
            value = value * 10 + Int(bytes[index] - 0x30)
        }
        return value
    }

    /// `chunked` once, last and alone. Without it last the end cannot be known: 400. A coding before it: 501.
    private func checkCodings(_ bytes: Span<UInt8>, _ fields: [HTTPHeaders.Field]) throws(HTTPRefusal) {
        var chunkedSeen = false
        var others = 0
        for field in fields {
            var start = field.value.lowerBound
            while start <= field.value.upperBound {
                let comma = bytes.index(of: UInt8(ascii: ","), from: start) ?? field.value.upperBound
                let end = min(comma, field.value.upperBound)
                let coding = bytes.trimmed(start..<end)
                start = end + 1
                guard !chunkedSeen, !coding.isEmpty else {
                    throw HTTPRefusal(400, "Transfer-Encoding must end with chunked")
                }
                if bytes.spells("chunked", coding) { chunkedSeen = true } else { others += 1 }
            }
        }
        guard chunkedSeen else { throw HTTPRefusal(400, "Transfer-Encoding must end with chunked") }
        guard others == 0 else { throw HTTPRefusal(501, "of transfer codings only chunked is known here") }
    }
}
