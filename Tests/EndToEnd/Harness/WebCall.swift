import Core

/// One HTTP request on a connection of its own, written out by hand so that our own client hides nothing.
struct WebAnswer {
    let status: Int
    /// By lower-case name.
    let headers: [String: String]
    let body: [UInt8]

    var json: JSON { (try? JSON.parse(body)) ?? .null }
    var text: String { String(decoding: body, as: UTF8.self) }

    static func ask(
        port: Int, _ method: String, _ path: String, key: String? = nil, _ json: JSON? = nil,
        headers: [String: String] = [:], within limit: Milliseconds = patience
    ) throws -> WebAnswer {
        let connection = try Connection(to: port)
        let body = json?.bytes ?? []
        var head = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n"
        if let key { head += "Authorization: Bearer \(key)\r\n" }
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if json != nil { head += "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n" }
        try connection.send(Array((head + "\r\n").utf8) + body)
        return try WebAnswer(connection.receiveToEnd(maxBytes: 16 << 20, within: limit))
    }

    private init(_ bytes: [UInt8]) throws {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else {
            throw Trouble("no whole answer came: \(String(decoding: bytes, as: UTF8.self))")
        }
        var lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
            .split(separator: "\r\n", omittingEmptySubsequences: false)[...]
        let words = (lines.popFirst() ?? "").split(separator: " ")
        guard words.count >= 2, let status = Int(words[1]) else { throw Trouble("no status line came") }
        self.status = status
        var headers: [String: String] = [:]
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = String(
                line[line.index(after: colon)...].drop { $0 == " " })
        }
        self.headers = headers
        body = Array(bytes[end.upperBound...])
        guard headers["content-length"].map({ Int($0) == body.count }) ?? true else {
            throw Trouble(
                "the body has \(body.count) bytes, announced were \(headers["content-length"] ?? "")")
        }
    }
}
