import Core

/// Where the control plane is: `https://host[:port]`, or plain `http://` to this machine only, since the agent's
/// key travels there.
public struct ControlURL: Sendable, Hashable, CustomStringConvertible {
    /// Without a slash at its end.
    public let description: String

    public static let standard = "https://api.dvv.one"

    /// Throws what is wrong in words for the person who typed it.
    public init(_ text: String) throws(UsageError) {
        let secure = text.hasPrefix("https://")
        guard secure || text.hasPrefix("http://") else {
            throw UsageError("the control plane's address is \"\(text)\", but must begin with https://")
        }
        var authority = text.dropFirst(secure ? 8 : 7)
        if authority.hasSuffix("/") { authority = authority.dropLast() }
        guard !authority.isEmpty, !authority.contains(where: { "/?#@ \\".contains($0) }) else {
            throw UsageError(
                "the control plane's address is \"\(text)\", but must be https://HOST or https://HOST:PORT")
        }
        let hasPort = authority.split(separator: "]").last?.contains(":") ?? false
        guard let endpoint = Endpoint(hasPort ? String(authority) : authority + ":443") else {
            throw UsageError(
                "the control plane's address is \"\(text)\", but must be https://HOST or https://HOST:PORT")
        }
        guard secure || Self.isThisMachine(endpoint.host) else {
            throw UsageError(
                "the control plane's address is \"\(text)\": plain http:// would show your key to everybody on the way; use https:// (http:// works to this machine only)"
            )
        }
        description = (secure ? "https://" : "http://") + authority.lowercased()
    }

    private static func isThisMachine(_ host: String) -> Bool {
        if host.lowercased() == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}
