import Core
import Domain
import Testing
import Wire

private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: 1 << 40) + Milliseconds(milliseconds) }

/// A fleet of one region: relays that report each second, agents that link some time after they were placed, and
/// control planes that each see only their own placements before relays report them.
private struct Fleet {
    struct Relay {
        var owned = 0
        var standing = 0
        /// Placements of any control plane since the last report.
        var sinceReport = 0
        var most = 0
        var descriptors = 20_000
    }

    private(set) var relays: [String: Relay] = [:]
    private var infos: [RelayInfo] = []
    private var planes: [RelayLoads]
    /// Who reports at which millisecond of a second.
    private var reporting: [Int: [String]] = [:]
    private var random: SeededGenerator
    private(set) var now = 0
    private var links: [Int: [(relay: String, role: Ticket.Role)]] = [:]
    private(set) var refused = 0
    private var placed = 0
    private let linkTakes_ms: ClosedRange<Int>

    init(planes: Int, seed: UInt64, linkTakes_ms: ClosedRange<Int> = 20...1200) {
        self.planes = Array(repeating: RelayLoads(), count: planes)
        random = SeededGenerator(seed: seed)
        self.linkTakes_ms = linkTakes_ms
    }

    mutating func join(_ ids: [String], descriptors: Int = 20_000) {
        for id in ids {
            relays[id] = Relay(descriptors: descriptors)
            reporting[Int.random(in: 0..<1000, using: &random), default: []].append(id)
            infos.append(RelayInfo(id: id, region: "eu", endpoint: "", fingerprint: ""))
        }
    }

    private func report(_ id: String, _ relay: Relay) -> LoadReport {
        let links = relay.owned + relay.standing
        let connections = links + relay.owned * 2
        return LoadReport(
            relay: id, region: "eu", links: links, standbyLinks: relay.standing, connections: connections,
            cpu_permille: links / 20, freeDescriptors: max(0, relay.descriptors - connections))
    }

    /// Places `per_s` tunnels a second, each through some control plane.
    mutating func place(_ count: Int, per_s: Int) {
        let end = placed + count
        var credit = 0
        while placed < end {
            step()
            credit += per_s
            while credit >= 1000, placed < end {
                credit -= 1000
                placeOne()
            }
        }
    }

    /// All between two reports.
    mutating func storm(_ count: Int) { for _ in 0..<count { placeOne() } }

    mutating func pass(_ milliseconds: Int) { for _ in 0..<milliseconds { step() } }

    private mutating func step() {
        now += 1
        for link in links.removeValue(forKey: now) ?? [] {
            if link.role == .owner {
                relays[link.relay]?.owned += 1
            } else {
                relays[link.relay]?.standing += 1
            }
        }
        for id in reporting[now % 1000] ?? [] {
            guard let relay = relays[id] else { continue }
            for plane in planes.indices { planes[plane].report(report(id, relay), now: at(now)) }
            relays[id]?.sinceReport = 0
        }
    }

    private mutating func placeOne() {
        placed += 1
        let plane = Int.random(in: 0..<planes.count, using: &random)
        let question = PlacementQuestion(
            tunnel: "t\(placed)", wish: .session("s", excluding: []), present: nil, relays: infos)
        let decision = question.decision(by: planes[plane], now: at(now), using: &random)
        guard case .place(let seats) = decision else {
            refused += 1
            return
        }
        planes[plane].placed(
            tunnel: question.tunnel, owner: seats.owner, standby: seats.standby, now: at(now))
        come(seats.owner, .owner)
        if let standby = seats.standby { come(standby, .standby) }
    }

    private mutating func come(_ relay: String, _ role: Ticket.Role) {
        let due = now + Int.random(in: linkTakes_ms, using: &random)
        links[due, default: []].append((relay, role))
        guard var there = relays[relay] else { return }
        there.sinceReport += 1
        there.most = max(there.most, there.sinceReport)
        relays[relay] = there
    }

    /// The largest distance from the mean, in thousandths of it.
    func unevenness_permille(_ count: (Relay) -> Int) -> Int {
        let counts = relays.values.map(count)
        let mean = counts.reduce(0, +) / counts.count
        return counts.map { abs($0 - mean) * 1000 / max(1, mean) }.max() ?? 0
    }
}

/// Promise: 50,000 tunnels over 50 relays end within 5 % of even, and a storm between two reports does not pile up.
@Suite struct PlacementSpreadTests {
    private func names(_ range: Range<Int>) -> [String] { range.map { "r\($0)" } }

