import AgentCore
import Core
import IO
import Wire

/// Carries out what the session decides, and tells it what happened. Everything runs on one loop.
final class AgentRunner {
    private let loop: EventLoop
    private let options: UpOptions
    private let tell: (Notice) -> Void
    private let control: ControlClient
    private let pool = SplicePool()
    private var session: AgentSession
    private var links: [LinkID: Link] = [:]
    private var connections: [Int: PlayerConnection] = [:]
    private var lastConnection = 0
    private var events: [AgentSession.Event] = []
    private var isFeeding = false
    private var timer: TimerID?
    private var isExiting = false
    private(set) var exitCode: Int32 = 0
    private var enterKey: EnterKey?
    /// For the last frames to leave.
    private static let exitLimit = Milliseconds(500)

    init(
        loop: EventLoop, options: UpOptions, key: AgentKey, session: AgentSession.Options,
        tell: @escaping (Notice) -> Void
    ) {
        self.loop = loop
        self.options = options
        self.tell = tell
        control = ControlClient(loop: loop, url: options.control, key: key)
        self.session = AgentSession(session)
    }

    func start() { feed(.start) }

    func interrupt() { feed(.interrupted) }

    /// Events that come up while actions are carried out wait for their turn.
    private func feed(_ event: AgentSession.Event) {
        events.append(event)
        guard !isFeeding else { return }
        isFeeding = true
        while !events.isEmpty {
            for action in session.handle(events.removeFirst(), at: loop.now) { perform(action) }
        }
        isFeeding = false
        armTimer()
    }

    private func armTimer() {
        if let timer = timer.take() { loop.cancel(timer) }
        guard let deadline = session.deadline else { return }
        timer = loop.schedule(after: deadline.since(loop.now)) { [weak self] in
            self?.timer = nil
            self?.feed(.timePassed)
        }
    }

    private func perform(_ action: AgentSession.Action) {
        switch action {
        case .call(let call, let question):
            control.send(question) { [weak self] result in self?.feed(.answered(call, result)) }
        case .probe(let call, let regions):
            RegionProbe.measure(regions, on: loop) { [weak self] times in self?.feed(.probed(call, times)) }
        case .checkLocalServer: checkLocalServer()
        case .dial(let id, let relay): dial(id, relay)
        case .send(let id, let frame): links[id]?.send(frame)
        case .closeLink(let id): links[id]?.close()
        case .bring(let request): bring(request)
        case .closeParked(let id):
            for connection in connections.values where connection.isParked && connection.request.link == id {
                connection.close()
            }
        case .tell(let notice): tell(notice)
        case .awaitWake:
            enterKey = EnterKey(loop: loop) { [weak self] in
                self?.enterKey = nil
                self?.feed(.woken)
            }
        case .exit(let code): exit(code)
        }
    }

    private func checkLocalServer() {
        loop.connect(options.local, timeout: .seconds(3)) { [weak self] result in
            if case .success = consume result {
                self?.feed(.localServer(answers: true, forPlayer: false))
            } else {
                self?.feed(.localServer(answers: false, forPlayer: false))
            }
        }
    }

    private func dial(_ id: LinkID, _ relay: PlacedRelay) {
        let link = Link(loop: loop) { [weak self] event in
            switch event {
            case .opened: self?.feed(.linkOpened(id))
            case .frame(let frame): self?.feed(.received(id, frame))
            case .closed(let reason): self?.feed(.linkClosed(id, reason: reason))
            }
        }
        link.onGone = { [weak self] in self?.linkGone(id) }
        links[id] = link
        link.dial(relay)
    }

    private func linkGone(_ id: LinkID) {
        links[id] = nil
        if isExiting, links.isEmpty { loop.stop() }
    }

    private func bring(_ request: DataRequest) {
        lastConnection += 1
        let id = lastConnection
        let connection = PlayerConnection(
            loop: loop, pool: pool, request: request, options: options
        ) { [weak self] event in self?.connection(id, request, event) }
        connections[id] = connection
        connection.start()
    }

    private func connection(_ id: Int, _ request: DataRequest, _ event: PlayerConnection.Event) {
        switch event {
        case .unreachable: feed(.dataConnectionFailed(request, .rendezvousUnreachable))
        case .home(let answers, let greeting):
            feed(.localServer(answers: answers, forPlayer: greeting != .ping))
        case .joined(let player, let greeting):
            var name: String?
            if case .login(let claimed) = greeting { name = claimed }
            feed(.playerJoined(Visit(id: id, player: player, name: name)))
        case .left: feed(.playerLeft(id))
        case .ended:
            connections[id] = nil
            feed(.dataConnectionEnded(request))
        }
    }

    /// The second wish to end is granted at once.
    private func exit(_ code: Int32) {
        guard !isExiting else { return loop.stop() }
        isExiting = true
        exitCode = code
        control.close()
        if links.isEmpty { return loop.stop() }
        loop.schedule(after: Self.exitLimit) { [loop] in loop.stop() }
    }
}
