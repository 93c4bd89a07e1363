/// Whether agents are moved from the relay that has most of them to one that has few, and how many. Slow and with a
/// dead band: what is nearly even stays as it is, since each move costs an agent a new link.
///
/// What is compared is what the database knows at the moment of the move: how many agents each relay owns. Reports
/// of load lag behind by seconds; they only say which relays take no more.
public struct Rebalance: Sendable, Hashable {
    /// A relay as it is now.
    public struct Relay: Sendable, Hashable {
        public var id: String
        /// Agents with a link whose owner it is.
        public var owned: Int
        /// What it last reported; nil when that is too long ago.
        public var score: Int?

        public init(id: String, owned: Int, score: Int?) {
            self.id = id
            self.owned = owned
            self.score = score
        }
    }

    public struct Move: Sendable, Hashable {
        public var from: String
        public var to: String
        public var count: Int

        public init(from: String, to: String, count: Int) {
            self.from = from
            self.to = to
            self.count = count
        }
    }

    /// So much above the average begins it, in per cent.
    public var begins_percent = 20
    /// Having begun it goes on down to this.
    public var ends_percent = 5
    /// Nobody moves for the sake of fewer agents than this above the average.
    public var floor = 20
    /// Agents moved in one round.
    public var most = 50
    /// A relay whose score is so much above the average takes no more, in per cent; and `scoreFloor` above it.
    public var full_percent = 20
    public var scoreFloor = 100

    public init() {}

    /// The next moves in a region whose active relays are `relays`; `isUnderWay` when the round before moved some.
    /// None when it is even enough. Every relay must be heard of: one that is not may be about to be lost.
    public func moves(_ relays: [Relay], isUnderWay: Bool) -> [Move] {
        guard relays.count > 1, relays.allSatisfy({ $0.score != nil }) else { return [] }
        let average = relays.reduce(0) { $0 + $1.owned } / relays.count
        let limit = above(average, isUnderWay ? ends_percent : begins_percent, floor)
        guard let busiest = relays.max(by: { ($0.owned, $1.id) < ($1.owned, $0.id) }), busiest.owned > limit
        else { return [] }
        let scores = relays.compactMap(\.score)
        let full = above(scores.reduce(0, +) / scores.count, full_percent, scoreFloor)
        let takers = relays.filter { $0.owned < average && ($0.score ?? .max) < full }
            .sorted { ($0.owned, $0.id) < ($1.owned, $1.id) }
        // Never below the average on one side or above it on the other: nothing has to come back.
        var left = min(busiest.owned - average, most)
        var moves: [Move] = []
        for taker in takers where left > 0 {
            let count = min(left, average - taker.owned)
            moves.append(Move(from: busiest.id, to: taker.id, count: count))
            left -= count
        }
        return moves
    }

    private func above(_ average: Int, _ percent: Int, _ floor: Int) -> Int {
        average + max(average * percent / 100, floor)
    }
}
