import API
import CLinux
import Core
import Crypto
import DNS
import HTTP
import HTTPCalls
import IO
import Postgres
import Reconcilers
import Redis
import Store
import Stripe

/// What works on Stripe's events and compares with Stripe; only where there is a key to it.
private struct BillingParts: Sendable {
    let bell = Bell()
    let worker: StripeWorker
    let reconciler: StripeReconciler
    let meters: MeterSender

    init(
        store: Store, client: StripeClient, terms: BillingTerms, leadership: Leadership, metrics: Metrics
    ) {
        let shown = StripeMetrics(metrics)
        worker = StripeWorker(store: store, client: client, terms: terms, bell: bell, metrics: shown)
        reconciler = StripeReconciler(
            store: store, client: client, terms: terms, leadership: leadership, metrics: shown)
        meters = MeterSender(
            store: store, meter: StripeMeter(client), leadership: leadership, metrics: metrics)
    }
}

/// The running program: loops, connections and tasks, put together and taken apart.
enum ControlPlane {
    private static let log = Log("control")
    private static let httpLoops = 2
    /// How long requests in flight may take once we are told to stop.
    private static let stopDeadline = Milliseconds.seconds(10)

    /// Serves until SIGTERM or SIGINT.
    static func serve(_ configuration: Configuration) async throws {
        let metrics = Metrics()
        let pool = Pool(url: configuration.databaseURL)
        let store = Store(pool: pool)
        let board = LoadBoard()
        let watch = RegionWatch()
        let leadership = Leadership(store: store, holder: "control-" + Hex.encode(SecureRandom.bytes(8)))
        let keys = configuration.signing.open(store)
        let hub = try LoopThread.start(name: "redis")
        let checker = DomainChecker(
            store: store, resolver: DNSClient(servers: configuration.nameServers, on: hub.mailbox))
        let redis = await RedisClient.start(url: configuration.redisURL, on: hub.mailbox)
        // Apart: large snapshots must not hold up those who sign in.
        let counting = await RedisClient.start(url: configuration.redisURL, on: hub.mailbox)
        let limiter = RateLimiter(redis: counting)
        let signIns = SignInThrottle(redis: counting)
        let outgoing = HTTPCaller(on: hub.mailbox)
        let stripe = configuration.stripe.map {
            StripeClient(base: $0.base, key: $0.key, transport: outgoing)
        }
        let api = API(
            settings: configuration.api, keys: keys, store: store, loads: board, watch: watch,
            domains: checker, metrics: metrics, stripe: stripe, limiter: limiter, signIns: signIns)
        let loads = await LoadFeed.start(
            url: configuration.redisURL, board: board, leadership: leadership, on: hub.mailbox)
        register(metrics, watch, leadership)
        metrics.gauge("minecart_limits_shared", "1 while limits are counted together with other processes.") {
            limiter.isShared && signIns.isShared ? 1 : 0
        }

        let publisher = Publisher(
            store: store, redis: redis, watch: watch, keys: keys,
            leadership: leadership)
        let reaper = RelayReaper(store: store, board: board, leadership: leadership)
        let housekeeping = Housekeeping(store: store, leadership: leadership)
        let domains = DomainChecks(store: store, checker: checker, leadership: leadership)
        let expiry = TunnelExpiry(store: store, leadership: leadership, metrics: metrics)
        let rankings = LoadReader(store: store, redis: counting, board: board, leadership: leadership)
        let keeper = PlacementKeeper(
            store: store, board: board, leadership: leadership, watch: watch, metrics: metrics)
        let rebalancer = Rebalancer(store: store, board: board, leadership: leadership, metrics: metrics)
        let counts = FleetMetrics(store: store, metrics: metrics)
        let quotas = QuotaKeeper(store: store, leadership: leadership)
        let mails = MailSender(
            store: store, delivery: configuration.mail, http: outgoing, metrics: metrics)
        let billing = stripe.map {
            BillingParts(
                store: store, client: $0,
                terms: BillingTerms(
                    grace_s: configuration.billingGrace_s, link: configuration.api.publicURL),
                leadership: leadership, metrics: metrics)
        }
        let listener = Postgres.Listener(
            url: configuration.unpooledDatabaseURL,
            channels: [AssignmentsChannel.name, SigningKeysChannel.name, StripeEventsChannel.name])
        let work = Task {
            await withDiscardingTaskGroup { group in
                group.addTask { await leadership.run() }
                group.addTask { await publisher.run() }
                group.addTask { await reaper.run() }
                group.addTask { await housekeeping.run() }
                group.addTask { await quotas.run() }
                group.addTask { await expiry.run() }
                group.addTask { await rankings.run() }
                group.addTask { await keeper.run() }
                group.addTask { await rebalancer.run() }
                group.addTask { await counts.run() }
                group.addTask { await mails.run() }
                group.addTask { await keys.run() }
                group.addTask { await domains.run() }
                group.addTask { await limiter.run() }
                if let rotation = keys.vault?.rotation {
                    let rotator = KeyRotator(store: store, rotation: rotation, leadership: leadership)
                    group.addTask { await rotator.run() }
                }
                if let billing {
                    group.addTask { await billing.worker.run() }
                    group.addTask { await billing.reconciler.run() }
                    group.addTask { await billing.meters.run() }
                }
                group.addTask { await follow(listener, watch, keys, billing?.bell) }
                group.addTask { await keepRegions(configuration.regions, store, loads) }
            }
        }

        let loops = try (0..<httpLoops).map { try LoopThread.start(name: "http-\($0)") }
        let servers = try await Servers.start(api, at: configuration.listenAddress, on: loops.map(\.mailbox))
        log.info("listening", ["address": "\(servers.address)", "port": String(servers.address.port)])

        let signal = try await hub.mailbox.signal([SIGTERM, SIGINT])
        log.info("stopping", ["signal": String(signal)])
        api.drain()
        await servers.stop(within: stopDeadline)
        work.cancel()
        listener.stop()
        watch.close()
        await work.value
        outgoing.close()
        loads.close()
        counting.close()
        redis.close()
        for loop in loops + [hub] {
            loop.stop()
            loop.join()
        }
        await pool.close()
        log.info("stopped")
    }

