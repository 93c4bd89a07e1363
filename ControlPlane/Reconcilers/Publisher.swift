import Core
import Crypto
import Domain
import Redis
import Store
import Synchronization
import Wire

/// Tells the relays of every region what changed, while this process leads: drains the outbox in revision order,
/// keeps the snapshots in Redis, sends beacons. A process that does not lead waits for the lease.
public actor Publisher {
    private let store: Store
    private let projection: RedisProjection
    private let watch: RegionWatch
    private let keys: SigningKeys
    private let leadership: Leadership
    private let log = Log("publisher")
    private var publications: [String: RegionPublication] = [:]
    private var epoch = 0
    private var redisReturns = 0
    /// What the snapshots and beacons that are out were signed with, and what they tell of keys.
    private var told: (kid: String, fingerprint: String)?
    private var regions: [String] = []
    private var regionsRead: Instant?
    private var changesRead = -1
    private var projectionsRead: [String: Instant] = [:]
    private var outboxRead = Instant(nanoseconds: 0)

    /// At most this long after a change that no notification told of.
    private static let pause = Milliseconds(250)
    private static let outboxInterval = Milliseconds.seconds(1)
    /// How often it is looked whether Redis still has what was put there.
    private static let projectionInterval = Milliseconds.seconds(5)
    private static let regionsInterval = Milliseconds.seconds(2)

    public init(
        store: Store, redis: RedisClient, watch: RegionWatch, keys: SigningKeys, leadership: Leadership
    ) {
        self.store = store
        projection = RedisProjection(redis)
        self.watch = watch
        self.keys = keys
        self.leadership = leadership
    }

    /// Runs until the task is cancelled.
    public func run() async {
        var changes = 0
        while !Task.isCancelled {
            await turn(changes)
            changes = await watch.waitForAny(after: changes, timeout: Self.pause)
        }
    }

    private func turn(_ changes: Int) async {
        guard let lease = leadership.current else {
            publications = [:]
            return
        }
        if lease.epoch != epoch {
            publications = [:]
            epoch = lease.epoch
        }
        let returns = leadership.redisReturns
        if returns != redisReturns {
            redisReturns = returns
            for region in publications.keys { publications[region]?.redisReturned() }
        }
        guard let ring = keys.current else { return }
        if told.map({ $0 != (ring.signing.kid, ring.fingerprint) }) ?? true {
            told = (ring.signing.kid, ring.fingerprint)
            for region in publications.keys { publications[region]?.keysChanged() }
        }
        do {
            try await readRegions()
            // Most turns only keep the beacons going: the outbox is read when something was told of, and now and
            // then in case a notification was lost.
            let reads = changes != changesRead || Instant.now().since(outboxRead) >= Self.outboxInterval
            for region in regions { try await serve(region, lease, ring, reads: reads) }
            if reads {
                changesRead = changes
                outboxRead = .now()
            }
        } catch StoreError.unavailable(let reason) {
            log.debug("cannot read what changed: \(reason)")
        } catch {
            // The lease is lost, or something does not fit: begin again from the database.
            if !Task.isCancelled { log.warning("publishing begins again: \(error)") }
            publications = [:]
        }
    }

    private func readRegions() async throws {
        if let regionsRead, Instant.now().since(regionsRead) < Self.regionsInterval { return }
        regions = try await store.regionIDs()
        regionsRead = .now()
    }

    private func serve(_ region: String, _ lease: Lease, _ ring: KeyRing, reads: Bool) async throws {
        if publications[region] == nil {
            publications[region] = RegionPublication(try await store.regionSnapshot(region, as: lease))
        }
        guard var publication = publications[region] else { return }
        let deltas = reads ? try await store.outbox(region, after: publication.rev, as: lease) : []
        guard let messages = publication.advance(deltas) else {
            log.warning(
                "revisions of a region do not follow each other: reading it again", ["region": region])
            publications[region] = nil
            return
        }
        // While Redis is away nothing is lost by not trying: relays hold polls, and all is owed when it returns.
        if leadership.redisIsReady {
            for message in messages { await publish(message, region, ring) }
            if await isGone(region, publication) { publication.redisReturned() }
            for owed in publication.owed(.now()) {
                await tell(owed, region, ring)
                publication.told(owed, .now())
            }
        }
        publications[region] = publication
    }

    /// Whether Redis, which was there all the time, lost the snapshot or got an older one back from a backup.
    private func isGone(_ region: String, _ publication: RegionPublication) async -> Bool {
        guard publication.isTold,
            projectionsRead[region].map({ Instant.now().since($0) >= Self.projectionInterval }) ?? true
        else { return false }
        projectionsRead[region] = .now()
        do throws(RedisError) {
            guard let order = try await projection.snapshotOrder(region) else { return true }
            return (order.epoch, order.rev) < (epoch, publication.rev)
        } catch {
            return false
        }
    }

    private func publish(_ message: AssignmentMessage, _ region: String, _ ring: KeyRing) async {
        do throws(RedisError) {
            try await projection.publish(region, signed: message.signed(with: ring.signing))
        } catch {
            // Relays notice the gap or the silence and ask over HTTP.
            log.debug("not published: \(error)", ["region": region])
        }
    }

    private func tell(_ owed: RegionPublication.Owed, _ region: String, _ ring: KeyRing) async {
        do throws(RedisError) {
            switch owed {
            case .beacon(let beacon):
                let message = AssignmentMessage.beacon(beacon).telling(keys: ring.fingerprint)
                try await projection.publish(region, signed: message.signed(with: ring.signing))
            case .snapshot(let snapshot):
                let signed = AssignmentMessage.snapshot(snapshot).signed(with: ring.signing)
                let isMine = try await projection.replaceSnapshot(
                    region, epoch: snapshot.epoch, rev: snapshot.rev, signed: signed)
                if !isMine {
                    log.warning(
                        "Redis holds a later snapshot than ours: it stays until this leader is beyond it",
                        ["region": region, "rev": String(snapshot.rev)])
                }
            }
        } catch {
            log.debug("not told: \(error)", ["region": region])
        }
    }
}
