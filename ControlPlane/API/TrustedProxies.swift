import IO

/// The proxies whose word on a client's address we take: addresses and CIDR ranges from TRUSTED_PROXIES.
public struct TrustedProxies: Sendable {
    private struct Range {
        let octets: [UInt8]
        let bits: Int

        func contains(_ address: [UInt8]) -> Bool {
            guard address.count == octets.count else { return false }
            for index in 0..<octets.count {
                let left = min(8, max(0, bits - index * 8))
                let mask: UInt8 = left == 0 ? 0 : 0xFF << UInt8(8 - left)
                if octets[index] & mask != address[index] & mask { return false }
            }
            return true
        }
    }

    private let ranges: [Range]

    public static let none = TrustedProxies(ranges: [])

    private init(ranges: [Range]) { self.ranges = ranges }

    /// `10.0.0.0/8, 192.0.2.7, fd00::/8`. nil when an entry is no address or range.
    public init?(_ text: String) {
        var ranges: [Range] = []
        for part in text.split(whereSeparator: { $0 == "," || $0 == " " }) {
            let pieces = part.split(separator: "/", omittingEmptySubsequences: false)
            guard pieces.count <= 2, let address = SocketAddress(host: String(pieces[0]), port: 0) else {
                return nil
            }
            let width = address.octets.count * 8
            guard let bits = pieces.count == 2 ? Int(pieces[1]) : width, (0...width).contains(bits) else {
                return nil
            }
            ranges.append(Range(octets: address.octets, bits: bits))
        }
        self.ranges = ranges
    }

    public func contains(_ address: SocketAddress) -> Bool {
        ranges.contains { $0.contains(address.octets) }
    }

    /// Whom a request came from: the peer, or, behind trusted proxies, the last address in X-Forwarded-For that
    /// none of them has. `forwarded` are the field's lines in order.
    public func client(peer: SocketAddress, forwarded: [String]) -> SocketAddress {
        guard contains(peer) else { return peer }
        var client = peer
        let hops = forwarded.flatMap { $0.split(separator: ",") }.map { $0.split(separator: " ").joined() }
        for hop in hops.reversed() {
            guard let address = Self.address(hop) else { return client }
            client = address
            if !contains(address) { return client }
        }
        return client
    }

    private static func address(_ text: String) -> SocketAddress? {
        SocketAddress(host: text, port: 0) ?? SocketAddress(text)
    }
}
