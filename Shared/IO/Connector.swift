import CLinux
import Core

/// Why no connection came about, in words for the person at the keyboard.
public enum ConnectError: Error, Sendable, Hashable, CustomStringConvertible {
    case unknownHost(String, reason: String)
    case refused(Endpoint)
    case timedOut(Endpoint)
    case failed(Endpoint, SystemError)

    public var description: String {
        switch self {
        case .unknownHost(let host, let reason): "cannot find the address of \(host): \(reason)"
        case .refused(let endpoint): "nothing answers at \(endpoint) (connection refused)"
        case .timedOut(let endpoint): "no answer from \(endpoint)"
        case .failed(let endpoint, let error): "cannot reach \(endpoint): \(error.reason)"
        }
    }
}

extension EventLoop {
    /// Connects to a host by name or number. Names are looked up on a thread of their own; several addresses
    /// are tried 250 ms apart, the first to answer wins (RFC 8305 section 5). `done` is called once, on this
    /// loop, with a tuned non-blocking socket.
    public func connect(
        _ endpoint: Endpoint, timeout: Milliseconds, source: SocketAddress? = nil,
        _ done: @escaping (consuming Result<Descriptor, ConnectError>) -> Void
    ) {
        let attempt = ConnectAttempt(loop: self, endpoint: endpoint, source: source, done: done)
        attempt.start(timeout: timeout)
    }
}

/// One connect: from name to socket.
private final class ConnectAttempt {
    private let loop: EventLoop
    private let endpoint: Endpoint
    private let source: SocketAddress?
    private var done: ((consuming Result<Descriptor, ConnectError>) -> Void)?
    private var untried: [SocketAddress] = []
    private var dials: [Dial] = []
    private var deadline: TimerID?
    private var nextTry: TimerID?
    private var lastError: ConnectError?
    private static let stagger = Milliseconds(250)

    init(
        loop: EventLoop, endpoint: Endpoint, source: SocketAddress?,
        done: @escaping (consuming Result<Descriptor, ConnectError>) -> Void
    ) {
        self.loop = loop
        self.endpoint = endpoint
        self.source = source
        self.done = done
    }

    func start(timeout: Milliseconds) {
        deadline = loop.schedule(after: timeout) { [self] in
            finish(.failure(lastError ?? .timedOut(endpoint)))
        }
        if let address = SocketAddress(host: endpoint.host, port: endpoint.port) {
            untried = [address]
            // Not within the caller's call: `done` always comes later.
            loop.atEndOfTurn { [self] in tryNext() }
        } else {
            lookUp()
        }
    }

    private func lookUp() {
        let bound = LoopBound(self, loop)
        let mailbox = loop.mailbox
        let endpoint = endpoint
        do throws(SystemError) {
            try ThreadHandle.start(name: "resolver") {
                let found = Resolver.addresses(of: endpoint)
                mailbox.post { bound.get($0).found(found) }
            }.detach()
        } catch {
            let failure = ConnectError.failed(endpoint, error)
            loop.atEndOfTurn { [self] in finish(.failure(failure)) }
        }
    }

    private func found(_ result: Result<[SocketAddress], ConnectError>) {
        guard done != nil else { return }
        switch result {
        case .success(let addresses):
            untried = addresses
            tryNext()
        case .failure(let error): finish(.failure(error))
        }
    }

    private func tryNext() {
        guard done != nil else { return }
        if let timer = nextTry.take() { loop.cancel(timer) }
        guard !untried.isEmpty else {
            if dials.isEmpty { finish(.failure(lastError ?? .timedOut(endpoint))) }
            return
        }
        let dial = Dial(loop: loop, address: untried.removeFirst(), source: source) { [self] dial, code in
            settled(dial, code)
        }
        dials.append(dial)
        if let code = dial.start() { return settled(dial, code) }
        if !untried.isEmpty {
            nextTry = loop.schedule(after: Self.stagger) { [self] in
                nextTry = nil
                tryNext()
            }
        }
    }

    private func settled(_ dial: Dial, _ code: Int32) {
        dials.removeAll { $0 === dial }
        if code == 0, let socket = dial.take() {
            SocketOptions.tune(socket.rawValue)
            return finish(.success(socket))
        }
        dial.close()
        lastError =
            switch code {
            case ECONNREFUSED: .refused(endpoint)
            case ETIMEDOUT: .timedOut(endpoint)
            default: .failed(endpoint, SystemError("connect", code: code))
            }
        tryNext()
    }

    private func finish(_ result: consuming Result<Descriptor, ConnectError>) {
        guard let done = done.take() else { return }
        if let deadline { loop.cancel(deadline) }
        if let nextTry { loop.cancel(nextTry) }
        for dial in dials { dial.close() }
        dials = []
        done(result)
    }
}

/// One non-blocking connect to one address.
private final class Dial: Source {
    private let loop: EventLoop
    private let address: SocketAddress
    private let source: SocketAddress?
    private let settled: (Dial, Int32) -> Void
    private var descriptor: Descriptor?

    init(
        loop: EventLoop, address: SocketAddress, source: SocketAddress?,
        settled: @escaping (Dial, Int32) -> Void
    ) {
        self.loop = loop
        self.address = address
        self.source = source
        self.settled = settled
        super.init()
    }

    /// nil while connecting; else errno, 0 for success.
    func start() -> Int32? {
        do throws(SystemError) {
            let socket = try SocketOptions.tcpSocket(ipv6: address.isIPv6)
            let raw = socket.rawValue
            descriptor = consume socket
            if let source {
                // The port is chosen at connect, per destination, so that one source address serves many players.
                SocketOptions.set(raw, Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, 1)
                guard source.withSockaddr({ bind(raw, $0, $1) }) == 0 else { return mc_errno() }
            }
            if address.withSockaddr({ CLinux.connect(raw, $0, $1) }) == 0 { return 0 }
            let code = mc_errno()
            guard code == EINPROGRESS else { return code }
            try loop.add(self, descriptor: raw)
            return nil
        } catch {
            return error.code
        }
    }

    override func ready(_ readiness: Readiness) {
        guard !readiness.isDisjoint(with: [.writable, .hungUp]), let raw = descriptor?.rawValue else {
            return
        }
        settled(self, SocketOptions.pendingError(raw))
    }

    func take() -> Descriptor? {
        loop.remove(self)
        return descriptor.take()
    }

    func close() {
        loop.remove(self)
        descriptor = nil
    }
}

/// Name look-up through the system's resolver; blocks, so it runs on threads of its own.
public enum Resolver {
    public static func addresses(of endpoint: Endpoint) -> Result<[SocketAddress], ConnectError> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(endpoint.host, String(endpoint.port), &hints, &list)
        guard code == 0 else {
            return .failure(.unknownHost(endpoint.host, reason: String(cString: gai_strerror(code))))
        }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next {
            var storage = sockaddr_storage()
            let length = min(Int(entry.pointee.ai_addrlen), MemoryLayout<sockaddr_storage>.size)
            if let address = entry.pointee.ai_addr { memcpy(&storage, address, length) }
            if let address = SocketAddress(storage), !addresses.contains(address) {
                addresses.append(address)
            }
            next = entry.pointee.ai_next
        }
        return addresses.isEmpty
            ? .failure(.unknownHost(endpoint.host, reason: "it has no address")) : .success(addresses)
    }
}
