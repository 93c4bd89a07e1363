import Core
import Crypto
import IO
import Redis
import RelayCore
import Wire

/// Brings the region's assignments to this relay: registers it, listens to Redis, asks the control plane for what
/// is missing, and tells the loops what changed. Lives on the relay's first loop.
final class RegionFeed {
    private let loop: EventLoop
    private let context: RelayContext
    private let info: RelayInfo
    private let client: ControlPlaneClient
    private let redisURL: RedisURL?
    private var subscriber: RedisConnection?
    private var reader: RedisConnection?
    private var follower = RegionFollower()
    private var registrationFailures = 0
    private var isRegistering = false
    private var nextRegistration: TimerID?
    private var keyRefresh = KeyRefresh()
    /// Keeps the keys that we learn for the next start.
    private let keepKeys: (VerificationKeys) -> Void
    /// The region's revision with which the control plane knew of this run. What it says of this relay before that is
    /// about an earlier one.
    private var ownRevision: Int?
    /// Called, as often as it is heard, when the control plane wants this relay to drain.
    var onDrainOrder: () -> Void = {}
    private(set) var isRegistered = false
    /// The control plane knows this relay: it was registered now, or, since it has kept keys, before a restart.
    private(set) var isTrusted: Bool
    /// The control plane answered, Redis told, or an earlier run kept it: this relay knows where tunnels are.
    private(set) var isCurrent: Bool
    /// What is wrong now and was told.
    private var complaints: [Trouble: String] = [:]
    private let log = Log("relay")

    private var region: String { context.relay.region }

    init(
        loop: EventLoop, context: RelayContext, info: RelayInfo, client: ControlPlaneClient,
        redisURL: RedisURL?, knowsKeys: Bool = false, knowsRegion: Bool = false,
        keepKeys: @escaping (VerificationKeys) -> Void = { _ in }
    ) {
        self.loop = loop
        self.context = context
        self.info = info
        self.client = client
        self.redisURL = redisURL
        self.keepKeys = keepKeys
        isTrusted = knowsKeys
        isCurrent = knowsRegion
    }

    func start() {
        register()
        if let redisURL { listen(redisURL) }
        tick()
    }

    var hearsRedis: Bool { follower.hearsRedis(now: loop.now) }

    /// The connection for commands; nil without REDIS_URL.
    var redis: RedisConnection? { reader }

    private func tick() {
        perform(follower.tick(now: loop.now))
        loop.schedule(after: Milliseconds(500)) { [weak self] in self?.tick() }
    }

    // MARK: registration

    private func register() {
        guard !isRegistering else { return }
        isRegistering = true
        if let nextRegistration { loop.cancel(nextRegistration) }
        nextRegistration = nil
        client.register(info, run: context.run) { [weak self] result in
            guard let self else { return }
            self.isRegistering = false
            switch result {
            case .success(let registered):
                self.complaints[.registration] = nil
                // Strangers may cause these: at most one a minute.
                self.complaints[.message] = nil
                self.learn(registered.keys)
                self.ownRevision = self.ownRevision ?? registered.rev
                self.registrationFailures = 0
                if !self.isRegistered {
                    self.isRegistered = true
                    self.isTrusted = true
                    self.log.info("registered with the control plane", ["region": self.region])
                    self.perform(self.follower.start(now: self.loop.now))
                }
                self.lookAtOwnState(registered.state)
                self.context.links.repeatAll()
                // Keys rotate, and a control plane may have been restored: ask again now and then.
                self.register(after: .minutes(1))
            case .failure(let error): self.registrationFailed(error)
            }
        }
    }

    private func registrationFailed(_ error: ControlPlaneError) {
        complain(.registration, error.description)
        let ceiling = min(10_000, 250 << min(registrationFailures, 10))
        registrationFailures += 1
        let delay = Milliseconds(ceiling / 2 + Int.random(in: 0...ceiling / 2))
        register(after: delay)
    }

    private func register(after delay: Milliseconds) {
        nextRegistration = loop.schedule(after: delay) { [weak self] in self?.register() }
    }

    private func learn(_ keys: VerificationKeys) {
        guard context.keys?.fingerprint != keys.fingerprint else { return }
        context.keys = keys
        keepKeys(keys)
        log.info("keys of the control plane", ["keys": keys.keys.map(\.kid).joined(separator: ",")])
        // What was dropped for want of a key may be good now.
        if isRegistered { perform(follower.subscribed()) }
    }

