import AgentCore
import Core
import RelayCore
import Wire

/// One agent at home: the product's session, with links and data connections around it.
final class Agent: Node {
    let tunnel: String
    let hostname: String
    private(set) var agentKey: String
    private var session: AgentSession?
    private(set) var sessionName = ""
    private var links: [LinkID: AgentLinkEnd] = [:]
    private var datas: [Nonce: AgentData] = [:]
    /// Links that are on the way and still wanted.
    private var dialling: Set<LinkID> = []
    private var alarm = 0
    private var alarmAt: Instant?
    /// It ended by itself: its session was replaced, or its key is worth nothing.
    private(set) var hasExited = false
    /// It serves no more; its last players may finish.
    private var hasGivenUp = false
    private var lastVisit = 0

    init(_ world: World, name: String, tunnel: String, hostname: String, agentKey: String) {
        self.tunnel = tunnel
        self.hostname = hostname
        self.agentKey = agentKey
        super.init(world, name: name)
    }

    var isServing: Bool { isUp && !hasGivenUp && !hasExited }

    func take(key: String) { agentKey = key }

    override func started() {
        alarmAt = nil
        dialling = []
        hasExited = false
        hasGivenUp = false
        links = [:]
        datas = [:]
        sessionName = "s\(index).\(run)"
        session = AgentSession(
            AgentSession.Options(
                session: sessionName, label: nil, region: Tables.region,
                local: Endpoint(host: "127.0.0.1", port: 25565), seed: world.random.next(),
                maxDataConnections: 100))
        feed(.start)
    }

    override func died() {
        links = [:]
        datas = [:]
        session = nil
    }

    // MARK: the session

    func feed(_ event: AgentSession.Event) {
        guard let actions = session?.handle(event, at: now) else { return }
        for action in actions { perform(action) }
        setAlarm()
    }

    private func setAlarm() {
        guard let due = session?.deadline else {
            alarmAt = nil
            alarm += 1
            return
        }
        if alarmAt == due { return }
        alarm += 1
        alarmAt = due
        let mine = alarm
        after(Milliseconds(due.since(now).count + 1)) { [self] in
            guard mine == alarm else { return }
            alarmAt = nil
            feed(.timePassed)
        }
    }

    private func perform(_ action: AgentSession.Action) {
        switch action {
        case .call(let call, let request): ask(call, request)
        case .probe(let call, _): after(Milliseconds(0)) { [self] in feed(.probed(call, [])) }
        case .checkLocalServer:
            after(Milliseconds(1)) { [self] in feed(.localServer(answers: true, forPlayer: false)) }
        case .dial(let link, let placement): dial(link, placement.id)
        case .send(let link, let frame): links[link]?.send(frame)
        case .closeLink(let link):
            dialling.remove(link)
            links.removeValue(forKey: link)?.close()
        case .bring(let request): bring(request)
        case .closeParked(let link):
            for data in datas.values.filter({ $0.request.link == link && !$0.isPlaying }).sorted(by: {
                $0.number < $1.number
            }) {
                data.close()
                ended(data)
            }
        case .tell(.failed(let failure)):
            hasGivenUp = true
            world.trace("\(name) gives up: \(failure.code)")
        case .tell(let notice): world.trace("\(name) tells \(notice)")
        case .awaitWake: break
        case .exit: exit()
        }
    }

    private func exit() {
        guard !hasExited else { return }
        hasExited = true
        world.trace("\(name) ends by itself")
        let run = run
        world.after(us: 0) { [self] in if run == self.run { kill() } }
    }

    // MARK: the control plane

    private func ask(_ call: AgentSession.CallID, _ request: ControlRequest) {
        switch request {
        case .tunnels:
            let own = Tunnel(id: tunnel, hostname: hostname, region: Tables.region)
            after(Milliseconds(20)) { [self] in feed(.answered(call, .success(.tunnels([own], next: nil)))) }
        case .place(let tunnel, let session, let exclude):
            world.trace("\(name) asks for a placement, not at \(exclude)")
            guard let control = world.front(self) else {
                return after(Milliseconds(5)) { [self] in
                    feed(.answered(call, .failure(.unreachable("refused"))))
                }
            }
            let wanted = PlacementRequest(
                tunnel: tunnel, agentKey: agentKey, session: session, exclude: Set(exclude))
            Call<PlacementReply>.ask(from: self, to: control, timeout: request.deadline) {
                control.place(wanted, $0)
            } _: { [self] result in
                switch result {
                case .success(.placed(let placement)): feed(.answered(call, .success(.placed(placement))))
                case .success(.refused(let status, let code)):
                    let refusal = Refusal(
                        status: status, code: code, detail: code,
                        retryAfter: status == 503 ? .seconds(1) : nil)
                    feed(.answered(call, .failure(.refused(refusal))))
                case .failure: feed(.answered(call, .failure(.unreachable("no answer"))))
                }
            }
        case .regions, .createTunnel:
            after(Milliseconds(5)) { [self] in feed(.answered(call, .failure(.unreadable("not simulated")))) }
        }
    }

