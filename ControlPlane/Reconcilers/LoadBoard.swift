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

    /// Takes in what a relay said `age` ago; what was heard of it since counts more.
    public func report(_ report: LoadReport, age: Milliseconds) {
        loads.withLock { loads in
            let then = Instant(nanoseconds: now().nanoseconds &- UInt64(max(0, age.count)) &* 1_000_000)
            if let heard = loads.heard(report.relay), heard >= then { return }
            loads.report(report, now: then)
        }
    }

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

    /// Relays that say themselves that they drain.
    var draining: [String] {
        loads.withLock { loads in loads.relays.filter { loads.isDraining($0) } }
    }

    /// What was heard of a region's relays just now, to compare them by; nil while one of them drains.
    func scores(inRegion region: String) -> [String: Int]? {
        loads.withLock { loads in
            let now = now()
            let heard = loads.relays.filter { loads[$0]?.region == region && loads.isFresh($0, now: now) }
            guard !heard.contains(where: { loads.isDraining($0) }) else { return nil }
            var scores: [String: Int] = [:]
            for relay in heard { scores[relay] = loads.score(relay, now: now) }
            return scores
        }
    }

    public func forget(_ relay: String) { loads.withLock { $0.forget(relay) } }

    public var current: RelayLoads { loads.withLock { $0 } }
}
