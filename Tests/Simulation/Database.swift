import Core
import Wire

/// The Postgres server: one transaction after the other, each at one moment. While it is away transactions fail;
/// one may be committed although its answer is lost.
final class Database: Node {
    var tables = Tables()
    /// Of a thousand commits, how many answers are lost.
    var lostAnswersPermille = 0
    /// Additional time that a commit takes.
    var slow_us = 0
    /// Grows with each restore from a backup: what was known of later revisions is void.
    private(set) var restores = 0
    var listeners: [ControlPlane] = []
    private static let patience_us = 1_500_000

    /// The database's clock.
    var now_us: Int { world.now_us }

    func transact<Answer>(
        from client: ControlPlane, _ work: @escaping (inout Tables) throws(StoreFailure) -> Answer,
        _ done: @escaping (Result<Answer, StoreFailure>) -> Void
    ) {
        let clientRun = client.run
        func tell(_ result: Result<Answer, StoreFailure>, after_us: Int) {
            world.after(us: after_us) { client.enter(clientRun) { done(result) } }
        }
        guard !world.network.isCut(client, self), !world.network.isCut(self, client) else {
            return tell(.failure(.unavailable), after_us: Self.patience_us)
        }
        let way_us = world.network.time_us(client, self, &world.random)
        world.after(us: way_us) { [self] in
            guard isUp else { return tell(.failure(.unavailable), after_us: 1000) }
            let result = commit(work)
            let back_us = world.network.time_us(self, client, &world.random)
            if world.network.isCut(self, client) || world.random.happens(lostAnswersPermille) {
                return tell(.failure(.unavailable), after_us: Self.patience_us)
            }
            tell(result, after_us: back_us + (slow_us > 0 ? world.random.below(slow_us) : 0))
        }
    }

    /// At once, for those who are not simulated: customers and operators.
    @discardableResult
    func commit<Answer>(
        _ work: (inout Tables) throws(StoreFailure) -> Answer
    ) -> Result<Answer, StoreFailure> {
        let before = tables.rev
        let result: Result<Answer, StoreFailure>
        do throws(StoreFailure) {
            result = .success(try work(&tables))
        } catch {
            result = .failure(error)
        }
        if tables.rev != before {
            world.invariants.committed(tables)
            notify()
        }
        return result
    }

    /// LISTEN: a hint, lost with the connection that carries it.
    private func notify() {
        let rev = tables.rev
        for listener in listeners where !world.network.isCut(self, listener) {
            let way_us = world.network.time_us(self, listener, &world.random)
            let run = listener.run
            world.after(us: way_us) { listener.enter(run) { listener.heard(rev: rev) } }
        }
    }

    /// Whether the region was ever so at this revision.
    func knows(_ digest: RegionDigest, at rev: Int) -> Bool {
        tables.digests.indices.contains(rev) && tables.digests[rev] == digest
    }

    private var backup: Tables?

    func takeBackup() { backup = tables }

    /// The database as it was at the last backup, and what an operator then does: a new epoch above all that were,
    /// and every placement given up under a generation above all that were, so that agents ask again.
    func restore() {
        guard var tables = backup else { return }
        world.trace("the database is restored to revision \(tables.rev)")
        tables.giveUpPlacements(epoch: self.tables.epoch + 1)
        self.tables = tables
        restores += 1
        world.invariants.restored(tables)
    }

    override func started() {
        for listener in listeners {
            let run = listener.run
            world.after(us: 200_000 + world.random.below(800_000)) {
                listener.enter(run) { listener.wakeAll() }
            }
        }
    }
}
