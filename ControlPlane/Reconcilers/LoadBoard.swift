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

    /// Decides and counts in one step, so that two placements at once see each other.
    public func decide(_ question: PlacementQuestion) -> PlacementDecision {
        var random = SystemRandomNumberGenerator()
        return loads.withLock { loads in
            let now = now()
            let decision = question.decision(by: loads, now: now, using: &random)
            if case .place(let seats) = decision {
                let coming = question.linksToCome(for: seats)
                loads.placed(
                    tunnel: question.tunnel, owner: coming.owner, standby: coming.standby, now: now)
            }
            return decision
        }
    }

    public func forget(_ relay: String) { loads.withLock { $0.forget(relay) } }

    public var current: RelayLoads { loads.withLock { $0 } }
}
