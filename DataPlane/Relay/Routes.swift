import Core
import RelayCore
import Synchronization
import Wire

/// The relay's route table behind a lock: looked up once per join by every loop, changed by the region's follower
/// and by links.
final class Routes: Sendable {
    private let table = Mutex(RouteTable())

    /// `hostname` in lower case, without a dot at its end.
    func find(_ hostname: String, relay: String, now: Instant = .now()) -> RouteTable.Answer {
        table.withLock { $0.find(hostname, relay: relay, now: now) }
    }

    func linkUp(_ ticket: Ticket, now: Instant = .now()) { table.withLock { $0.linkUp(ticket, now: now) } }

    func linkDown(tunnel: String) { table.withLock { $0.linkDown(tunnel: tunnel) } }

    var standbyLinks: Int { table.withLock { $0.standbyLinks } }

    func fellAsleep(_ tunnel: String, generation: Int) {
        table.withLock { $0.fellAsleep(tunnel, generation: generation) }
    }

    func generation(of tunnel: String) -> Int? { table.withLock { $0.generation(of: tunnel) } }

    func limits(of tunnel: String, generation: Int) -> Limits? {
        table.withLock { $0.limits(of: tunnel, generation: generation) }
    }

    func assignment(of tunnel: String) -> Assignment? { table.withLock { $0.assignment(of: tunnel) } }

    /// The region's relays by id.
    var relays: [String: RelayInfo] { table.withLock { $0.region?.relays ?? [:] } }

    /// How many relays of the region may have players.
    var relayCount: Int {
        table.withLock { table in
            table.region?.relays.values.count { $0.state == .active || $0.state == .draining } ?? 0
        }
    }

    /// What a relay without a room for the tunnel answers another.
    func answer(_ tunnel: String, relay: String) -> MeshAnswer {
        table.withLock { $0.answer(tunnel, relay: relay) }
    }

    /// Where the copy of the region stands; nil before anything was applied.
    var position: RegionBeacon? { table.withLock { $0.position } }

    /// What the region's state says about a relay.
    func relay(_ id: String) -> RelayInfo? { table.withLock { $0.region?.relays[id] } }

    /// Begins with what an earlier run kept.
    func restore(_ snapshot: RegionSnapshot) { table.withLock { $0.restore(snapshot) } }

    /// The whole copy and where it stands. The lists are made outside the lock; from then on the next change does not
    /// have to copy the region.
    func copy() -> (position: RegionBeacon, snapshot: RegionSnapshot)? {
        guard let region = table.withLock({ $0.region }) else { return nil }
        return (region.beacon, region.snapshot)
    }

    func apply(
        _ message: AssignmentMessage, fromControlPlane: Bool, now: Instant = .now()
    ) -> RegionState.Outcome {
        table.withLock { $0.apply(message, fromControlPlane: fromControlPlane, now: now) }
    }
}
