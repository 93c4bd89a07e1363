import Core

/// What a Redis connection is good for right now.
public enum RedisState: Sendable, Hashable {
    case connecting
    /// Commands go through; for a subscriber: every channel is confirmed.
    case ready
    /// Not connected, with the reason; it tries again by itself.
    case away(String)
}

/// Numbers that bound a connection to Redis.
public struct RedisLimits: Sendable {
    public var maxPendingCommands = 1024
    /// The largest thing we keep in Redis is the snapshot of a region: some 90 MiB for 100,000 tunnels.
    public var maxWaitingBytes = 128 << 20
    public var maxReplyBytes = 128 << 20
    public var connectTimeout = Milliseconds(1000)
    /// A subscriber that hears nothing for this long asks whether Redis is still there.
    public var quiet = Milliseconds(1000)
    public var greetingTimeout = Milliseconds(1000)
    public var firstPause = Milliseconds(50)
    public var maxPause = Milliseconds(2000)

    public init() {}
}

/// The decisions of one connection to Redis: what to send when, whom a reply belongs to, when to give up on a
/// connection and when to try again. No sockets, clock or randomness inside.
struct RedisSession {
    enum Action: Equatable {
        case connect
        case disconnect
        case send([UInt8])
        case finish(Int, Result<RedisReply, RedisError>)
        case deliver(channel: String, payload: [UInt8])
        case report(RedisState)
    }

    private enum Phase: Equatable {
        case idle
        case pausing(until: Instant)
        case dialing(deadline: Instant)
        case greeting(repliesLeft: Int, deadline: Instant)
        case subscribing(deadline: Instant)
        case ready
        case closed
    }

    private struct Pending {
        let id: Int
        let deadline: Instant
        let bytes: [UInt8]
    }

    private let limits: RedisLimits
    private let greeting: [[[UInt8]]]
    private var phase = Phase.idle
    private var failures = 0
    private var waiting: [Pending] = []
    private var waitingBytes = 0
    /// Commands whose replies are due, in the order in which they were sent.
    private var sent = Queue<Pending>()
    private var channels: [String] = []
    private var unconfirmed: Set<String> = []
    private var lastHeard = Instant(nanoseconds: 0)
    private var pingDeadline: Instant?

    init(url: RedisURL, limits: RedisLimits) {
        self.limits = limits
        var greeting: [[String]] = []
        if let password = url.password {
            greeting.append(url.user.map { ["AUTH", $0, password] } ?? ["AUTH", password])
        }
        if url.database != 0 { greeting.append(["SELECT", String(url.database)]) }
        // A stopped Redis still accepts connections: only an answer counts.
        greeting.append(["PING"])
        self.greeting = greeting.map { $0.map { Array($0.utf8) } }
    }

    var isSubscriber: Bool { !channels.isEmpty }

    /// When `advance` wants to be called next; nil when only events matter.
    func nextWake(_ now: Instant) -> Instant? {
        var wake: Instant?
        func consider(_ instant: Instant) { wake = wake.map { min($0, instant) } ?? instant }
        switch phase {
        case .pausing(let until): consider(until)
        case .dialing(let deadline), .greeting(_, let deadline), .subscribing(let deadline):
            consider(deadline)
        case .ready where isSubscriber: consider(pingDeadline ?? lastHeard + limits.quiet)
        case .idle, .ready, .closed: break
        }
        // Deadlines of commands are looked at on a coarse beat instead of being kept sorted.
        if !waiting.isEmpty || !sent.isEmpty { consider(now + Milliseconds(50)) }
        return wake
    }

    mutating func start(_ now: Instant) -> [Action] {
        guard phase == .idle else { return [] }
        phase = .dialing(deadline: now + limits.connectTimeout)
        return [.report(.connecting), .connect]
    }

    mutating func opened(_ now: Instant) -> [Action] {
        guard case .dialing = phase else { return [] }
        phase = .greeting(repliesLeft: greeting.count, deadline: now + limits.greetingTimeout)
        return [.send(greeting.flatMap { RedisFormatter.format($0) })]
    }

    /// The connection ended or could not be made. `jitter` is a random number in 0..<1000.
    mutating func ended(_ reason: String, _ now: Instant, jitter: Int) -> [Action] {
        switch phase {
        case .idle, .pausing, .closed: return []
        case .dialing, .greeting, .subscribing, .ready: break
        }
        let ceiling = min(limits.maxPause.count, limits.firstPause.count << min(failures, 16))
        failures += 1
        phase = .pausing(until: now + Milliseconds(ceiling * max(0, min(jitter, 1000)) / 1000))
        pingDeadline = nil
        unconfirmed = []
        var actions: [Action] = [.disconnect]
        while let command = sent.popFirst() { actions.append(.finish(command.id, .failure(.connectionLost))) }
        actions.append(.report(.away(reason)))
        return actions
    }

    mutating func submit(_ id: Int, _ arguments: [[UInt8]], _ now: Instant, timeout: Milliseconds) -> [Action]
    {
        if phase == .closed { return [.finish(id, .failure(.closed))] }
        if isSubscriber { return [.finish(id, .failure(.subscribed))] }
        let command = Pending(id: id, deadline: now + timeout, bytes: RedisFormatter.format(arguments))
        guard waiting.count + sent.count < limits.maxPendingCommands,
            waitingBytes + command.bytes.count <= limits.maxWaitingBytes
        else { return [.finish(id, .failure(.overloaded))] }
        guard phase == .ready else {
            waiting.append(command)
            waitingBytes += command.bytes.count
            return []
        }
        return send(command)
    }

