import IO

/// A whole request as a handler gets it.
public struct HTTPRequest: Sendable {
    public var head: HTTPRequestHead
    public var body: [UInt8]
    /// The other end of the connection, which may be a proxy.
    public var peer: SocketAddress

    public init(head: HTTPRequestHead, body: [UInt8] = [], peer: SocketAddress) {
        self.head = head
        self.body = body
        self.peer = peer
    }

    /// Checks the target as the parser does.
    public init(
        method: String, target: String, headers: HTTPHeaders = [:], body: [UInt8] = [], peer: SocketAddress
    ) throws(HTTPRefusal) {
        self.init(
            head: try HTTPRequestHead(method: method, target: target, headers: headers), body: body,
            peer: peer)
    }

    public var method: String { head.method }
    public var target: String { head.target }
    public var path: String { head.path }
    public var segments: [String] { head.segments }
    public var query: [(name: String, value: String)] { head.query }
    public var headers: HTTPHeaders { head.headers }

    /// The first value of that name in the query.
    public func queryValue(_ name: String) -> String? { query.first { $0.name == name }?.value }
}
