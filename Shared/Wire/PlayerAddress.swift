/// Where a player's TCP connection comes from. An IPv4 address that came through an IPv6 socket is kept as IPv4.
public struct PlayerAddress: Sendable, Hashable, CustomStringConvertible {
    /// 4 or 16 bytes in network order.
    public let ip: [UInt8]
    public let port: Int

    /// nil unless `ip` has 4 or 16 bytes and `port` fits 16 bits.
    public init?(ip: [UInt8], port: Int) {
        guard ip.count == 4 || ip.count == 16, (0...65535).contains(port) else { return nil }
        let mapped = ip.count == 16 && ip[..<10].allSatisfy { $0 == 0 } && ip[10] == 0xFF && ip[11] == 0xFF
        self.ip = mapped ? Array(ip[12...]) : ip
        self.port = port
    }

    /// Reads an address as text: "192.0.2.7", "2001:db8::7" (without brackets; a zone such as "%eth0" is cut).
    public init?(host: String, port: Int) {
        let text = host.prefix { $0 != "%" }
        guard let ip = text.contains(":") ? Self.ipv6(text) : Self.ipv4(text) else { return nil }
        self.init(ip: ip, port: port)
    }

    public var isIPv6: Bool { ip.count == 16 }

    /// The address alone; IPv6 in the form of RFC 5952.
    public var host: String {
        guard isIPv6 else { return ip.map { String($0) }.joined(separator: ".") }
        let groups = (0..<8).map { Int(ip[2 * $0]) << 8 | Int(ip[2 * $0 + 1]) }
        var gap = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > max(1, gap.count) { gap = start..<end }
            start = max(end, start + 1)
        }
        func text(_ part: ArraySlice<Int>) -> String {
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        return gap.isEmpty
            ? text(groups[...]) : text(groups[..<gap.lowerBound]) + "::" + text(groups[gap.upperBound...])
    }

    public var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

    private static func ipv4(_ text: some StringProtocol) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var ip: [UInt8] = []
        for part in parts {
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let value = UInt8(part)
            else { return nil }
            ip.append(value)
        }
        return ip
    }

    private static func ipv6(_ text: some StringProtocol) -> [UInt8]? {
        guard text.utf8.count <= 45 else { return nil }
        var before: [UInt8] = []
        var after: [UInt8]?
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if part.isEmpty {
                let outer = index == 0 || index == parts.count - 1
                // "::" leaves one empty part inside and one more at an end that it touches.
                if outer {
                    guard index == 0 ? parts.count > 2 && parts[1].isEmpty : parts[index - 1].isEmpty else {
                        return nil
                    }
                    continue
                }
                guard after == nil else { return nil }
                after = []
                continue
            }
            let bytes: [UInt8]
            if index == parts.count - 1, part.contains(".") {
                guard let tail = ipv4(part) else { return nil }
                bytes = tail
            } else {
                guard part.utf8.count <= 4,
                    part.utf8.allSatisfy({ $0 < 0x80 && Character(UnicodeScalar($0)).isHexDigit }),
                    let value = UInt16(part, radix: 16)
                else { return nil }
                bytes = [UInt8(value >> 8), UInt8(value & 0xFF)]
            }
            if after == nil { before += bytes } else { after?.append(contentsOf: bytes) }
        }
        guard let after else { return before.count == 16 ? before : nil }
        let missing = 16 - before.count - after.count
        guard missing >= 2 else { return nil }
        return before + [UInt8](repeating: 0, count: missing) + after
    }
}