    /// Listens to more channels, now and after every reconnect. The connection is a subscriber from here on.
    mutating func subscribe(_ more: [String], _ now: Instant) -> [Action] {
        let new = more.filter { !channels.contains($0) }
        guard !new.isEmpty, phase != .closed else { return [] }
        channels += new
        var actions = waiting.map { Action.finish($0.id, .failure(.subscribed)) }
        waiting = []
        waitingBytes = 0
        switch phase {
        case .ready, .subscribing: actions += subscribeNow(new, now)
        default: break
        }
        return actions
    }

    mutating func received(_ reply: RedisReply, _ now: Instant, jitter: Int) -> [Action] {
        lastHeard = now
        switch phase {
        case .greeting(let left, let deadline):
            if case .error(let text) = reply { return ended(text, now, jitter: jitter) }
            if left > 1 {
                phase = .greeting(repliesLeft: left - 1, deadline: deadline)
                return []
            }
            return greeted(now)
        case .subscribing, .ready:
            if let command = sent.popFirst() {
                if case .error(let text) = reply { return [.finish(command.id, .failure(.refused(text)))] }
                return [.finish(command.id, .success(reply))]
            }
            return pushed(reply, now, jitter: jitter)
        case .idle, .pausing, .dialing, .closed: return []
        }
    }

    /// Looks at every deadline. `jitter` as in `ended`.
    mutating func advance(_ now: Instant, jitter: Int) -> [Action] {
        var actions: [Action] = []
        if waiting.contains(where: { $0.deadline <= now }) {
            for command in waiting where command.deadline <= now {
                waitingBytes -= command.bytes.count
                actions.append(.finish(command.id, .failure(.away)))
            }
            waiting.removeAll { $0.deadline <= now }
        }
        switch phase {
        case .pausing(let until) where until <= now:
            phase = .dialing(deadline: now + limits.connectTimeout)
            return actions + [.report(.connecting), .connect]
        case .dialing(let deadline) where deadline <= now:
            return actions + ended("no connection in time", now, jitter: jitter)
        case .greeting(_, let deadline) where deadline <= now,
            .subscribing(let deadline) where deadline <= now:
            return actions + ended("no answer in time", now, jitter: jitter)
        case .ready where isSubscriber:
            if let deadline = pingDeadline {
                if deadline <= now { return actions + ended("no answer in time", now, jitter: jitter) }
            } else if lastHeard + limits.quiet <= now {
                pingDeadline = now + limits.greetingTimeout
                actions.append(.send(RedisFormatter.format([Array("PING".utf8)])))
            }
        case .ready:
            let late = sent.removeAll { $0.deadline <= now }
            guard !late.isEmpty else { break }
            actions += late.map { .finish($0.id, .failure(.timedOut)) }
            // Replies come in order, so one that is overdue holds up all that follow: begin afresh.
            actions += ended("a reply did not come in time", now, jitter: jitter)
        case .idle, .pausing, .dialing, .greeting, .subscribing, .closed: break
        }
        return actions
    }

    mutating func close() -> [Action] {
        guard phase != .closed else { return [] }
        phase = .closed
        var actions: [Action] = [.disconnect]
        while let command = sent.popFirst() { actions.append(.finish(command.id, .failure(.closed))) }
        actions += waiting.map { .finish($0.id, .failure(.closed)) }
        waiting = []
        return actions
    }

    private mutating func greeted(_ now: Instant) -> [Action] {
        if isSubscriber {
            phase = .subscribing(deadline: now + limits.greetingTimeout)
            return subscribeNow(channels, now)
        }
        phase = .ready
        failures = 0
        var actions: [Action] = [.report(.ready)]
        let held = waiting
        waiting = []
        waitingBytes = 0
        for command in held { actions += send(command) }
        return actions
    }

    private mutating func send(_ command: Pending) -> [Action] {
        sent.append(Pending(id: command.id, deadline: command.deadline, bytes: []))
        return [.send(command.bytes)]
    }

    private mutating func subscribeNow(_ names: [String], _ now: Instant) -> [Action] {
        phase = .subscribing(deadline: now + limits.greetingTimeout)
        unconfirmed.formUnion(names)
        return [.send(RedisFormatter.format((["SUBSCRIBE"] + names).map { Array($0.utf8) }))]
    }

    private mutating func pushed(_ reply: RedisReply, _ now: Instant, jitter: Int) -> [Action] {
        if case .error(let text) = reply { return ended(text, now, jitter: jitter) }
        guard isSubscriber, let parts = reply.arrayValue, let kind = parts.first?.text else {
            return ended("a reply that nobody asked for", now, jitter: jitter)
        }
        pingDeadline = nil
        switch kind {
        case "message":
            guard parts.count == 3, let channel = parts[1].text, let payload = parts[2].bytesValue else {
                return ended("a message without channel or text", now, jitter: jitter)
            }
            return [.deliver(channel: channel, payload: payload)]
        case "subscribe":
            guard parts.count == 3, let channel = parts[1].text else {
                return ended("a subscription without channel", now, jitter: jitter)
            }
            unconfirmed.remove(channel)
            guard unconfirmed.isEmpty else { return [] }
            phase = .ready
            failures = 0
            return [.report(.ready)]
        default:
            return []
        }
    }
}

/// First in, first out, without moving what is left at each step.
struct Queue<Element> {
    private var elements: [Element] = []
    private var head = 0

    var count: Int { elements.count - head }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        let element = elements[head]
        head += 1
        if head > 64, head * 2 > elements.count {
            elements.removeFirst(head)
            head = 0
        }
        return element
    }

    /// Takes out and returns what matches, in order.
    mutating func removeAll(where matches: (Element) -> Bool) -> [Element] {
        let taken = elements[head...].filter(matches)
        guard !taken.isEmpty else { return [] }
        elements = elements[head...].filter { !matches($0) }
        head = 0
        return taken
    }
}
