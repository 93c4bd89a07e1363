import Core
import Domain
import Synchronization
import Wire

/// `RelayLoads` shared by the tasks of this process: relays' reports come in, placements are counted.
public final class LoadBoard: Sendable {
    private let loads = Mutex(RelayLoads())

    private let now: @Sendable () -> Instant

    public init(now: @escaping @Sendable () -> Instant = { Instant.now() }) { self.now = now }

    public func report(_ report: LoadReport) { loads.withLock { $0.report(report, now: now()) } }

    /// Chooses and counts in one step, so that two placements at once see each other.
    public func place(among candidates: [String], avoiding excluded: Set<String>) -> String? {
        let tieBreak = Int.random(in: 0..<Int.max)
        return loads.withLock { loads in
            let now = now()
            guard let relay = loads.choose(from: candidates, avoiding: excluded, now: now, tieBreak: tieBreak)
            else {
                return nil
            }
            loads.placed(on: relay, now: now)
            return relay
        }
    }

    public func forget(_ relay: String) { loads.withLock { $0.forget(relay) } }

    public var current: RelayLoads { loads.withLock { $0 } }
}
