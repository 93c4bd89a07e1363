import Core
import Testing

@testable import RelayCore

/// A tunnel's bytes a second, divided between relays.
struct ByteSharesTests {
    private let now = Instant(nanoseconds: 1_000_000_000)

    private func sum(_ division: ByteShares.Division) -> Int {
        division.relays.values.reduce(division.own, +)
    }

    @Test func theOwnerAloneHasAll() {
        var shares = ByteShares(limit: 1_000_000)
        #expect(shares.division == .init(own: 1_000_000, relays: [:]))
        shares.ownDemand = 20
        #expect(shares.division == .init(own: 1_000_000, relays: [:]))
    }

    @Test func whoWantsMoreThanThereIsGetsEvenParts() {
        var shares = ByteShares(limit: 900_000)
        shares.ownDemand = 900_000
        shares.reported(5_000_000, at: "r2", now: now)
        shares.reported(.max, at: "r3", now: now)
        #expect(shares.division == .init(own: 300_000, relays: ["r2": 300_000, "r3": 300_000]))
    }

    @Test func whatOneDoesNotUseGoesToTheHungry() {
        var shares = ByteShares(limit: 1_000_000)
        shares.ownDemand = 200_000
        shares.reported(100_000, at: "r2", now: now)
        shares.reported(1_000_000, at: "r3", now: now)
        #expect(shares.division == .init(own: 200_000, relays: ["r2": 100_000, "r3": 700_000]))
    }

    @Test func whatNobodyNeedsIsSpreadOverAll() {
        var shares = ByteShares(limit: 1_000_000)
        shares.ownDemand = 200_000
        shares.reported(200_000, at: "r2", now: now)
        #expect(shares.division == .init(own: 500_000, relays: ["r2": 500_000]))
    }

    @Test func whoJustStandsAroundKeepsALittleToMoveWith() {
        var shares = ByteShares(limit: 1_600_000)
        shares.ownDemand = 1_600_000
        shares.reported(0, at: "r2", now: now)
        #expect(shares.division == .init(own: 1_500_000, relays: ["r2": 100_000]))
    }

    @Test func aRelayThatIsNewHasAnEvenShareAtOnce() {
        var shares = ByteShares(limit: 1_000_000)
        shares.ownDemand = 1_000_000
        let isNew = shares.joined("r2", now: now)
        #expect(isNew)
        #expect(shares.division == .init(own: 500_000, relays: ["r2": 500_000]))
        let isNewAgain = [shares.joined("r2", now: now), shares.reported(100_000, at: "r2", now: now)]
        #expect(isNewAgain == [false, false])
        #expect(shares.division == .init(own: 900_000, relays: ["r2": 100_000]))
        let isThirdNew = shares.reported(100_000, at: "r3", now: now)
        #expect(isThirdNew)
    }

    @Test func whoLeavesOrFallsSilentGivesTheirShareBack() {
        var shares = ByteShares(limit: 900_000)
        shares.ownDemand = 900_000
        shares.joined("r2", now: now)
        shares.joined("r3", now: now)
        shares.left("r2")
        #expect(shares.division == .init(own: 450_000, relays: ["r3": 450_000]))
        shares.expire(now: now + .seconds(5))
        #expect(shares.hasOthers)
        shares.expire(now: now + ByteShares.silence)
        #expect(shares.division == .init(own: 900_000, relays: [:]))
    }

    @Test func aChangedLimitIsDividedAnew() {
        var shares = ByteShares(limit: 900_000)
        shares.ownDemand = 900_000
        shares.joined("r2", now: now)
        shares.change(limit: 100)
        #expect(shares.division == .init(own: 50, relays: ["r2": 50]))
        shares.change(limit: -5)
        #expect(sum(shares.division) == 0)
    }

    @Test(arguments: 1...200)
    func togetherNeverMoreThanTheLimitAndNobodyHungryWhileSomeIsLeft(seed: Int) {
        var random = Seeded(UInt64(seed))
        let limit = Int.random(in: 0...2_000_000, using: &random)
        let demands = (0..<Int.random(in: 1...60, using: &random)).map { _ in
            switch Int.random(in: 0..<5, using: &random) {
            case 0: 0
            case 1: Int.max
            default: Int.random(in: 0...limit, using: &random)
            }
        }
        let shares = ByteShares.divide(limit, by: demands)
        #expect(shares.count == demands.count)
        #expect(shares.allSatisfy { $0 >= 0 })
        #expect(shares.reduce(0, +) <= limit)
        // All but what does not divide evenly is given away.
        #expect(shares.reduce(0, +) > limit - 2 * demands.count)
        let isAnyoneHungry = zip(shares, demands).contains { $0 < min($1, limit) }
        if isAnyoneHungry {
            // Nobody has more than they asked for, save the little that everybody keeps.
            let least = limit / (8 * demands.count) + 1
            for (share, demand) in zip(shares, demands) { #expect(share <= max(demand, least)) }
        }
    }

    /// Relays whose players want a constant number of bytes a second, measured and divided each second.
    private func settle(limit: Int, wants: [Int], seconds: Int) -> [[Int]] {
        var shares = ByteShares(limit: limit)
        var demands = wants.map { _ in ByteDemand() }
        var bytes = wants.map { _ in 0 }
        var rates = wants.map { _ in limit / wants.count }
        var history: [[Int]] = []
        for second in 0..<seconds {
            let time = now + .seconds(second)
            for index in wants.indices {
                bytes[index] += min(wants[index], rates[index])
                let isHeldBack = wants[index] > rates[index]
                demands[index].measure(bytes: bytes[index], isHeldBack: isHeldBack, limit: limit, now: time)
                let demand = demands[index].bytes_per_s ?? limit
                if index == 0 { shares.ownDemand = demand }
                if index > 0 { shares.reported(demand, at: "r\(index)", now: time) }
            }
            let division = shares.division
            #expect(sum(division) <= limit)
            rates = wants.indices.map { $0 == 0 ? division.own : division.relays["r\($0)"] ?? 0 }
            history.append(rates)
        }
        return history
    }

    @Test(arguments: [
        [2_000_000, 2_000_000], [100_000, 2_000_000], [2_000_000, 300_000, 100_000], [450_000, 2_000_000],
        [100_000, 200_000], [0, 2_000_000, 500_000], [333_000, 333_000, 340_000, 2_000_000],
    ])
    func sharesComeToRestAndThoseWhoWantLittleHaveIt(wants: [Int]) {
        let limit = 1_000_000
        let history = settle(limit: limit, wants: wants, seconds: 40)
        for later in history[20...] {
            for (index, rate) in later.enumerated() {
                #expect(abs(rate - history[20][index]) <= limit / 1000, "shares swing: \(history)")
            }
        }
        let last = history[39]
        for (want, rate) in zip(wants, last) {
            #expect(rate >= min(want, limit / wants.count), "\(want) of \(wants) got \(rate)")
        }
        if wants.contains(where: { $0 > limit }) {
            let used = zip(wants, last).reduce(0) { $0 + min($1.0, $1.1) }
            #expect(used >= limit * 7 / 10, "\(limit - used) are left unused")
        }
    }
}
