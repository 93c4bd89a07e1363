import AgentCore
import Core
import HTTP
import IO
import Wire

/// One agent: the session that decides, as `minecart` has it, and the thinnest of shells around it. Only the list of
/// the account's tunnels is not asked for: it knows its own.
final class CrowdAgent {
    private unowned let crowd: Crowd
    private let tunnel: Tunnel
    private let key: String
    private var session: AgentSession
    private var links: [LinkID: CrowdLink] = [:]
    private var up: [LinkID: String] = [:]
    private var homes: [Int: PretendHome] = [:]
    private var lastHome = 0
    private var events: [AgentSession.Event] = []
    private var isFeeding = false
    private var timer: TimerID?
    private(set) var hasEnded = false

    // Since the last mark.
    private var linksAtMark = 0
    private(set) var questions = 0
    private(set) var dials = 0
    /// It lost a link.
    private(set) var wasHit = false
    /// When it noticed first.
    private(set) var lostAt: Instant?
    /// It has as many links as before.
    private(set) var backAt: Instant?
    /// It has a link again, or still.
    private(set) var reachableAt: Instant?

    init(crowd: Crowd, number: Int, tunnel: Tunnel, key: String) {
        self.crowd = crowd
        self.tunnel = tunnel
        self.key = key
        session = AgentSession(
            AgentSession.Options(
                session: "ses_" + tunnel.id, label: tunnel.label, region: tunnel.region,
                local: Endpoint(host: "127.0.0.1", port: 25565), seed: .random(in: 0...UInt64.max),
                maxDataConnections: crowd.maxData))
    }

    /// The relays that have said WELCOME and whose links are open.
    var upRelays: [String] { Array(up.values) }
    var playing: Int { homes.values.count { $0.isPlaying } }
    /// It lost nothing, and moved all the same.
    var wasDisturbed: Bool { !wasHit && dials > 0 }

    func start() { feed(.start) }
    func end() { feed(.interrupted) }

    func mark() {
        linksAtMark = up.count
        (questions, dials, wasHit, lostAt, backAt, reachableAt) = (0, 0, false, nil, nil, nil)
    }

    // MARK: the session

    private func feed(_ event: AgentSession.Event) {
        events.append(event)
        guard !isFeeding else { return }
        isFeeding = true
        while !events.isEmpty {
            for action in session.handle(events.removeFirst(), at: crowd.loop.now) { perform(action) }
        }
        isFeeding = false
        if let timer = timer.take() { crowd.loop.cancel(timer) }
        guard let deadline = session.deadline else { return }
        timer = crowd.loop.schedule(after: deadline.since(crowd.loop.now)) { [weak self] in
            self?.timer = nil
            self?.feed(.timePassed)
        }
    }

    private func perform(_ action: AgentSession.Action) {
        switch action {
        case .call(let id, let request): ask(id, request)
        case .probe(let id, _): later { $0.feed(.probed(id, [])) }
        case .checkLocalServer: later { $0.feed(.localServer(answers: true, forPlayer: false)) }
        case .dial(let id, let relay): dial(id, relay)
        case .send(let id, let frame): links[id]?.send(frame)
        case .closeLink(let id):
            links.removeValue(forKey: id)?.close()
            lost(id)
        case .bring(let request): bring(request)
        case .closeParked(let id):
            for home in homes.values where home.isParked && home.request.link == id { home.close() }
        case .exit: hasEnded = true
        case .tell(.failed(let failure)):
            crowd.failures += 1
            say(["event": "agent_failed", "tunnel": .string(tunnel.id), "code": .string(failure.code)])
        case .tell, .awaitWake: break
        }
    }

    private func later(_ work: @escaping (CrowdAgent) -> Void) {
        crowd.loop.atEndOfTurn { [weak self] in self.map(work) }
    }

    private func ask(_ id: AgentSession.CallID, _ request: ControlRequest) {
        if case .tunnels = request {
            let tunnel = tunnel
            return later { $0.feed(.answered(id, .success(.tunnels([tunnel], next: nil)))) }
        }
        questions += 1
        crowd.questions += 1
        guard let url = HTTPURL(crowd.control + request.target) else { stop("--control is no URL") }
        let headers: HTTPHeaders = ["Authorization": "Bearer " + key]
        var call =
            request.body.map { HTTPClientRequest(request.method, url, headers: headers, json: $0) }
            ?? HTTPClientRequest(request.method, url, headers: headers)
        call.connectDeadline = request.deadline
        call.headDeadline = request.deadline
        call.bodyDeadline = request.deadline
        crowd.client.send(call) { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(let response):
                if response.status == 429 || response.status == 503 { self.crowd.laters += 1 }
                let retryAfter_s = response.headers["Retry-After"].flatMap { Int($0) }
                self.feed(
                    .answered(
                        id,
                        request.read(
                            status: response.status, body: response.body, retryAfter_s: retryAfter_s)))
            case .failure(let error):
                self.crowd.failures += 1
                self.feed(.answered(id, .failure(.unreachable(error.description))))
            }
        }
    }

    // MARK: links

    private func dial(_ id: LinkID, _ relay: PlacedRelay) {
        dials += 1
        let link = CrowdLink(crowd: crowd) { [weak self] event in
            guard let self else { return }
            switch event {
            case .opened: self.feed(.linkOpened(id))
            case .frame(let frame):
                if case .welcome = frame { self.welcomed(id, relay.id) }
                self.feed(.received(id, frame))
            case .closed(let reason):
                self.links[id] = nil
                self.lost(id)
                self.feed(.linkClosed(id, reason: reason))
            }
        }
        links[id] = link
        link.dial(relay.endpoint, fingerprint: relay.fingerprint, serverName: relay.id)
    }

    private func welcomed(_ id: LinkID, _ relay: String) {
        up[id] = relay
        guard wasHit else { return }
        if reachableAt == nil { reachableAt = .now() }
        if up.count >= linksAtMark, backAt == nil { backAt = .now() }
    }

    private func lost(_ id: LinkID) {
        guard up.removeValue(forKey: id) != nil, up.count < linksAtMark else { return }
        if lostAt == nil { lostAt = .now() }
        wasHit = true
        backAt = nil
        reachableAt = up.isEmpty ? nil : .now()
    }

    // MARK: players

    private func bring(_ request: DataRequest) {
        lastHome += 1
        let number = lastHome
        let home = PretendHome(loop: crowd.loop, request: request) { [weak self] event in
            guard let self else { return }
            switch event {
            case .unreachable: self.feed(.dataConnectionFailed(request, .rendezvousUnreachable))
            case .ended:
                self.homes[number] = nil
                self.feed(.dataConnectionEnded(request))
            }
        }
        homes[number] = home
        home.start()
    }
}
