import CLinux
import Core
import IO

/// What the clients do once their way stands.
protocol Load {
    var order: Order { get }
    var connections: Int { get }
    func start(_ client: Client)
    /// Called while bytes may wait; true once this client is done.
    func ready(_ client: Client) -> Bool
    /// The result as JSON.
    func result(after elapsed: Milliseconds) -> JSON
}

/// Connects all clients, waits until each has its answer, says "ready", and runs the load after a line on standard
/// input; prints the result.
func runClients(on loop: EventLoop, to target: String, name: String, load: some Load) throws(SystemError) {
    guard let address = SocketAddress(target) else {
        stop("--to \(target) is not IP:PORT, as in 127.0.0.1:25565")
    }
    let clients = Clients(loop: loop, load: load)
    let opening = loginHandshake(name: name, port: address.port) + [load.order.rawValue]
    for _ in 0..<load.connections {
        let client = Client(try connectedSocket(address), clients)
        try loop.add(client, descriptor: client.raw)
        client.send(opening)
    }
    loop.run()
}

/// The frame of a 1.8 client that wants to log in.
private func loginHandshake(name: String, port: Int) -> [UInt8] {
    let host = Array(name.utf8)
    guard host.count < 100 else { stop("--name is too long") }
    let body: [UInt8] = [0, 47, UInt8(host.count)] + host + [UInt8(port >> 8), UInt8(port & 0xFF), 2]
    return [UInt8(body.count)] + body
}

/// Waits for the connection, then makes the socket non-blocking.
func connectedSocket(_ address: SocketAddress) throws(SystemError) -> Descriptor {
    let raw = socket(address.isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard raw >= 0 else { throw .last("socket") }
    let descriptor = Descriptor(owning: raw)
    guard address.withSockaddr({ connect(raw, $0, $1) }) == 0 else { throw .last("connect \(address)") }
    SocketOptions.tune(raw)
    _ = mc_fcntl_int(raw, F_SETFL, O_NONBLOCK)
    return descriptor
}

/// All clients of one load: when they are ready, when they are done.
final class Clients {
    let loop: EventLoop
    let load: any Load
    private(set) var running = false
    private var members: [Client] = []
    private var standing = 0
    private var done = 0
    private var startedAt = Instant.now()

    init(loop: EventLoop, load: any Load) {
        self.loop = loop
        self.load = load
    }

    func wayStands(_ client: Client) {
        standing += 1
        members.append(client)
        guard standing == load.connections else { return }
        say("ready")
        var byte: UInt8 = 0
        while read(0, &byte, 1) == 1, byte != 0x0A {}
        running = true
        startedAt = Instant.now()
        for member in members { load.start(member) }
    }

    func finished() {
        done += 1
        guard done == load.connections else { return }
        say(load.result(after: Instant.now().since(startedAt)).text)
        exit(0)
    }
}

/// One connection of the load.
final class Client: Source {
    let raw: Int32
    private let descriptor: Descriptor
    private unowned let clients: Clients
    private var stands = false
    private var isDone = false
    /// Bytes that the load still expects, for the load's own use.
    var expected = 0
    var left = 0

    init(_ descriptor: consuming Descriptor, _ clients: Clients) {
        raw = descriptor.rawValue
        self.descriptor = descriptor
        self.clients = clients
    }

    var scratch: UnsafeMutableRawBufferPointer { clients.loop.scratch }

    func send(_ bytes: [UInt8]) {
        let sent = bytes.withUnsafeBytes { CLinux.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        guard sent == bytes.count else {
            stop("the way is stuck: \(sent) of \(bytes.count) bytes could be sent")
        }
    }

    /// Bytes received, 0 when none wait. Nothing is copied when they are not wanted (MSG_TRUNC on TCP).
    func receive(discard: Bool) -> Int {
        let count =
            discard
            ? recv(raw, nil, 1 << 20, Int32(MSG_TRUNC))
            : recv(raw, scratch.baseAddress, scratch.count, 0)
        if count > 0 { return count }
        guard count < 0, mc_errno() == EAGAIN else { stop("a connection ended in the middle of the load") }
        return 0
    }

    override func ready(_ readiness: Readiness) {
        if !stands {
            guard receive(discard: false) > 0 else { return }
            guard scratch[0] == clients.load.order.rawValue else {
                stop("not the backend answers, but: \(String(decoding: scratch.prefix(200), as: UTF8.self))")
            }
            stands = true
            clients.wayStands(self)
        }
        if clients.running, !isDone, clients.load.ready(self) {
            isDone = true
            clients.finished()
        }
    }
}
