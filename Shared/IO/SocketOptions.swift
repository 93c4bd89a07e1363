import CLinux

/// The options that every connection of ours gets.
public enum SocketOptions {
    /// No Nagle delay, and a dead peer is noticed within about a minute: keepalive after 30 s of silence,
    /// 3 probes 10 s apart, unacknowledged data for at most 30 s.
    public static func tune(_ descriptor: Int32) {
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, 30)
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, 10)
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, 3)
        set(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, 30_000)
    }

    /// False when the kernel refused.
    @discardableResult
    public static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) -> Bool {
        var copy = value
        return setsockopt(descriptor, level, option, &copy, socklen_t(MemoryLayout<Int32>.size)) == 0
    }

    /// The error a connect or the network left on the socket, 0 for none.
    public static func pendingError(_ descriptor: Int32) -> Int32 {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) == 0 ? code : mc_errno()
    }

    /// A non-blocking TCP socket for the address's family.
    public static func tcpSocket(ipv6: Bool) throws(SystemError) -> Descriptor {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let raw = socket(ipv6 ? AF_INET6 : AF_INET, kind, 0)
        guard raw >= 0 else { throw .last("socket") }
        return Descriptor(owning: raw)
    }
}
