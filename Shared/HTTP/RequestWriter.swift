/// Puts a client's request into bytes.
enum RequestWriter {
    static func write(_ request: HTTPClientRequest, keepAlive: Bool) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(512 + request.body.count)
        output.append(contentsOf: request.method.utf8)
        output.append(" ")
        output.append(contentsOf: request.url.target.utf8)
        output.append(" HTTP/1.1\r\nHost: ")
        output.append(contentsOf: request.url.authority.utf8)
        output.append("\r\n")
        var headers = request.headers
        headers["host"] = nil
        ResponseWriter.writeFields(headers, into: &output)
        if !keepAlive { output.append("Connection: close\r\n") }
        if !request.body.isEmpty || ["POST", "PUT", "PATCH"].contains(request.method) {
            output.append("Content-Length: ")
            ResponseWriter.writeDecimal(request.body.count, into: &output)
            output.append("\r\n")
        }
        output.append("\r\n")
        output.append(contentsOf: request.body)
        return output
    }
}
