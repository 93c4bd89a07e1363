import Domain
import Testing

/// Relays whose reports lag behind what was decided about them.
private struct Region {
    var owned: [String: Int]
    /// What reports say, oldest first.
    var reported: [[String: Int]]
    var isUnderWay = false
    var moved = 0

    init(_ owned: [String: Int], lag: Int) {
        self.owned = owned
        reported = Array(repeating: owned, count: lag + 1)
    }

    /// One round; false when nothing is moved.
    mutating func round(_ rebalance: Rebalance) -> Bool {
        let scores = reported[0]
        let relays = owned.keys.sorted().map {
            Rebalance.Relay(id: $0, owned: owned[$0] ?? 0, score: (scores[$0] ?? 0) * 4)
        }
        let moves = rebalance.moves(relays, isUnderWay: isUnderWay)
        for move in moves {
            owned[move.from, default: 0] -= move.count
            owned[move.to, default: 0] += move.count
            moved += move.count
        }
        isUnderWay = !moves.isEmpty
        reported = reported.dropFirst() + [owned]
        return isUnderWay
    }

    var spread: Int { (owned.values.max() ?? 0) - (owned.values.min() ?? 0) }
}

@Suite struct RebalanceTests {
    private let rebalance = Rebalance()

    private func relays(_ owned: Int...) -> [Rebalance.Relay] {
        owned.enumerated().map { Rebalance.Relay(id: "r\($0)", owned: $1, score: 0) }
    }

    @Test func whatIsNearlyEvenStays() {
        #expect(rebalance.moves(relays(1190, 1000, 900), isUnderWay: false) == [])
        // A few agents are nothing to move for.
        #expect(rebalance.moves(relays(20, 0), isUnderWay: false) == [])
        #expect(rebalance.moves(relays(500), isUnderWay: false) == [])
        #expect(rebalance.moves([], isUnderWay: false) == [])
    }

    @Test func fromTheBusiestToTheIdlestAndOnlySoMany() {
        #expect(
            rebalance.moves(relays(1000, 100, 300), isUnderWay: false) == [
                .init(from: "r0", to: "r1", count: 50)
            ])
    }

    @Test func onceBegunItGoesOnBelowTheMarkThatBegan() {
        let relays = relays(1150, 1000, 850)
        #expect(rebalance.moves(relays, isUnderWay: false) == [])
        #expect(rebalance.moves(relays, isUnderWay: true) == [.init(from: "r0", to: "r2", count: 50)])
    }

    @Test func nobodyMovesWhileARelayIsNotHeardOf() {
        var relays = relays(1000, 0)
        relays[1].score = nil
        #expect(rebalance.moves(relays, isUnderWay: false) == [])
    }

    @Test func aRelayThatIsBusyWithOtherThingsTakesNoMore() {
        var relays = relays(1000, 0, 200)
        relays[1].score = 5000
        #expect(rebalance.moves(relays, isUnderWay: false) == [.init(from: "r0", to: "r2", count: 50)])
    }

    /// Promise: it comes to an end, nearly even, whatever it began with and however late reports are.
    @Test(arguments: [0, 1, 3, 8])
    func itComesToAnEndAndNobodyMovesBack(lag: Int) {
        var random = UInt64(0x9E37_79B9_7F4A_7C15) &+ UInt64(lag)
        func next(_ limit: Int) -> Int {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((random >> 33) % UInt64(limit))
        }
        for _ in 0..<50 {
            var start: [String: Int] = [:]
            for index in 0..<(2 + next(9)) { start["r\(index)"] = next(2000) }
            var region = Region(start, lag: lag)
            var rounds = 0
            while region.round(rebalance) {
                rounds += 1
                if rounds > 2000 { break }
            }
            #expect(rounds <= 2000)
            let average = start.values.reduce(0, +) / start.count
            #expect((region.owned.values.max() ?? 0) <= average + max(average / 5, rebalance.floor))
            // Each agent at most once: no more were moved than were above the average.
            #expect(region.moved <= start.values.reduce(0) { $0 + max(0, $1 - average) })
            let moved = region.moved
            for _ in 0..<20 { _ = region.round(rebalance) }
            #expect(region.moved == moved)
        }
    }

    @Test func aNewRelayFillsUpSlowly() {
        var region = Region(["a": 1000, "b": 1000, "c": 1000, "new": 0], lag: 2)
        var rounds = 0
        while region.round(rebalance) { rounds += 1 }
        #expect(rounds >= 3000 / 4 / rebalance.most - 4)
        #expect(region.spread < 250)
    }
}