    @Test(arguments: [1, 3])
    func fiftyThousandTunnelsEndWithinFivePercentOfEvenThoughRelaysJoinLate(_ planes: Int) {
        var fleet = Fleet(planes: planes, seed: UInt64(planes))
        fleet.join(names(0..<40))
        fleet.pass(1000)
        fleet.place(15_000, per_s: 500 * planes)
        fleet.join(names(40..<50))
        fleet.place(35_000, per_s: 500 * planes)
        fleet.pass(3000)
        #expect(fleet.unevenness_permille(\.owned) <= 50)
        #expect(fleet.unevenness_permille(\.standing) <= 50)
        #expect(fleet.refused == 0)
    }

    @Test(arguments: [1, 3])
    func aStormBetweenTwoReportsDoesNotPileOnOneRelay(_ planes: Int) {
        var fleet = Fleet(planes: planes, seed: 7)
        fleet.join(names(0..<50))
        fleet.pass(1000)
        fleet.storm(5_000)
        // 200 links for each relay: 100 owners, 100 standbys.
        #expect(fleet.relays.values.allSatisfy { $0.most <= 220 })
        fleet.pass(3000)
        #expect(fleet.unevenness_permille(\.owned) <= 100)
        #expect(fleet.unevenness_permille(\.standing) <= 100)
    }

    /// The relay that has just come is the best of all for everybody at once.
    @Test(arguments: [1, 3])
    func aStormDoesNotPileOnTheOneEmptyRelay(_ planes: Int) {
        var fleet = Fleet(planes: planes, seed: 8)
        fleet.join(names(0..<5))
        fleet.pass(1000)
        fleet.place(5_000, per_s: 500 * planes)
        fleet.pass(2000)
        fleet.join(["new"])
        fleet.pass(1000)
        fleet.storm(600)
        fleet.pass(3000)
        // It takes more than its sixth, and the others some too.
        let owned = fleet.relays["new"]?.owned ?? 0
        #expect(owned > 100)
        #expect(owned < 500)
        // What is new fills up, if not in an instant.
        fleet.place(8000, per_s: 500 * planes)
        fleet.pass(3000)
        #expect(fleet.unevenness_permille(\.owned) <= 150)
        #expect(fleet.unevenness_permille(\.standing) <= 150)
    }

    /// What three control planes do not know of each other.
    @Test func aRelayThatIsALittleBehindIsNotFilledBeyondTheOthers() {
        var fleet = Fleet(planes: 3, seed: 12)
        fleet.join(names(0..<5))
        fleet.pass(1000)
        fleet.place(500, per_s: 500)
        fleet.pass(2000)
        fleet.join(["new"])
        fleet.pass(1000)
        fleet.storm(1500)
        fleet.pass(3000)
        #expect(fleet.unevenness_permille(\.owned) <= 150)
    }

    @Test func aRelayWithFewDescriptorsFillsUpAndTheOthersTakeTheRest() {
        var fleet = Fleet(planes: 2, seed: 9)
        fleet.join(names(0..<4))
        fleet.join(["small"], descriptors: 1024)
        fleet.pass(1000)
        fleet.place(4_000, per_s: 500)
        fleet.pass(3000)
        let small = fleet.relays["small"]
        let used = (small?.owned ?? 0) * 3 + (small?.standing ?? 0)
        #expect(used > 500)
        #expect(used <= 1024 * 95 / 100)
        #expect(fleet.refused == 0)
        #expect(fleet.relays.values.reduce(0) { $0 + $1.owned } == 4_000)
    }

    @Test func aFullRegionRefuses() {
        var fleet = Fleet(planes: 1, seed: 10)
        fleet.join(names(0..<3), descriptors: 500)
        fleet.pass(1000)
        fleet.place(1_000, per_s: 100)
        #expect(fleet.refused > 300)
        fleet.pass(2000)
        for relay in fleet.relays.values { #expect(relay.owned * 3 + relay.standing <= 475) }
    }

    @Test func equalRelaysShareEqually() {
        var fleet = Fleet(planes: 1, seed: 11)
        fleet.join(["a", "b", "c"])
        fleet.pass(1000)
        fleet.place(3_000, per_s: 100)
        fleet.pass(3000)
        #expect(fleet.unevenness_permille(\.owned) <= 20)
        #expect(fleet.unevenness_permille(\.standing) <= 20)
    }
}