    /// Something showed that the control plane has other keys than we know: registering tells them.
    func met(_ sign: KeyRefresh.Sign) {
        if keyRefresh.met(sign, now: loop.now) { register() }
    }

    // MARK: Redis

    private func listen(_ url: RedisURL) {
        let reader = RedisConnection(loop: loop, url: url)
        reader.start()
        self.reader = reader
        let subscriber = RedisConnection(loop: loop, url: url)
        subscriber.onStateChange = { [weak self] state in
            guard let self else { return }
            switch state {
            case .ready:
                self.complaints[.redis] = nil
                self.perform(self.follower.subscribed())
            case .away(let reason): self.complain(.redis, reason)
            case .connecting: break
            }
        }
        subscriber.subscribe(["assignments:\(region)"]) { [weak self] _, payload in
            self?.heard(String(decoding: payload, as: UTF8.self))
        }
        subscriber.start()
        self.subscriber = subscriber
    }

    private func heard(_ text: String) {
        guard let message = verified(text) else { return }
        let outcome = apply(message, fromControlPlane: false)
        perform(follower.heard(message, outcome, now: loop.now))
    }

    private func loadSnapshot() {
        guard let reader, context.keys != nil else { return }
        reader.command(["GET", "snapshot:\(region)"], timeout: .seconds(5)) { [weak self] result in
            guard let self else { return }
            guard case .success(let reply) = result, let text = reply.text, let message = self.verified(text)
            else {
                return self.perform(self.follower.snapshotMissing())
            }
            let outcome = self.apply(message, fromControlPlane: false)
            if outcome == .gap { self.perform(self.follower.snapshotMissing()) }
        }
    }

    // MARK: the control plane

    private func pull(after position: RegionBeacon?, wait_s: Int) {
        guard isRegistered else {
            return follower.pullFailed(now: loop.now, jitter: Double.random(in: 0...1))
        }
        client.assignments(region: region, after: position, wait_s: wait_s) { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(let text):
                guard let message = self.verified(text) else {
                    return self.pullFailed("its answer is not signed by a known key")
                }
                self.complaints[.assignments] = nil
                let outcome = self.apply(message, fromControlPlane: true)
                self.isCurrent = true
                self.perform(
                    self.follower.pulled(outcome, now: self.loop.now, jitter: Double.random(in: 0...1)))
            case .failure(let error): self.pullFailed(error.description)
            }
        }
    }

    private func pullFailed(_ reason: String) {
        complain(.assignments, reason)
        follower.pullFailed(now: loop.now, jitter: Double.random(in: 0...1))
    }

    // MARK: doing

    private func perform(_ actions: [RegionFollower.Action]) {
        for action in actions {
            switch action {
            case .loadSnapshot: loadSnapshot()
            case .pull(let wait_s): pull(after: context.routes.position, wait_s: wait_s)
            case .pullWhole: pull(after: nil, wait_s: 0)
            }
        }
    }

    private func verified(_ text: String) -> AssignmentMessage? {
        guard let keys = context.keys else { return nil }
        do throws(AssignmentMessageError) {
            let message = try AssignmentMessage.verify(text, region: region, keys: keys)
            if case .beacon(let beacon) = message, let told = beacon.keys, told != keys.fingerprint {
                met(.told)
            }
            return message
        } catch {
            if error == .signature(.unknownKey) { met(.unknownOnFeed) }
            complain(.message, error.description)
            return nil
        }
    }

    private func apply(_ message: AssignmentMessage, fromControlPlane: Bool) -> RegionState.Outcome {
        let outcome = context.apply(message, fromControlPlane: fromControlPlane)
        if case .applied = outcome { isCurrent = true }
        lookAtOwnState(context.routes.relay(info.id)?.state)
        return outcome
    }

    private func lookAtOwnState(_ state: RelayState?) {
        guard state == .draining, let ownRevision, (context.routes.position?.rev ?? 0) >= ownRevision else {
            return
        }
        onDrainOrder()
    }

    private enum Trouble: String {
        case registration = "cannot register with the control plane"
        case redis = "Redis is away; asking the control plane instead"
        case assignments = "cannot get assignments from the control plane"
        case message = "dropped a message about assignments"
    }

    /// The same trouble is told once until it is over, not twice a second.
    private func complain(_ trouble: Trouble, _ reason: String) {
        guard complaints.updateValue(reason, forKey: trouble) != reason else { return }
        log.warning(trouble.rawValue, ["reason": reason])
    }
}
