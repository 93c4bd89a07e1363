import Core
import Domain
import Store
import Wire

/// As leader, moves tunnels away from relays that are lost or draining, and gives a standby to those that have none.
/// Nobody tells agents: their relays are told, and they tell them. Tunnels whose owner is lost are moved as fast as
/// it goes, since joins try the dead owner first until then; the others at a pace that agents and relays can take.
public struct PlacementKeeper: Sendable {
    private let store: Store
    private let board: LoadBoard
    private let rounds: Rounds
    private let moved: Counter
    private let log = Log("placements")

    private static let interval = Milliseconds.seconds(1)
    /// Tunnels under one revision.
    private static let batch = 200
    /// Gentle moves in a second.
    static let pace = 500

    public init(
        store: Store, board: LoadBoard, leadership: Leadership, watch: RegionWatch, metrics: Metrics
    ) {
        self.store = store
        self.board = board
        rounds = Rounds(
            "placements", leadership: leadership, metrics: metrics, interval: Self.interval, watch: watch)
        moved = metrics.counter(
            "minecart_placements_moved_total", "Placements that the leader changed.", ["why": "repair"])
    }

    /// Runs until the task is cancelled.
    public func run() async {
        var paces: [String: Pace] = [:]
        await rounds.run { lease in
            try await turn(as: lease, &paces) ? Milliseconds(1000 * Self.batch / Self.pace) : nil
        }
    }

    /// True when there is more to do as soon as the pace allows; `paces` are the regions'.
    func turn(as lease: Lease, _ paces: inout [String: Pace]) async throws -> Bool {
        let regions = try await store.regionIDs()
        let leaving = Set(board.draining)
        for region in regions {
            while try await repair(region, .urgent, leaving, Self.batch, lease).isFull {
                try Task.checkCancellation()
            }
        }
        var hasMore = false
        for region in regions {
            var pace = paces[region] ?? Pace(per_s: Self.pace, burst: Self.batch)
            let allowed = min(Self.batch, pace.allowance(now: .now()))
            // A few at a time are not worth a revision.
            if allowed >= Self.batch / 4 {
                let done = try await repair(region, .gentle, leaving, allowed, lease)
                pace.take(done.count)
                if done.isFull { hasMore = true }
            } else {
                hasMore = true
            }
            paces[region] = pace
        }
        return hasMore
    }

    private func repair(
        _ region: String, _ need: RepairNeed, _ leaving: Set<String>, _ limit: Int, _ lease: Lease
    ) async throws -> MovedPlacements {
        let done = try await store.repairPlacements(
            in: region, need, leaving: leaving, limit: limit, as: lease
        ) { board.decide($0) }
        moved.add(done.count)
        if done.count > 0 {
            log.info(
                need == .urgent ? "tunnels of a lost relay are moved" : "tunnels get other relays",
                ["region": region, "tunnels": String(done.count)])
        }
        return done
    }
}
