import Core
import HTTP

/// Where Stripe may send people back to. Only our own pages: a payment page that leads anywhere would lend its good
/// name to whoever can make a link.
public struct ReturnURLs: Sendable, Hashable {
    struct Origin: Sendable, Hashable {
        let isSecure: Bool
        let host: String
        let port: Int

        init(_ url: HTTPURL) {
            isSecure = url.isSecure
            host = url.endpoint.host.lowercased()
            port = url.endpoint.port
        }

        /// Plain HTTP is for the own machine.
        var isSafe: Bool { isSecure || ["localhost", "127.0.0.1", "::1", "[::1]"].contains(host) }
    }

    private let origins: [Origin]

    /// Stripe replaces it by the session's id; no URL may hold braces otherwise.
    private static let placeholder = "{CHECKOUT_SESSION_ID}"

    public init(_ pages: [HTTPURL]) { origins = pages.map { Origin($0) } }

    public func allows(_ text: String) -> Bool { problem(text) == nil }

    /// What is wrong with the address; nil when people may be sent there.
    func problem(_ text: String) -> String? {
        guard let url = HTTPURL(text.replacing(Self.placeholder, with: "0")) else {
            return "must be a whole URL such as https://example.com/billing, without user and fragment"
        }
        let origin = Origin(url)
        guard origin.isSafe else { return "must begin with https://" }
        guard origins.contains(origin) else {
            return "must lead to this service's own pages, not to \(url.authority)"
        }
        return nil
    }
}

extension Fields {
    /// An address of ours to come back to.
    mutating func returnURL(_ name: String, _ allowed: ReturnURLs) -> String? {
        guard let text = optionalText(name, length: 1...2000) else { return nil }
        if let problem = allowed.problem(text) {
            reject(name, problem)
            return nil
        }
        return text
    }
}
