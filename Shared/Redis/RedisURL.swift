import Core

/// Where a Redis is and who we are to it: `redis://[user[:password]@]host[:port][/database]`, `rediss://` for TLS.
public struct RedisURL: Sendable, Hashable, CustomStringConvertible {
    public var host: String
    public var port: Int
    public var user: String?
    public var password: String?
    public var database: Int
    public var isTLS: Bool

    public init(
        host: String, port: Int = 6379, user: String? = nil, password: String? = nil, database: Int = 0,
        isTLS: Bool = false
    ) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
        self.database = database
        self.isTLS = isTLS
    }

    /// nil for another scheme, a missing host, a port or database that is no number, or a query.
    public init?(_ text: String) {
        guard let scheme = Self.cut(text, at: "://") else { return nil }
        switch scheme.before {
        case "redis": isTLS = false
        case "rediss": isTLS = true
        default: return nil
        }
        guard !scheme.after.utf8.contains(where: { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") })
        else {
            return nil
        }
        let slash = scheme.after.firstIndex(of: "/") ?? scheme.after.endIndex
        var authority = scheme.after[..<slash]
        let path = scheme.after[slash...].dropFirst()
        guard let database = path.isEmpty ? 0 : Int(path), (0...65_535).contains(database) else { return nil }
        self.database = database

        user = nil
        password = nil
        if let at = authority.lastIndex(of: "@") {
            let credentials = authority[..<at]
            authority = authority[authority.index(after: at)...]
            let parts = credentials.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.percentDecoded(parts[0]) else { return nil }
            user = name.isEmpty ? nil : name
            if parts.count == 2 {
                guard let secret = Self.percentDecoded(parts[1]) else { return nil }
                password = secret.isEmpty ? nil : secret
            }
        }

        let portText: Substring
        if authority.first == "[" {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            host = String(authority[authority.index(after: authority.startIndex)..<end])
            portText = authority[authority.index(after: end)...]
        } else {
            let colon = authority.firstIndex(of: ":") ?? authority.endIndex
            host = String(authority[..<colon])
            portText = authority[colon...]
        }
        guard !host.isEmpty else { return nil }
        if portText.isEmpty {
            port = 6379
        } else {
            guard portText.first == ":", let number = Int(portText.dropFirst()), (1...65_535).contains(number)
            else { return nil }
            port = number
        }
    }

    /// Without user and password, for logs.
    public var description: String {
        let shown = host.contains(":") ? "[\(host)]" : host
        return "\(isTLS ? "rediss" : "redis")://\(shown):\(port)/\(database)"
    }

    private static func cut(_ text: String, at separator: String) -> (before: Substring, after: Substring)? {
        var start = text.startIndex
        while start < text.endIndex {
            if text[start...].hasPrefix(separator) {
                return (text[..<start], text[text.index(start, offsetBy: separator.count)...])
            }
            start = text.index(after: start)
        }
        return nil
    }

    private static func percentDecoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = Hex.decode(Substring(rest.prefix(2)))?.first else {
                return nil
            }
            rest = rest.dropFirst(2)
            bytes.append(value)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
