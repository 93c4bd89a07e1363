import Core

/// An answer. Length, connection and date fields are the writer's business, not the handler's.
public struct HTTPResponse: Sendable {
    public var status: Int
    public var headers: HTTPHeaders
    public var body: [UInt8]

    public init(status: Int, headers: HTTPHeaders = HTTPHeaders(), body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    private static let jsonHeaders: HTTPHeaders = ["Content-Type": "application/json"]
    private static let problemHeaders: HTTPHeaders = ["Content-Type": "application/problem+json"]
    private static let textHeaders: HTTPHeaders = ["Content-Type": "text/plain; charset=utf-8"]

    public static func json(_ status: Int, _ value: JSON) -> HTTPResponse {
        HTTPResponse(status: status, headers: jsonHeaders, body: value.bytes)
    }

    public static func text(_ status: Int, _ text: String) -> HTTPResponse {
        HTTPResponse(status: status, headers: textHeaders, body: Array(text.utf8))
    }

    public static func empty(_ status: Int) -> HTTPResponse { HTTPResponse(status: status) }

    /// RFC 9457. `detail` tells the caller what to do; `members` are added to the object.
    public static func problem(
        _ status: Int, type: String = "about:blank", title: String? = nil, detail: String? = nil,
        members: JSONObject = [:]
    ) -> HTTPResponse {
        var object: JSONObject = [
            "type": .string(type), "title": .string(title ?? HTTPStatus.name(status)),
            "status": .integer(Int64(status)),
        ]
        if let detail { object["detail"] = .string(detail) }
        for (name, value) in members.members { object[name] = value }
        return HTTPResponse(status: status, headers: problemHeaders, body: JSON.object(object).bytes)
    }

    /// What a server says to a message that no handler sees, unless it was given another form for that.
    public static func refusal(_ refusal: HTTPRefusal) -> HTTPResponse {
        .problem(refusal.status, detail: refusal.reason)
    }

    /// The body as JSON, whatever its type says.
    public func json(maxDepth: Int = 32) throws(JSONError) -> JSON {
        try JSON.parse(body, maxDepth: maxDepth)
    }
}
