import Core
import Domain
import Store
import Wire

/// As leader, evens out slowly how many agents the relays of a region own. It keeps still while relays come and go,
/// and for a minute after this process began to lead: what it would decide from has to settle first.
public struct Rebalancer: Sendable {
    private let store: Store
    private let board: LoadBoard
    private let leadership: Leadership
    private let rounds: Rounds
    private let moved: Counter
    private let log = Log("rebalance")

    private static let interval = Milliseconds.seconds(10)
    private static let settled_s = 60

    public init(store: Store, board: LoadBoard, leadership: Leadership, metrics: Metrics) {
        self.store = store
        self.board = board
        self.leadership = leadership
        rounds = Rounds("rebalance", leadership: leadership, metrics: metrics, interval: Self.interval)
        moved = metrics.counter(
            "minecart_placements_moved_total", "Placements that the leader changed.", ["why": "rebalance"])
    }

    /// Runs until the task is cancelled.
    public func run() async {
        var underWay: Set<String> = []
        await rounds.run { lease in
            guard leadership.ledFor.map({ $0 >= .seconds(Self.settled_s) }) ?? false else {
                underWay = []
                return nil
            }
            underWay = try await turn(as: lease, underWay)
            return nil
        }
    }

    /// The regions where some were moved; `underWay` are those of the round before.
    func turn(
        as lease: Lease, _ underWay: Set<String>, settled_s: Int = settled_s,
        _ rebalance: Rebalance = Rebalance()
    ) async throws -> Set<String> {
        var moving: Set<String> = []
        for region in try await store.regionIDs() {
            try Task.checkCancellation()
            guard let scores = board.scores(inRegion: region) else { continue }
            let count = try await store.rebalance(
                region, rebalance, isUnderWay: underWay.contains(region), scores: scores,
                settled_s: settled_s, as: lease
            ) { board.decide($0) }
            guard count > 0 else { continue }
            moved.add(count)
            moving.insert(region)
            log.info("tunnels are moved to idler relays", ["region": region, "tunnels": String(count)])
        }
        return moving
    }
}
