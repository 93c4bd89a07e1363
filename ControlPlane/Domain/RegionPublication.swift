import Core
import Wire

/// What the leader still owes the relays of one region: a pure record of where the region is and what was told.
public struct RegionPublication: Sendable {
    /// A region that changes all the time replaces its snapshot no more often than this.
    static let snapshotInterval = Milliseconds(500)
    static let beaconInterval = Milliseconds.seconds(1)

    public enum Owed: Sendable, Equatable {
        case beacon(RegionBeacon)
        case snapshot(RegionSnapshot)
    }

    public private(set) var state: RegionState
    private var snapshotIsStale = true
    private var lastSnapshot: Instant?
    private var lastBeacon: Instant?

    /// Begins where the database is, under the leader's own epoch.
    public init(_ snapshot: RegionSnapshot) {
        state = RegionState(region: snapshot.region)
        _ = state.apply(snapshot, fromControlPlane: true)
    }

    public var rev: Int { state.rev }

    /// Whether the snapshot that was put into Redis is the present one.
    public var isTold: Bool { !snapshotIsStale }

    /// Takes the next revisions; the messages to publish, in order. nil when they do not follow: begin again from
    /// the database.
    public mutating func advance(_ deltas: [RegionDelta]) -> [AssignmentMessage]? {
        var messages: [AssignmentMessage] = []
        for delta in deltas {
            switch state.apply(delta) {
            case .applied, .current:
                snapshotIsStale = true
                messages.append(.delta(delta))
            case .stale: continue
            case .gap: return nil
            }
        }
        return messages
    }

    /// Redis may have lost everything: the snapshot is owed again.
    public mutating func redisReturned() {
        snapshotIsStale = true
        lastSnapshot = nil
        lastBeacon = nil
    }

    /// What is out there was signed with a key that may soon not count any more.
    public mutating func keysChanged() { redisReturned() }

    /// What is due now. The caller says with `told` what went out.
    public func owed(_ now: Instant) -> [Owed] {
        var owed: [Owed] = []
        if snapshotIsStale, lastSnapshot.map({ now.since($0) >= Self.snapshotInterval }) ?? true {
            owed.append(.snapshot(state.snapshot))
        }
        if lastBeacon.map({ now.since($0) >= Self.beaconInterval }) ?? true {
            owed.append(.beacon(state.beacon))
        }
        return owed
    }

    public mutating func told(_ owed: Owed, _ now: Instant) {
        switch owed {
        case .beacon: lastBeacon = now
        case .snapshot(let snapshot):
            lastSnapshot = now
            if snapshot.rev == state.rev { snapshotIsStale = false }
        }
    }
}
