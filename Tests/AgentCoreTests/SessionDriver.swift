import Core
import Wire

@testable import AgentCore

/// Plays the world around a session: feeds events at a time of the test's choosing and keeps what came out.
struct SessionDriver {
    var session: AgentSession
    var now = Instant(nanoseconds: 1_000_000_000)
    var actions: [AgentSession.Action] = []

    static let tunnel = Tunnel(id: "tun_1", hostname: "sleepy-creeper.eu.dvv.one", region: "eu")
    static let relayA = Placement(
        generation: 1, relay: "rly_a", endpoint: Endpoint(host: "192.0.2.1", port: 7000), fingerprint: "aa",
        ticket: "ticket-a")
    static let relayB = Placement(
        generation: 2, relay: "rly_b", endpoint: Endpoint(host: "192.0.2.2", port: 7000), fingerprint: "bb",
        ticket: "ticket-b")

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

    /// A session that has just been welcomed by relay A.
    static func online(
        seed: UInt64 = 7, maxDataConnections: Int = 100, limits: Limits = .none, canWake: Bool = false
    ) -> SessionDriver {
        var driver = SessionDriver(
            seed: seed, maxDataConnections: maxDataConnections, canWake: canWake)
        driver.feed(.start)
        driver.answer(.success(.tunnels([tunnel], next: nil)))
        driver.answer(.success(.placed(relayA)))
        driver.welcome(limits)
        return driver
    }

    mutating func feed(_ event: AgentSession.Event) {
        actions = session.handle(event, at: now)
    }

    mutating func pass(_ time: Milliseconds) {
        now = now + time
        feed(.timePassed)
    }

    /// Goes to the session's own next deadline.
    mutating func passToDeadline() {
        guard let deadline = session.deadline else { return }
        now = max(now, deadline)
        feed(.timePassed)
    }

    /// Answers the newest question.
    mutating func answer(_ result: Result<ControlAnswer, ControlFailure>) {
        guard let call = lastCall else { return }
        feed(.answered(call, result))
    }

    mutating func welcome(_ limits: Limits = .none) {
        guard let link = dialled?.0 else { return }
        feed(.linkOpened(link))
        feed(.received(link, .welcome(limits)))
    }

    var lastCall: AgentSession.CallID? {
        if case .asking(let call, _) = session.attempt { call } else { nil }
    }
    var question: ControlRequest? {
        for case .call(_, let request) in actions { return request }
        return nil
    }
    var dialled: (LinkID, Placement)? {
        if case .linking(let link, let placement, _) = session.attempt { (link, placement) } else { nil }
    }
    var activeLink: LinkID? { session.active?.id }
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
}

func nonce(_ byte: UInt8) -> Nonce? { Nonce([UInt8](repeating: byte, count: Nonce.byteCount)) }