    // MARK: links

    private func dial(_ link: LinkID, _ relay: String) {
        guard let relay = world.relay(relay) else {
            return after(Milliseconds(1)) { [self] in feed(.linkClosed(link, reason: "no such relay")) }
        }
        world.trace("\(name) dials \(relay.name)")
        dialling.insert(link)
        connect(to: relay, patience: .seconds(30)) { [self] cable in
            guard dialling.remove(link) != nil else {
                cable?.close(from: .dialler)
                return
            }
            guard let cable else { return feed(.linkClosed(link, reason: "cannot connect")) }
            links[link] = AgentLinkEnd(self, link, cable)
            feed(.linkOpened(link))
        }
    }

    func received(_ link: LinkID, _ frame: LinkFrame) { feed(.received(link, frame)) }

    func linkClosed(_ link: LinkID) {
        guard links.removeValue(forKey: link) != nil else { return }
        feed(.linkClosed(link, reason: "closed"))
    }

    // MARK: data connections

    private func bring(_ request: DataRequest) {
        let data = AgentData(self, request, freshNumber())
        datas[request.nonce] = data
        guard let relay = world.relay(request.rendezvous.relay) else { return failed(data) }
        connect(to: relay, patience: .seconds(10)) { [self] cable in
            guard datas[request.nonce] === data else {
                cable?.close(from: .dialler)
                return
            }
            guard let cable else { return failed(data) }
            data.opened(cable)
        }
    }

    private var lastNumber = 0
    private func freshNumber() -> Int {
        lastNumber += 1
        return lastNumber
    }

    private func failed(_ data: AgentData) {
        feed(.dataConnectionFailed(data.request, .rendezvousUnreachable))
        ended(data)
    }

    func ended(_ data: AgentData) {
        guard datas[data.request.nonce] === data else { return }
        datas[data.request.nonce] = nil
        if data.isPlaying { feed(.playerLeft(data.number)) }
        feed(.dataConnectionEnded(data.request))
    }

    func playerCame(_ data: AgentData) {
        guard let address = PlayerAddress(ip: [192, 0, 2, 1], port: 1) else { return }
        feed(.playerJoined(Visit(id: data.number, player: address, name: nil)))
    }

    /// The relays with a link of this agent, as it believes.
    var playerCount: Int { session?.playerCount ?? 0 }
}

/// The agent's end of a link.
private final class AgentLinkEnd: CableEnd {
    private unowned let agent: Agent
    private let link: LinkID
    private let cable: Cable

    init(_ agent: Agent, _ link: LinkID, _ cable: Cable) {
        self.agent = agent
        self.link = link
        self.cable = cable
        cable.attach(self, .dialler)
    }

    func send(_ frame: LinkFrame) { cable.send(.frame(frame), from: .dialler) }
    func close() { cable.close(from: .dialler) }

    func received(_ parcel: Parcel, on cable: Cable) {
        if case .frame(let frame) = parcel { agent.received(link, frame) }
    }

    func closed(_ cable: Cable) { agent.linkClosed(link) }
}

/// The agent's end of a data connection.
final class AgentData: CableEnd {
    private unowned let agent: Agent
    let request: DataRequest
    let number: Int
    private var cable: Cable?
    private(set) var isPlaying = false

    init(_ agent: Agent, _ request: DataRequest, _ number: Int) {
        self.agent = agent
        self.request = request
        self.number = number
    }

    func opened(_ cable: Cable) {
        self.cable = cable
        cable.attach(self, .dialler)
        cable.send(.preamble(request.nonce), from: .dialler)
    }

    func close() {
        cable?.close(from: .dialler)
        cable = nil
    }

    func received(_ parcel: Parcel, on cable: Cable) {
        guard case .begin = parcel, !isPlaying else { return }
        // The server at home accepts at once.
        agent.after(Milliseconds(1)) { [self] in
            guard self.cable != nil, !isPlaying else { return }
            isPlaying = true
            cable.send(.answer(.ready), from: .dialler)
            agent.playerCame(self)
        }
    }

    func closed(_ cable: Cable) {
        self.cable = nil
        agent.ended(self)
    }
}
