import CLinux
import Core
import Glibc
import IO

/// Under which address the private network knows this machine.
enum OwnAddress {
    /// The best of the machine's addresses that are up, with this port; nil when it has none but loopback.
    static func find(port: Int) -> SocketAddress? { best(of: all(), port: port) }

    /// Unique local IPv6 first (what private networks of containers have), then private IPv4, then any other. Those
    /// of one link only mean nothing to others.
    static func best(of hosts: [String], port: Int) -> SocketAddress? {
        let addresses = hosts.compactMap { SocketAddress(host: $0, port: port)?.unmapped }
            .filter { !$0.isLoopback && !isLinkLocal($0) }
        return addresses.min { rank($0) < rank($1) }
    }

    private static func rank(_ address: SocketAddress) -> Int {
        if address.isIPv6 { return address.octets[0] & 0xFE == 0xFC ? 0 : 3 }
        switch (address.octets[0], address.octets[1]) {
        case (10, _), (172, 16...31), (192, 168), (100, 64...127): return 1
        default: return 2
        }
    }

    private static func isLinkLocal(_ address: SocketAddress) -> Bool {
        address.isIPv6
            ? address.octets[0] == 0xFE && address.octets[1] & 0xC0 == 0x80
            : address.octets[0] == 169 && address.octets[1] == 254
    }

    private static func all() -> [String] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var hosts: [String] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ifa_next
            guard entry.ifa_flags & UInt32(IFF_UP) != 0, let address = entry.ifa_addr else {
                continue
            }
            let length =
                switch Int32(address.pointee.sa_family) {
                case AF_INET: MemoryLayout<sockaddr_in>.size
                case AF_INET6: MemoryLayout<sockaddr_in6>.size
                default: 0
                }
            guard length > 0 else { continue }
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            guard
                getnameinfo(
                    address, socklen_t(length), &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
            else { continue }
            // A link-local one has its interface behind a percent sign, and is none for others anyway.
            hosts.append(
                String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        return hosts
    }
}
