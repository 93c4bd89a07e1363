import Core

/// An `http` or `https` URL, taken apart.
public struct HTTPURL: Sendable, Hashable, CustomStringConvertible {
    public let isSecure: Bool
    public let endpoint: Endpoint
    /// As it stands in the URL: what Host says.
    public let authority: String
    /// Path and query.
    public let target: String

    /// nil for another scheme, a user part, a fragment, or anything RFC 3986 does not allow.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count <= 8192, let secure = Self.scheme(bytes),
            let target = try? RequestTarget(bytes.span, 0..<bytes.count, isOptions: false),
            let authority = target.authority
        else { return nil }
        // The colon of a port stands behind an IPv6 number's bracket.
        let hasPort =
            authority.split(separator: "]", omittingEmptySubsequences: false).last?.contains(":") ?? false
        let withPort = hasPort ? authority : authority + (secure ? ":443" : ":80")
        guard let endpoint = Endpoint(withPort) else { return nil }
        isSecure = secure
        self.endpoint = endpoint
        self.authority = authority
        self.target = target.text
    }

    private static func scheme(_ bytes: [UInt8]) -> Bool? {
        if bytes.count > 8, bytes.span.spells("https://", 0..<8) { return true }
        if bytes.count > 7, bytes.span.spells("http://", 0..<7) { return false }
        return nil
    }

    public var description: String { "\(isSecure ? "https" : "http")://\(authority)\(target)" }
}
