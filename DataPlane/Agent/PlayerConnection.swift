import AgentCore
import Core
import IO
import Wire

/// One data connection: dials the rendezvous, waits for a player, dials the home server and joins the two.
final class PlayerConnection: StreamHandler {
    enum Event {
        /// The rendezvous could not be reached.
        case unreachable
        /// The home server did or did not take the player's connection. A ping is no player.
        case home(answers: Bool, greeting: PlayerGreeting)
        case joined(PlayerAddress, PlayerGreeting)
        case left
        /// Once, the last one.
        case ended
    }

    let request: DataRequest
    private let loop: EventLoop
    private let pool: SplicePool
    private let local: Endpoint
    private let tell: (Event) -> Void
    private var machine: DataConnection
    private var relay: IO.Stream?
    private var timer: TimerID?
    /// The home server's end and whose it is, while the player's greeting is not all there.
    private var home: (stream: IO.Stream, player: PlayerAddress)?
    private var hasEnded = false
    private static let connectLimit = Milliseconds.seconds(5)
    /// A home server answers nothing before the login has come, so waiting for it costs no time; the display
    /// then knows who it is.
    private static let greetingLimit = Milliseconds(100)
    /// A player's first bytes wait here until the home server takes them.
    private static let maxWaitingBytes = 64 * 1024

    init(
        loop: EventLoop, pool: SplicePool, request: DataRequest, options: UpOptions,
        tell: @escaping (Event) -> Void
    ) {
        self.loop = loop
        self.pool = pool
        self.request = request
        local = options.local
        self.tell = tell
        machine = DataConnection(
            request, home: PlayerAddress(host: options.local.host, port: options.local.port),
            proxyProtocol: options.proxyProtocol)
    }

    /// Nobody's yet.
    var isParked: Bool { machine.isParked }

    func start() {
        guard let rendezvous = Endpoint(request.rendezvous.endpoint) else {
            return loop.atEndOfTurn { [self] in notReached() }
        }
        loop.connect(rendezvous, timeout: Self.connectLimit) { [self] result in
            guard case .success(let descriptor) = consume result else { return notReached() }
            guard !hasEnded else { return }
            let stream = IO.Stream(
                loop: loop, descriptor: descriptor, maxInputBytes: Self.maxWaitingBytes, handler: self)
            relay = stream
            stream.start()
        }
    }

    func close() {
        relay?.close()
        end()
    }

    private func notReached() {
        guard !hasEnded else { return }
        tell(.unreachable)
        end()
    }

    private func end() {
        guard !hasEnded else { return }
        hasEnded = true
        home = nil
        if let timer = timer.take() { loop.cancel(timer) }
        tell(.ended)
    }

    // MARK: the machine

    private func feed(_ event: DataConnection.Event) {
        for action in machine.handle(event, at: loop.now) { perform(action) }
        if let timer = timer.take() { loop.cancel(timer) }
        guard !hasEnded, let deadline = machine.deadline else { return }
        timer = loop.schedule(after: deadline.since(loop.now)) { [weak self] in self?.feed(.timePassed) }
    }

    private func perform(_ action: DataConnection.Action) {
        switch action {
        case .send(let bytes): relay?.send(bytes)
        case .take(let count): relay?.input.consume(count)
        case .dialHome: dialHome()
        case .join: break
        case .close: relay?.closeWhenSent()
        }
    }

    private func dialHome() {
        loop.connect(local, timeout: Self.connectLimit) { [self] result in
            guard !hasEnded, let relay else { return }
            let greeting = greeting(of: relay)
            switch consume result {
            case .success(let descriptor):
                tell(.home(answers: true, greeting: greeting))
                homeAnswered(descriptor)
            case .failure:
                tell(.home(answers: false, greeting: greeting))
                feed(.homeFailed)
            }
        }
    }

    /// READY goes out at once; the joining waits for a greeting that comes in pieces.
    private func homeAnswered(_ descriptor: consuming Descriptor) {
        guard let relay, let player = machine.player else { return }
        let stream = IO.Stream(loop: loop, descriptor: descriptor, handler: self)
        for case .join(let answer, let header) in machine.handle(.homeConnected, at: loop.now) {
            relay.send(answer)
            stream.send(header)
        }
        home = (stream, player)
        if greeting(of: relay).isComplete || relay.inputEnded { return join() }
        timer = loop.schedule(after: Self.greetingLimit) { [weak self] in
            self?.timer = nil
            self?.join()
        }
    }

    private func greeting(of relay: IO.Stream) -> PlayerGreeting {
        PlayerGreeting.read(relay.input.array(count: 4096))
    }

    /// From here on the two sockets speak for themselves.
    private func join() {
        guard let relay, let (home, player) = home.take() else { return }
        if let timer = timer.take() { loop.cancel(timer) }
        let greeting = greeting(of: relay)
        guard let left = relay.detach(), let right = home.detach() else { return end() }
        self.relay = nil
        let isPlayer = greeting != .ping
        if isPlayer { tell(.joined(player, greeting)) }
        Splice(loop: loop, pool: pool, left: left, right: right) { [self] _ in
            if isPlayer { tell(.left) }
            end()
        }.start()
    }

    // MARK: the relay's stream

    func streamOpened(_ stream: IO.Stream) { feed(.connected) }

    func streamReceived(_ stream: IO.Stream) {
        guard home == nil else {
            if greeting(of: stream).isComplete { join() }
            return
        }
        feed(.received(stream.input.array(count: DataConnection.readBytes)))
    }

    /// A player who has said everything may still want to hear something.
    func streamInputEnded(_ stream: IO.Stream) {
        if home != nil { return join() }
        if machine.player == nil { stream.close(.peerClosed) }
    }

    func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) {
        relay = nil
        self.end()
    }
}
