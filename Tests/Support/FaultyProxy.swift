import CLinux
import Core
import IO

/// What a `FaultyProxy` does to the bytes of one direction. All of it may change while connections are open.
public struct Fault: Sendable, Hashable {
    /// Bytes and ends arrive so much later.
    public var latency = Milliseconds(0)
    /// Up to so much more, at random for each read; the order stays.
    public var jitter = Milliseconds(0)
    public var bytes_per_s: Int?
    /// Bytes go on in pieces of one to so many, each sent alone.
    public var slice_bytes: Int?
    /// Nothing gets through, ends included; it waits, as while a cable is pulled out.
    public var isSilent = false
    /// The end of a direction is passed on so much after its last byte.
    public var slowClose = Milliseconds(0)
    /// The connection is closed both ways after so many bytes.
    public var limit_bytes: Int?

    public init() {}
}

/// A TCP proxy on a loopback port that harms what passes through it, in the ways of toxiproxy: latency, bandwidth,
/// slicer, timeout (`isSilent`, one way or both), slow close, reset, a limit of bytes. Half-closed connections stay
/// half-closed. One thread; everything ends when it is let go.
public final class FaultyProxy: Sendable {
    public enum Way: Sendable {
        /// From who connects to who is connected to.
        case up
        case down
        case both
    }

    public let port: Int
    private let thread: LoopThread
    private let desk: LoopBound<ProxyDesk>

    /// In front of a loopback port; with `listen` at that port rather than a free one.
    public init(to target: Int, listen: Int = 0) throws(SystemError) {
        thread = try LoopThread.start(name: "faulty proxy")
        let made = Gathering<Result<(LoopBound<ProxyDesk>, Int), SystemError>>(expecting: 1)
        thread.mailbox.post { loop in
            made.add(
                Result { () throws(SystemError) in
                    let desk = try ProxyDesk(loop, target: target, listen: listen)
                    return (LoopBound(desk, loop), desk.port)
                })
        }
        (desk, port) = try made.wait()[0].get()
    }

    deinit {
        let desk = desk
        thread.mailbox.post { desk.get($0).end() }
        thread.stop()
        thread.join()
    }

    public var address: String { "127.0.0.1:\(port)" }

    /// From now on, for connections that are open and for those to come.
    public func set(_ fault: Fault, _ way: Way = .both) {
        tell { desk in
            if way != .down { desk.up = fault }
            if way != .up { desk.down = fault }
            desk.pumpAll()
        }
    }

    /// Nothing gets through any more, and nobody is told.
    public func silence(_ way: Way = .both) {
        var fault = Fault()
        fault.isSilent = true
        set(fault, way)
    }

    /// No fault any more; what waits goes on.
    public func heal() { set(Fault()) }

    /// Resets every open connection at both ends.
    public func reset() { tell { $0.resetAll() } }

    /// Whether new connections are reset at once.
    public func refuse(_ refuses: Bool) { tell { $0.refuses = refuses } }

    /// Where connections made from now on lead.
    public func lead(to target: Int) { lead(inTurnTo: [target]) }

    /// The same, each connection to the next of these ports: several servers behind one address.
    public func lead(inTurnTo targets: [Int]) { tell { $0.targets = targets } }

    /// Open connections.
    public var connectionCount: Int {
        let desk = desk
        let counted = Gathering<Int>(expecting: 1)
        thread.mailbox.post { counted.add(desk.get($0).connections.count) }
        return counted.wait()[0]
    }

    /// Returns when it is done.
    private func tell(_ work: @escaping @Sendable (ProxyDesk) -> Void) {
        let desk = desk
        let done = Gathering<Void>(expecting: 1)
        thread.mailbox.post { loop in
            work(desk.get(loop))
            done.add(())
        }
        _ = done.wait()
    }
}

/// The proxy's own thread's part: its listener and connections.
final class ProxyDesk {
    var up = Fault()
    var down = Fault()
    var refuses = false
    var targets: [Int]
    private var turn = 0
    private(set) var port = 0
    private(set) var connections: [ObjectIdentifier: ProxyConnection] = [:]
    let loop: EventLoop
    private var listener: Listener?

    init(_ loop: EventLoop, target: Int, listen: Int) throws(SystemError) {
        self.loop = loop
        targets = [target]
        guard let address = SocketAddress(octets: [127, 0, 0, 1], port: listen) else {
            throw SystemError("listen", code: EINVAL)
        }
        let listener = try Listener(loop: loop, address: address) { [weak self] descriptor, _ in
            self?.accept(descriptor)
        }
        self.listener = listener
        port = listener.localAddress.port
    }

    /// Where the next connection leads.
    func nextTarget() -> Int {
        defer { turn += 1 }
        return targets[turn % targets.count]
    }

    private func accept(_ descriptor: consuming Descriptor) {
        guard !refuses else { return ProxyConnection.reset(descriptor.rawValue) }
        let connection = ProxyConnection(self, descriptor)
        connections[ObjectIdentifier(connection)] = connection
        connection.start()
    }

    func gone(_ connection: ProxyConnection) { connections[ObjectIdentifier(connection)] = nil }

    func pumpAll() { for connection in connections.values { connection.pump() } }

    func resetAll() { for connection in connections.values { connection.end(reset: true) } }

    func end() {
        listener?.close()
        listener = nil
        for connection in connections.values { connection.end(reset: false) }
    }
}
