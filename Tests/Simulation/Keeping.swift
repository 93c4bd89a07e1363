import Core
import Domain
import Wire

/// What the leader's reconcilers do in the database, as the store's transactions do it: the decisions are the
/// product's.
extension Tables {
    /// A relay that has just come may be gone again: nobody gets it as a standby for its own sake before.
    private static let settling_us = 10_000_000

    /// Moves tunnels away from relays that drain or are lost, and gives standbys to those that have none. How many
    /// were moved.
    mutating func repair(
        leaving: Set<String>, now_us: Int, _ decide: (PlacementQuestion) -> PlacementDecision
    ) -> Int {
        let infos = relays.values.map(\.info)
        let good = infos.filter { $0.state == .active && !leaving.contains($0.id) }.map(\.id)
        guard !good.isEmpty else { return 0 }
        let lost = Set(infos.filter { $0.state == .lost }.map(\.id))
        let ending = Set(infos.filter { $0.state == .draining || leaving.contains($0.id) }.map(\.id))
        let settled = good.count { relays[$0].map { $0.since_us < now_us - Self.settling_us } ?? false }
        let unsettled = placements.keys.sorted().filter { tunnel in
            guard let row = placements[tunnel], row.session != nil, let owner = row.owner else {
                return false
            }
            let isThere = row.isLinked || row.isStandbyLinked
            if lost.contains(owner) { return true }
            if ending.contains(owner), isThere { return true }
            if let standby = row.standby {
                return isThere && (ending.contains(standby) || lost.contains(standby))
            }
            return settled > 1 && row.isLinked
        }
        return move(unsettled.map { ($0, .repair) }, decide)
    }

    /// Evens out how many agents relays own.
    mutating func rebalance(
        _ rebalance: Rebalance, isUnderWay: Bool, scores: [String: Int],
        _ decide: (PlacementQuestion) -> PlacementDecision
    ) -> Int {
        let active = relays.values.map(\.info).filter { $0.state == .active }.map(\.id).sorted()
        let owned = active.map { id in
            Rebalance.Relay(
                id: id, owned: placements.values.count { $0.owner == id && $0.isLinked }, score: scores[id])
        }
        var wishes: [(String, PlacementWish)] = []
        for move in rebalance.moves(owned, isUnderWay: isUnderWay) {
            let mine = placements.keys.sorted().filter { tunnel in
                placements[tunnel].map { $0.owner == move.from && $0.isLinked } == true
                    && !wishes.contains { $0.0 == tunnel }
            }
            wishes += mine.prefix(move.count).map { ($0, .moveOwner(to: move.to)) }
        }
        return move(wishes, decide)
    }

    private mutating func move(
        _ wishes: [(String, PlacementWish)], _ decide: (PlacementQuestion) -> PlacementDecision
    ) -> Int {
        var moved: [String] = []
        for (tunnel, wish) in wishes {
            guard tunnels[tunnel] != nil, var row = placements[tunnel] else { continue }
            let question = PlacementQuestion(
                tunnel: tunnel, wish: wish, present: row.present,
                relays: relays.values.map(\.info).sorted { $0.id < $1.id })
            guard case .place(let seats) = decide(question) else { continue }
            row.move(seats)
            placements[tunnel] = row
            moved.append(tunnel)
        }
        if !moved.isEmpty { announce(upserts: moved) }
        return moved.count
    }
}

extension Tables.PlacementRow {
    /// A link stays what it is when its relay takes the other place.
    fileprivate mutating func move(_ seats: PlacementSeats) {
        let links = [owner: isLinked, standby: isStandbyLinked]
        sit(seats)
        isLinked = links[seats.owner] ?? false
        isStandbyLinked = seats.standby.flatMap { links[$0] } ?? false
    }
}
