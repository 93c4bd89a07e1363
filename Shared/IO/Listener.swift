import CLinux
import Core

/// Accepts connections on one loop. Several loops may listen at one address (SO_REUSEPORT): the kernel spreads
/// connections over them. Out of descriptors, it pauses and comes back by itself.
public final class Listener: Source {
    public let localAddress: SocketAddress
    private let loop: EventLoop
    private var descriptor: Descriptor?
    private let onAccept: (consuming Descriptor, SocketAddress) -> Void
    private let onExhausted: () -> Void
    private let accept: Accept
    private let backlog: Int32
    private static let acceptsPerTurn = 64
    private static let pause = Milliseconds(100)

    /// accept4(2) with our flags; tests give another to run out of descriptors.
    typealias Accept = (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32

    /// Port 0 takes a free port: see `localAddress`. `onExhausted` is told each time accepting had to pause.
    public convenience init(
        loop: EventLoop, address: SocketAddress, backlog: Int32 = 4096,
        onExhausted: @escaping () -> Void = {},
        onAccept: @escaping (consuming Descriptor, SocketAddress) -> Void
    ) throws(SystemError) {
        try self.init(
            loop: loop, address: address, backlog: backlog,
            accept: { accept4($0, $1, $2, Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)) },
            onExhausted: onExhausted, onAccept: onAccept)
    }

    init(
        loop: EventLoop, address: SocketAddress, backlog: Int32, accept: @escaping Accept,
        onExhausted: @escaping () -> Void,
        onAccept: @escaping (consuming Descriptor, SocketAddress) -> Void
    ) throws(SystemError) {
        let socket = try SocketOptions.tcpSocket(ipv6: address.isIPv6)
        let raw = socket.rawValue
        SocketOptions.set(raw, SOL_SOCKET, SO_REUSEADDR, 1)
        SocketOptions.set(raw, SOL_SOCKET, SO_REUSEPORT, 1)
        if address.isIPv6 { SocketOptions.set(raw, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
        guard address.withSockaddr({ bind(raw, $0, $1) }) == 0 else { throw .last("bind \(address)") }
        guard listen(raw, backlog) == 0 else { throw .last("listen \(address)") }
        localAddress = SocketAddress.local(of: raw) ?? address
        self.loop = loop
        self.accept = accept
        self.backlog = backlog
        self.onAccept = onAccept
        self.onExhausted = onExhausted
        descriptor = consume socket
        super.init()
        try loop.addListener(self, descriptor: raw)
    }

    public override func ready(_ readiness: Readiness) {
        for _ in 0..<Self.acceptsPerTurn {
            guard let listening = descriptor?.rawValue else { return }
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let accepted = withUnsafeMutablePointer(to: &storage) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    accept(listening, $0, &length)
                }
            }
            if accepted >= 0 {
                let connection = Descriptor(owning: accepted)
                guard let peer = SocketAddress(storage) else { continue }
                SocketOptions.tune(accepted)
                onAccept(connection, peer.unmapped)
                continue
            }
            switch mc_errno() {
            case EAGAIN: return
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return pauseAccepting()
            // The connection died before it was accepted (accept(2) names the network errors): next one.
            default: continue
            }
        }
    }

    private func pauseAccepting() {
        onExhausted()
        guard (try? loop.muteListener(self)) != nil else { return }
        loop.schedule(after: Self.pause) { [weak self] in
            guard let self, self.descriptor != nil else { return }
            try? self.loop.rearmListener(self)
        }
    }

    /// Accepts who is connected already, then closes: the others would be reset.
    public func closeWhenEmpty() {
        for _ in 0...backlog / Int32(Self.acceptsPerTurn) { ready(.readable) }
        close()
    }

    public func close() {
        loop.remove(self)
        descriptor = nil
    }
}

/// Settles the port of an address before any loop listens there: several listeners may then share what "port 0"
/// became. To be let go when they do.
///
/// Listeners share their port (SO_REUSEPORT), so another process of ours could share it too, unnoticed: a port
/// where anybody listens is refused first, which a plain bind tells.
public final class PortClaim {
    public let address: SocketAddress
    private let descriptor: Descriptor

    public init(_ wanted: SocketAddress) throws(SystemError) {
        if wanted.port != 0 { _ = try Self.bound(wanted, shared: false) }
        let socket = try Self.bound(wanted, shared: true)
        address = SocketAddress.local(of: socket.rawValue) ?? wanted
        descriptor = consume socket
    }

    private static func bound(_ address: SocketAddress, shared: Bool) throws(SystemError) -> Descriptor {
        let socket = try SocketOptions.tcpSocket(ipv6: address.isIPv6)
        let raw = socket.rawValue
        SocketOptions.set(raw, SOL_SOCKET, SO_REUSEADDR, 1)
        if shared { SocketOptions.set(raw, SOL_SOCKET, SO_REUSEPORT, 1) }
        if address.isIPv6 { SocketOptions.set(raw, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
        guard address.withSockaddr({ bind(raw, $0, $1) }) == 0 else { throw .last("listen at \(address)") }
        return socket
    }
}
