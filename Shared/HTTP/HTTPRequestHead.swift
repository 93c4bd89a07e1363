/// What a request says before its body.
public struct HTTPRequestHead: Sendable {
    public let method: String
    /// Path and query as sent, or `*`. The scheme and authority of an absolute-form target are cut.
    public let target: String
    /// Percent-decoded; an encoded slash stays `%2F`, so that it never makes a segment.
    public let path: String
    public var headers: HTTPHeaders
    /// The authority of an absolute-form target, which then counts instead of Host.
    private let targetAuthority: String?
    /// The peer wants no further answer on this connection.
    public let asksToClose: Bool

    init(method: String, target: RequestTarget, headers: HTTPHeaders) {
        self.method = method
        self.target = target.text
        self.path = target.path
        self.headers = headers
        targetAuthority = target.authority
        asksToClose = headers.lists("close", in: "connection")
    }

    /// Checks the target as the parser does.
    public init(method: String, target: String, headers: HTTPHeaders = [:]) throws(HTTPRefusal) {
        let bytes = Array(target.utf8)
        self.init(
            method: method,
            target: try RequestTarget(bytes.span, 0..<bytes.count, isOptions: method == "OPTIONS"),
            headers: headers)
    }

    /// `host[:port]` that the request is meant for.
    public var authority: String { targetAuthority ?? headers["host"] ?? "" }

    public var isHead: Bool { method == "HEAD" }

    /// The path between its slashes, each part percent-decoded: `/a/b` has two.
    public var segments: [String] {
        RequestTarget.rawPath(of: target).split(separator: "/", omittingEmptySubsequences: false).dropFirst()
            .map { PercentEncoding.decode($0, keepSlash: false) ?? String($0) }
    }

    /// The query's names and values in order, decoded as forms are (`+` is a space).
    public var query: [(name: String, value: String)] {
        RequestTarget.query(of: target).map { member in
            let parts = member.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            func decoded(_ part: Substring) -> String {
                PercentEncoding.decode(part, keepSlash: false, plusIsSpace: true) ?? String(part)
            }
            return (decoded(parts[0]), parts.count > 1 ? decoded(parts[1]) : "")
        }
    }
}