    private static func register(_ metrics: Metrics, _ watch: RegionWatch, _ leadership: Leadership) {
        metrics.gauge("minecart_leader", "1 while this process leads.") { leadership.isLeader ? 1 : 0 }
        metrics.gauge("minecart_held_polls", "Requests of relays that wait for a change.") { watch.waiting }
    }

    /// Passes on what the database tells; whatever was missed while away is looked up by those who wait.
    private static func follow(
        _ listener: Postgres.Listener, _ watch: RegionWatch, _ keys: SigningKeys, _ bell: Bell?
    ) async {
        var isAway = false
        for await event in listener.events {
            switch event {
            case .listening:
                if isAway { log.info("the database is back") }
                isAway = false
                watch.wakeAll()
                bell?.ring()
                Task { await keys.reload() }
            case .notification(let notification) where notification.channel == SigningKeysChannel.name:
                Task {
                    await keys.reload()
                    // Held polls tell relays of the new set.
                    watch.wakeAll()
                }
            case .notification(let notification) where notification.channel == StripeEventsChannel.name:
                bell?.ring()
            case .notification(let notification):
                if let change = AssignmentsChannel.parse(notification.payload) {
                    watch.advance(change.region, to: change.rev)
                }
            case .lost(let reason):
                if !isAway { log.warning("the database is away", ["reason": reason]) }
                isAway = true
            }
        }
    }

    /// Makes the configured regions exist, and follows the load of every region there is.
    private static func keepRegions(
        _ configured: [(id: String, name: String)], _ store: Store, _ loads: LoadFeed
    ) async {
        var isDone = false
        while !Task.isCancelled {
            do throws(StoreError) {
                if !isDone {
                    for region in configured { try await store.ensureRegion(region.id, name: region.name) }
                    isDone = true
                }
                loads.follow(try await store.regionIDs())
            } catch .unavailable(let reason) {
                log.debug("regions cannot be read now: \(reason)")
            } catch {
                log.error(
                    "the database is not as expected: run minecart-control migrate", ["reason": "\(error)"])
            }
            try? await Task.sleep(for: isDone ? .seconds(3) : .seconds(1))
        }
    }
}
