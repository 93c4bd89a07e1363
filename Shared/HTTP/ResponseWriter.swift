/// Puts answers into bytes (RFC 9112 sections 4, 6 and 7).
public enum ResponseWriter {
    static let continueLine: StaticString = "HTTP/1.1 100 Continue\r\n\r\n"

    /// A whole answer. `toHead`: the request was HEAD, so the length is told and the body left out.
    static func write(
        _ response: HTTPResponse, toHead: Bool, closes: Bool, date: [UInt8], into output: inout [UInt8]
    ) {
        output.reserveCapacity(output.count + 256 + response.body.count)
        writeStart(response, closes: closes, date: date, into: &output)
        guard hasBody(response.status) else {
            output.append("\r\n")
            return
        }
        output.append("Content-Length: ")
        writeDecimal(response.body.count, into: &output)
        output.append("\r\n\r\n")
        if !toHead { output.append(contentsOf: response.body) }
    }

    /// The head of an answer whose body follows in chunks; false when such an answer has no body.
    static func writeStreamHead(
        _ response: HTTPResponse, toHead: Bool, closes: Bool, date: [UInt8], into output: inout [UInt8]
    ) -> Bool {
        writeStart(response, closes: closes, date: date, into: &output)
        if hasBody(response.status) { output.append("Transfer-Encoding: chunked\r\n") }
        output.append("\r\n")
        return hasBody(response.status) && !toHead
    }

    /// One chunk; nothing for no bytes, since an empty chunk would end the body.
    static func writeChunk(_ bytes: [UInt8], into output: inout [UInt8]) {
        guard !bytes.isEmpty else { return }
        output.append(contentsOf: String(bytes.count, radix: 16).utf8)
        output.append("\r\n")
        output.append(contentsOf: bytes)
        output.append("\r\n")
    }

    static func writeLastChunk(into output: inout [UInt8]) { output.append("0\r\n\r\n") }

    /// RFC 9110: these end with their head.
    static func hasBody(_ status: Int) -> Bool { status >= 200 && status != 204 && status != 304 }

    private static func writeStart(
        _ response: HTTPResponse, closes: Bool, date: [UInt8], into output: inout [UInt8]
    ) {
        output.append("HTTP/1.1 ")
        writeDecimal(response.status, into: &output)
        output.append(" ")
        output.append(HTTPStatus.reasonPhrase(response.status))
        output.append("\r\n")
        output.append(contentsOf: date)
        writeFields(response.headers, into: &output)
        if closes { output.append("Connection: close\r\n") }
    }

    /// All fields but those that the writer decides on.
    static func writeFields(_ headers: HTTPHeaders, into output: inout [UInt8]) {
        let bytes = headers.block.span
        for field in headers.fields {
            switch field.name.count {
            case 4 where bytes.spells("date", field.name): continue
            case 10 where bytes.spells("connection", field.name): continue
            case 14 where bytes.spells("content-length", field.name): continue
            case 17 where bytes.spells("transfer-encoding", field.name): continue
            default: break
            }
            output.append(bytes, field.name)
            output.append(": ")
            output.append(bytes, field.value)
            output.append("\r\n")
        }
    }

    static func writeDecimal(_ value: Int, into output: inout [UInt8]) {
        if value >= 10 { writeDecimal(value / 10, into: &output) }
        output.append(UInt8(0x30 + value % 10))
    }
}
