import AgentCore
import Core
import HTTP
import IO
import TLS
import Wire

/// All agents of this process, and what they have in common.
final class Crowd {
    let loop: EventLoop
    let client: HTTPClient
    let control: String
    let maxData: Int
    private let wantedLinks: Int
    private var agents: [CrowdAgent] = []
    private var contexts: [String: TLSClientContext] = [:]
    private var startedCount = 0
    var questions = 0
    /// Answers that said to come later.
    var laters = 0
    var failures = 0

    init(loop: EventLoop, control: String, links: Int, maxData: Int) {
        self.loop = loop
        self.control = control
        wantedLinks = links
        self.maxData = maxData
        client = HTTPClient(loop: loop)
    }

    func add(tunnel: String, hostname: String, region: String, key: String) {
        agents.append(
            CrowdAgent(
                crowd: self, number: agents.count,
                tunnel: Tunnel(id: tunnel, hostname: hostname, region: region), key: key))
    }

    /// Not all at the same moment: that would be a storm already.
    func start(perSecond: Int) {
        let tick = Milliseconds(50)
        let end = min(agents.count, startedCount + max(1, perSecond / 20))
        for agent in agents[startedCount..<end] { agent.start() }
        startedCount = end
        if startedCount < agents.count {
            loop.schedule(after: tick) { [self] in start(perSecond: perSecond) }
        }
    }

    /// One context for all links to a relay: each costs memory.
    func context(pinning fingerprint: String) throws(CodecError) -> TLSClientContext {
        if let known = contexts[fingerprint] { return known }
        do throws(TLSError) {
            let context = try TLSClientContext(verify: .pinned(fingerprint: fingerprint))
            contexts[fingerprint] = context
            return context
        } catch {
            throw CodecError(error.description)
        }
    }

    // MARK: commands

    func obey(_ line: String) {
        switch line {
        case "status": status()
        case "mark":
            (questions, laters, failures) = (0, 0, 0)
            for agent in agents { agent.mark() }
            say(["event": "marked", "at": .integer(Int64(Instant.now().nanoseconds))])
        case "report": report()
        case "end":
            for agent in agents { agent.end() }
            loop.schedule(after: Milliseconds(500)) { [self] in loop.stop() }
        default: say(["event": "error", "detail": "there is no such command"])
        }
    }

    private func status() {
        var byCount = [0, 0, 0]
        var relays: [String: Int] = [:]
        for agent in agents {
            byCount[min(2, agent.upRelays.count)] += 1
            for relay in agent.upRelays { relays[relay, default: 0] += 1 }
        }
        var links = JSONObject()
        for (relay, count) in relays.sorted(by: { $0.key < $1.key }) { links[relay] = .whole(count) }
        say([
            "event": "status", "agents": .whole(agents.count), "none": .whole(byCount[0]),
            "one": .whole(byCount[1]), "two": .whole(byCount[2]),
            "settled": .whole(agents.count { $0.upRelays.count >= wantedLinks }), "links": .object(links),
            "questions": .whole(questions), "laters": .whole(laters), "failures": .whole(failures),
            "players": .whole(agents.reduce(0) { $0 + $1.playing }),
            "ended": .whole(agents.count { $0.hasEnded }),
        ])
    }

    private func report() {
        let hit = agents.filter { $0.wasHit }
        func times(_ values: [Instant?]) -> JSON {
            .array(values.compactMap { $0.map { .integer(Int64($0.nanoseconds)) } })
        }
        say([
            "event": "report", "hit": .whole(hit.count), "back": times(hit.map { $0.backAt }),
            "reachable": times(hit.map { $0.reachableAt }), "lost": times(hit.map { $0.lostAt }),
            "questions": .array(hit.map { .whole($0.questions) }),
            "dials": .array(hit.map { .whole($0.dials) }), "laters": .whole(laters),
            "failures": .whole(failures), "others_disturbed": .whole(agents.count { $0.wasDisturbed }),
        ])
    }
}
