import Core
import Wire

/// The Redis server: keys that may vanish or come back old, and channels that deliver at most once, or by the will
/// of the faults late, twice or never.
final class RedisServer: Node {
    struct StoredSnapshot {
        var epoch: Int
        var rev: Int
        var message: RegionSnapshot
    }

    /// Each client's end: it hears when its connection is there and when it is gone.
    private final class Session {
        let client: any RedisClient
        let clientRun: Int
        var isReady = false
        var lastArrival_us = 0
        var isReconnecting = false

        init(_ client: any RedisClient, _ run: Int) {
            self.client = client
            clientRun = run
        }
    }

    private(set) var snapshot: StoredSnapshot?
    /// What a copy that was taken earlier holds.
    private var dump: StoredSnapshot?
    private var sessions: [Session] = []
    /// Of a thousand deliveries.
    var lostPermille = 0
    var doubledPermille = 0
    var shuffledPermille = 0

    // MARK: connections

    func connect(_ client: any RedisClient) {
        let session = Session(client, client.run)
        sessions.removeAll { $0.client === client }
        sessions.append(session)
        reconnect(session, after_us: world.random.below(50_000))
    }

    private func reconnect(_ session: Session, after_us: Int) {
        guard !session.isReconnecting else { return }
        session.isReconnecting = true
        world.after(us: after_us) { [self] in
            session.isReconnecting = false
            let client = session.client
            guard client.run == session.clientRun, client.isUp, !session.isReady else { return }
            guard isUp, !world.network.isCut(client, self), !world.network.isCut(self, client) else {
                return reconnect(session, after_us: 250_000 + world.random.below(750_000))
            }
            session.isReady = true
            client.enter(session.clientRun) { client.redisIs(ready: true) }
        }
    }

    private func lose(_ session: Session) {
        guard session.isReady else { return }
        session.isReady = false
        let client = session.client
        client.enter(session.clientRun) { client.redisIs(ready: false) }
        reconnect(session, after_us: 250_000 + world.random.below(750_000))
    }

    /// The server's side closes all connections, as after a failover or when buffers are full.
    func dropSubscribers() { for session in sessions { lose(session) } }

    /// Clients ask each other for signs of life; a cut way shows after a while.
    func noticeCuts() {
        for session in sessions where session.isReady {
            let client = session.client
            if world.network.isCut(client, self) || world.network.isCut(self, client) { lose(session) }
        }
    }

    override func died() { dropSubscribers() }

    func forgetClients() { sessions = [] }

    private func session(of client: any RedisClient) -> Session? {
        sessions.first { $0.client === client && $0.clientRun == client.run && $0.isReady }
    }

    /// A command; nil when there is no connection or the answer does not come.
    func command<Answer>(
        from client: any RedisClient, _ work: @escaping (RedisServer) -> Answer,
        _ done: @escaping (Answer?) -> Void
    ) {
        let run = client.run
        guard session(of: client) != nil else { return done(nil) }
        guard !world.network.isCut(client, self) else {
            return client.after(.seconds(5)) { done(nil) }
        }
        let way_us = world.network.time_us(client, self, &world.random)
        world.after(us: way_us) { [self] in
            guard isUp else { return client.enter(run) { done(nil) } }
            let answer = work(self)
            guard !world.network.isCut(self, client) else {
                return world.after(us: 5_000_000) { client.enter(run) { done(nil) } }
            }
            let back_us = world.network.time_us(self, client, &world.random)
            world.after(us: back_us) { client.enter(run) { done(answer) } }
        }
    }

    // MARK: keys

    /// The script that refuses an older one.
    func replaceSnapshot(_ message: RegionSnapshot) -> Bool {
        if let there = snapshot {
            if there.epoch > message.epoch { return false }
            if there.epoch == message.epoch, there.rev > message.rev { return false }
        }
        snapshot = StoredSnapshot(epoch: message.epoch, rev: message.rev, message: message)
        return true
    }

    func flushAll() { snapshot = nil }

    func takeDump() { dump = snapshot }

    func loadDump() { snapshot = dump }

    // MARK: channels

    func publish(_ message: AssignmentMessage) {
        for session in sessions where session.isReady {
            guard let relay = session.client as? Relay else { continue }
            deliver(session) { relay.heardRedis(message) }
        }
    }

    func publish(_ report: LoadReport) {
        for session in sessions where session.isReady {
            guard let control = session.client as? ControlPlane else { continue }
            deliver(session) { control.heard(report) }
        }
    }

    private func deliver(_ session: Session, _ work: @escaping () -> Void) {
        let client = session.client
        guard !world.network.isCut(self, client), !world.random.happens(lostPermille) else { return }
        for _ in 0..<(world.random.happens(doubledPermille) ? 2 : 1) {
            var at_us = world.now_us + world.network.time_us(self, client, &world.random)
            if world.random.happens(shuffledPermille) {
                at_us += world.random.below(1_500_000)
            } else {
                at_us = max(at_us, session.lastArrival_us + 1)
                session.lastArrival_us = at_us
            }
            let run = session.clientRun
            world.at(us: at_us) { [session] in
                guard session.isReady else { return }
                client.enter(run, work)
            }
        }
    }
}

protocol RedisClient: Node {
    func redisIs(ready: Bool)
}
