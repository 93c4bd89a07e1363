import CLinux
import Core

/// An IPv4 or IPv6 address with a port.
public struct SocketAddress: Sendable, Hashable, CustomStringConvertible {
    /// Network order: 4 bytes or 16.
    public let octets: [UInt8]
    public let port: Int
    private let scope: UInt32

    public init?(octets: [UInt8], port: Int) {
        guard octets.count == 4 || octets.count == 16, (0...65535).contains(port) else { return nil }
        self.octets = octets
        self.port = port
        scope = 0
    }

    /// `203.0.113.7:25565` or `[2001:db8::1]:25565`; no names.
    public init?(_ text: String) {
        guard let endpoint = Endpoint(text) else { return nil }
        self.init(host: endpoint.host, port: endpoint.port)
    }

    /// An IP literal and a port; no names.
    public init?(host: String, port: Int) {
        var v4 = in_addr()
        var v6 = in6_addr()
        if inet_pton(AF_INET, host, &v4) == 1 {
            self.init(octets: withUnsafeBytes(of: &v4) { Array($0) }, port: port)
        } else if inet_pton(AF_INET6, host, &v6) == 1 {
            self.init(octets: withUnsafeBytes(of: &v6) { Array($0) }, port: port)
        } else {
            return nil
        }
    }

    public init?(_ storage: borrowing sockaddr_storage) {
        var copy = copy storage
        switch Int32(copy.ss_family) {
        case AF_INET:
            let raw = withUnsafeBytes(of: &copy) { $0.loadUnaligned(as: sockaddr_in.self) }
            octets = withUnsafeBytes(of: raw.sin_addr) { Array($0) }
            port = Int(UInt16(bigEndian: raw.sin_port))
            scope = 0
        case AF_INET6:
            let raw = withUnsafeBytes(of: &copy) { $0.loadUnaligned(as: sockaddr_in6.self) }
            octets = withUnsafeBytes(of: raw.sin6_addr) { Array($0) }
            port = Int(UInt16(bigEndian: raw.sin6_port))
            scope = raw.sin6_scope_id
        default: return nil
        }
    }

    public var isIPv6: Bool { octets.count == 16 }

    /// An IPv4 address that came through an IPv6 socket, as what it is; anything else unchanged.
    public var unmapped: SocketAddress {
        guard isIPv6, octets[..<10].allSatisfy({ $0 == 0 }), octets[10] == 0xFF, octets[11] == 0xFF else {
            return self
        }
        return SocketAddress(octets: Array(octets[12...]), port: port) ?? self
    }

    public var isLoopback: Bool {
        let plain = unmapped
        return plain.isIPv6
            ? plain.octets[..<15].allSatisfy { $0 == 0 } && plain.octets[15] == 1 : plain.octets[0] == 127
    }

    /// The address without its port: `203.0.113.7`, `2001:db8::1`.
    public var host: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        octets.withUnsafeBytes { raw in
            _ = inet_ntop(isIPv6 ? AF_INET6 : AF_INET, raw.baseAddress, &text, socklen_t(text.count))
        }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    public var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Calls with the kernel's form of the address.
    public func withSockaddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        if isIPv6 {
            var raw = sockaddr_in6()
            raw.sin6_family = sa_family_t(AF_INET6)
            raw.sin6_port = UInt16(port).bigEndian
            raw.sin6_scope_id = scope
            withUnsafeMutableBytes(of: &raw.sin6_addr) { $0.copyBytes(from: octets) }
            return withUnsafePointer(to: &raw) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        }
        var raw = sockaddr_in()
        raw.sin_family = sa_family_t(AF_INET)
        raw.sin_port = UInt16(port).bigEndian
        withUnsafeMutableBytes(of: &raw.sin_addr) { $0.copyBytes(from: octets) }
        return withUnsafePointer(to: &raw) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// The local end of a socket.
    public static func local(of descriptor: Int32) -> SocketAddress? {
        named(descriptor, getsockname)
    }

    /// The far end of a socket.
    public static func peer(of descriptor: Int32) -> SocketAddress? {
        named(descriptor, getpeername)
    }

    private static func named(
        _ descriptor: Int32,
        _ ask: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { ask(descriptor, $0, &length) }
        }
        return result == 0 ? SocketAddress(storage) : nil
    }
}
