import Core
import Wire

@testable import AgentCore

/// Plays the world around a session: feeds events at a time of the test's choosing and keeps what came out.
struct SessionDriver {
    var session: AgentSession
    var now = Instant(nanoseconds: 1_000_000_000)
    var actions: [AgentSession.Action] = []

    static let tunnel = Tunnel(id: "tun_1", hostname: "sleepy-creeper.eu.dvv.one", region: "eu")
    static let address = tunnel.hostname
    static let relayA = relay("a")
    static let relayB = relay("b")
    static let relayC = relay("c")
    /// No standby.
    static let onA = Placement(generation: 1, owner: relayA)
    static let onB = Placement(generation: 2, owner: relayB)
    static let onAWithB = Placement(generation: 1, owner: relayA, standby: relayB)

    /// The ticket's text tells the generation too.
    static func relay(_ name: String, generation: Int = 1) -> PlacedRelay {
        PlacedRelay(
            id: "rly_" + name, endpoint: Endpoint(host: "192.0.2.1", port: 7000), fingerprint: name,
            ticket: "ticket-\(name)\(generation == 1 ? "" : "-\(generation)")")
    }

    static func placement(_ generation: Int, _ owner: String, _ standby: String? = nil) -> Placement {
        Placement(
            generation: generation, owner: relay(owner, generation: generation),
            standby: standby.map { relay($0, generation: generation) })
    }

    init(
        label: String? = nil, region: String? = nil, seed: UInt64 = 7, maxDataConnections: Int = 100,
        canWake: Bool = false
    ) {
        session = AgentSession(
            AgentSession.Options(
                session: "ses_1", label: label, region: region,
                local: Endpoint(host: "127.0.0.1", port: 25565), seed: seed,
                maxDataConnections: maxDataConnections, canWake: canWake))
    }

    /// A session that knows its tunnel and waits for its first placement.
    static func asking(seed: UInt64 = 7, maxDataConnections: Int = 100, canWake: Bool = false)
        -> SessionDriver
    {
        var driver = SessionDriver(seed: seed, maxDataConnections: maxDataConnections, canWake: canWake)
        driver.feed(.start)
        driver.answer(.success(.tunnels([tunnel], next: nil)))
        return driver
    }

    /// A session that has just been welcomed by relay A, its owner, and has no standby.
    static func online(
        seed: UInt64 = 7, maxDataConnections: Int = 100, limits: Limits = .none, canWake: Bool = false
    ) -> SessionDriver {
        var driver = asking(seed: seed, maxDataConnections: maxDataConnections, canWake: canWake)
        driver.answer(.success(.placed(onA)))
        driver.welcome(limits)
        return driver
    }

    /// A session with owner A and standby B, both up for a minute.
    static func paired(seed: UInt64 = 7, limits: Limits = .none, canWake: Bool = false) -> SessionDriver {
        var driver = asking(seed: seed, canWake: canWake)
        driver.answer(.success(.placed(onAWithB)))
        driver.welcome("a", limits)
        driver.welcome("b", limits)
        driver.live(.minutes(1))
        return driver
    }

    mutating func feed(_ event: AgentSession.Event) {
        actions = session.handle(event, at: now)
    }

    mutating func pass(_ time: Milliseconds) {
        now = now + time
        feed(.timePassed)
    }

    /// Time goes by while all relays that are up keep talking.
    mutating func live(_ time: Milliseconds) {
        let end = now + time
        while now < end {
            now = min(end, now + .seconds(1))
            for link in session.links where link.isUp { feed(.received(link.id, .pong(0))) }
            let before = question
            feed(.timePassed)
            if question != nil, question != before { return }
        }
    }

    /// Goes to the session's own next deadline.
    mutating func passToDeadline() {
        guard let deadline = session.deadline else { return }
        now = max(now, deadline)
        feed(.timePassed)
    }

    /// Goes to the next question; relays that are up keep talking. How long that took.
    @discardableResult
    mutating func passToQuestion() -> Milliseconds {
        let start = now
        guard let due = session.questionDue else { return Milliseconds(0) }
        while now < due {
            now = min(due, now + .seconds(1))
            for link in session.links where link.isUp { feed(.received(link.id, .pong(0))) }
        }
        feed(.timePassed)
        return now.since(start)
    }

    /// Answers the newest question.
    mutating func answer(_ result: Result<ControlAnswer, ControlFailure>) {
        guard let call = lastCall else { return }
        feed(.answered(call, result))
    }

    mutating func place(_ placement: Placement) { answer(.success(.placed(placement))) }

    /// The relay that is dialled welcomes.
    mutating func welcome(_ limits: Limits = .none) {
        guard let link = dialled?.id else { return }
        feed(.linkOpened(link))
        feed(.received(link, .welcome(limits)))
    }

    /// This relay welcomes: a link that was dialled, or a ticket that was renewed.
    mutating func welcome(_ name: String, _ limits: Limits = .none) {
        let link = link(name)
        if self.session.link(link)?.isUp == false { feed(.linkOpened(link)) }
        feed(.received(link, .welcome(limits)))
    }

    mutating func receive(_ name: String, _ frame: LinkFrame) { feed(.received(link(name), frame)) }

    mutating func goAway(_ name: String, _ reason: GoAwayReason, reconnectIn: Milliseconds = Milliseconds(0))
    {
        receive(name, .goAway(reconnectIn: reconnectIn, reason))
    }

    mutating func breakLink(_ name: String, _ reason: String = "reset") {
        feed(.linkClosed(link(name), reason: reason))
    }

    /// To this relay.
    func link(_ name: String) -> LinkID { session.link(to: "rly_" + name)?.id ?? LinkID(0) }

    var lastCall: AgentSession.CallID? {
        if case .asking(let call, _) = session.conversation { call } else { nil }
    }
    var question: ControlRequest? {
        for case .call(_, let request) in actions { return request }
        return nil
    }
    /// Relays that the question for a placement asks to be spared.
    var excluded: [String]? {
        if case .place(_, _, let exclude)? = question { exclude } else { nil }
    }
    /// The oldest link that is not up yet.
    var dialled: RelayLink? { session.links.first { !$0.isUp } }
    /// The relays of links that are up, the oldest first.
    var up: [String] { session.links.filter { $0.isUp }.map { $0.relay } }
    var activeLink: LinkID? { session.links.first { $0.isUp }?.id }
    var notices: [Notice] {
        actions.compactMap { if case .tell(let notice) = $0 { notice } else { nil } }
    }
    var failure: AgentFailure? {
        for case .failed(let failure) in notices { return failure }
        return nil
    }
    var exitCode: Int32? {
        for case .exit(let code) in actions { return code }
        return nil
    }
    var wait: Milliseconds? {
        for case .reconnecting(let after, _) in notices { return after }
        return nil
    }
    var reason: String? {
        for case .reconnecting(_, let reason) in notices { return reason }
        return nil
    }

    static func ask(_ exclude: String...) -> ControlRequest {
        .place(tunnel: "tun_1", session: "ses_1", exclude: exclude.map { "rly_" + $0 })
    }
}

extension ControlFailure {
    static let away = ControlFailure.unreachable("refused")

    static func busy(_ seconds: Int) -> ControlFailure {
        .refused(
            Refusal(status: 503, code: "busy", detail: "Many ask at once.", retryAfter: .seconds(seconds)))
    }
}

func nonce(_ byte: UInt8) -> Nonce? { Nonce([UInt8](repeating: byte, count: Nonce.byteCount)) }
