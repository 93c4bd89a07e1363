import Core
import IO

/// A connection to Redis on one loop. It connects, logs in, pipelines commands, and comes back by itself after a
/// loss. Once it subscribes it only listens.
public final class RedisConnection {
    /// Told on the loop at each change; `.ready` of a subscriber means that every channel is confirmed.
    public var onStateChange: ((RedisState) -> Void)?
    public private(set) var state = RedisState.connecting

    private let loop: EventLoop
    private let url: RedisURL
    private let limits: RedisLimits
    private let makeCodec: (() throws(CodecError) -> (any StreamCodec)?)
    private var session: RedisSession
    private var link: RedisLink?
    private var replies: [Int: (Result<RedisReply, RedisError>) -> Void] = [:]
    private var handlers: [String: ([UInt8]) -> Void] = [:]
    private var nextID = 0
    private var wake: (timer: TimerID, at: Instant)?
    /// Attempts that were given up must not disturb the present one.
    private var attempt = 0
    private var actions = Queue<RedisSession.Action>()
    private var isPerforming = false

    public init(loop: EventLoop, url: RedisURL, limits: RedisLimits = RedisLimits()) {
        self.loop = loop
        self.url = url
        self.limits = limits
        makeCodec = RedisTLS.codecs(for: url)
        session = RedisSession(url: url, limits: limits)
    }

    public func start() { perform(session.start(loop.now)) }

    /// Sends a command; `done` is called once, on the loop. Without a connection the command waits for one until
    /// `timeout`.
    public func command(
        _ arguments: [[UInt8]], timeout: Milliseconds = .seconds(1),
        _ done: @escaping (Result<RedisReply, RedisError>) -> Void
    ) {
        nextID += 1
        replies[nextID] = done
        perform(session.submit(nextID, arguments, loop.now, timeout: timeout))
    }

    public func command(
        _ arguments: [String], timeout: Milliseconds = .seconds(1),
        _ done: @escaping (Result<RedisReply, RedisError>) -> Void
    ) {
        command(arguments.map { Array($0.utf8) }, timeout: timeout, done)
    }

    /// Calls `onMessage` with the payload of each message on these channels, now and after every reconnect. What
    /// was published while away is lost: that is Redis' nature.
    public func subscribe(_ channels: [String], _ onMessage: @escaping (String, [UInt8]) -> Void) {
        for channel in channels { handlers[channel] = { onMessage(channel, $0) } }
        perform(session.subscribe(channels, loop.now))
    }

    /// Ends for good; waiting commands fail with `.closed`.
    public func close() {
        perform(session.close())
        if let wake { loop.cancel(wake.timer) }
        wake = nil
    }

    private func perform(_ more: [RedisSession.Action]) {
        for action in more { actions.append(action) }
        // A callback may ask for more while actions are under way: those come after, or bytes would be sent in
        // another order than the session expects replies.
        guard !isPerforming else { return }
        isPerforming = true
        while let action = actions.popFirst() { perform(action) }
        isPerforming = false
        scheduleWake()
    }

    private func perform(_ action: RedisSession.Action) {
        switch action {
        case .connect: connect()
        case .disconnect:
            attempt += 1
            let old = link
            link = nil
            old?.close()
        case .send(let bytes): link?.send(bytes)
        case .finish(let id, let result): replies.removeValue(forKey: id)?(result)
        case .deliver(let channel, let payload): handlers[channel]?(payload)
        case .report(let state):
            self.state = state
            onStateChange?(state)
        }
    }

    private func connect() {
        attempt += 1
        let mine = attempt
        loop.connect(Endpoint(host: url.host, port: url.port), timeout: limits.connectTimeout) { result in
            self.connected(result, attempt: mine)
        }
    }

    private func connected(_ result: consuming Result<Descriptor, ConnectError>, attempt mine: Int) {
        guard mine == attempt else { return }
        switch consume result {
        case .failure(let error): ended(error.description)
        case .success(let descriptor):
            do throws(CodecError) {
                let codec = try makeCodec()
                guard let link = RedisLink(owner: self, maxReplyBytes: limits.maxReplyBytes) else {
                    return ended("no memory")
                }
                self.link = link
                link.start(
                    Stream(
                        loop: loop, descriptor: descriptor, codec: codec,
                        maxOutputBytes: limits.maxWaitingBytes, handler: link))
            } catch {
                ended(error.reason)
            }
        }
    }

    fileprivate func opened(_ link: RedisLink) {
        guard link === self.link else { return }
        perform(session.opened(loop.now))
    }

    fileprivate func received(_ reply: RedisReply, _ link: RedisLink) {
        guard link === self.link else { return }
        perform(session.received(reply, loop.now, jitter: jitter()))
    }

    fileprivate func ended(_ link: RedisLink, _ reason: String) {
        guard link === self.link else { return }
        ended(reason)
    }

    private func ended(_ reason: String) { perform(session.ended(reason, loop.now, jitter: jitter())) }

    private func jitter() -> Int { Int.random(in: 0..<1000) }

    private func scheduleWake() {
        let next = session.nextWake(loop.now)
        if let wake, let next, wake.at <= next, wake.at > loop.now { return }
        if let wake { loop.cancel(wake.timer) }
        wake = nil
        guard let next else { return }
        let timer = loop.schedule(after: next.since(loop.now)) { [weak self] in
            guard let self else { return }
            self.wake = nil
            self.perform(self.session.advance(self.loop.now, jitter: self.jitter()))
        }
        wake = (timer, next)
    }
}

/// One TCP connection of a `RedisConnection`: bytes in, replies out.
private final class RedisLink: StreamHandler {
    private weak var owner: RedisConnection?
    private var reader: RedisReader
    private var stream: Stream?

    init?(owner: RedisConnection, maxReplyBytes: Int) {
        guard let reader = RedisReader(maxReplyBytes: maxReplyBytes) else { return nil }
        self.owner = owner
        self.reader = reader
    }

    func start(_ stream: Stream) {
        self.stream = stream
        stream.start()
    }

    func send(_ bytes: [UInt8]) { stream?.send(bytes) }

    func close() {
        stream?.close()
        stream = nil
    }

    func streamOpened(_ stream: Stream) { owner?.opened(self) }

    func streamReceived(_ stream: Stream) {
        let bytes = stream.input.array()
        stream.input.consume(bytes.count)
        var replies: [RedisReply] = []
        do throws(RedisReader.Failure) {
            replies = try reader.feed(bytes)
        } catch {
            owner?.ended(self, error.reason)
            return
        }
        for reply in replies { owner?.received(reply, self) }
    }

    func streamClosed(_ stream: Stream, _ end: StreamEnd) { owner?.ended(self, end.description) }
}
