import Core
import IO

/// Which name servers to ask.
public enum DNSServers {
    public static let port = 53
    /// As resolvers do: more are not looked at.
    public static let maxCount = 3

    /// The `nameserver` lines of resolv.conf(5); without any, the one on this machine.
    public static func resolvConf(_ text: String) -> [SocketAddress] {
        let found = text.split(whereSeparator: \.isNewline).compactMap { line -> SocketAddress? in
            let words = line.split(whereSeparator: \.isWhitespace)
            guard words.count >= 2, words[0] == "nameserver" else { return nil }
            return SocketAddress(host: String(words[1]), port: port)
        }
        let local = SocketAddress(octets: [127, 0, 0, 1], port: port)
        return found.isEmpty ? [local].compactMap { $0 } : Array(found.prefix(maxCount))
    }

    /// `9.9.9.9,127.0.0.1:5353,[2620:fe::fe]:53`; nil when one of them is no address.
    public static func list(_ text: String) -> [SocketAddress]? {
        var found: [SocketAddress] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let word = String(
                part.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
            guard let address = SocketAddress(host: word, port: port) ?? SocketAddress(word), address.port > 0
            else { return nil }
            found.append(address)
        }
        return found.isEmpty ? nil : Array(found.prefix(maxCount))
    }
}
