import Core
import Domain
import Testing
import Wire

private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: 1 << 40) + Milliseconds(milliseconds) }

@Suite struct RelayLoadsTests {
    private func loads(_ reports: LoadReport...) -> RelayLoads {
        var loads = RelayLoads()
        for report in reports { loads.report(report, now: at(0)) }
        return loads
    }

    private func chosen(
        _ loads: RelayLoads, _ relays: [String], as role: Ticket.Role = .owner, hasPriority: Bool = false,
        at now: Int = 0
    ) -> Set<String> {
        var random = SeededGenerator(seed: 1)
        return Set(
            (0..<50).compactMap { _ in
                loads.choose(from: relays, as: role, hasPriority: hasPriority, now: at(now), using: &random)
            })
    }

    @Test func theLeastLoadedWins() {
        let loads = loads(
            LoadReport(relay: "a", region: "eu", players: 50),
            LoadReport(relay: "b", region: "eu", players: 5))
        #expect(chosen(loads, ["a", "b"], at: 100) == ["b"])
        #expect(chosen(loads, []) == [])
    }

    @Test func ourOwnPlacementsCountUntilAReportShowsThem() {
        var loads = loads(LoadReport(relay: "a", region: "eu"), LoadReport(relay: "b", region: "eu"))
        loads.placed(tunnel: "t", owner: "a", standby: nil, now: at(100))
        #expect(chosen(loads, ["a", "b"], at: 100) == ["b"])
        // Too early: its link may not be in this report.
        loads.report(LoadReport(relay: "a", region: "eu"), now: at(1000))
        #expect(loads.score("a", now: at(1000)) > 0)
        loads.report(LoadReport(relay: "a", region: "eu"), now: at(2000))
        #expect(loads.score("a", now: at(2000)) == 0)
    }

    @Test func agentsThatNeverCameAreForgotten() {
        var loads = RelayLoads()
        loads.placed(tunnel: "t", owner: "a", standby: "b", now: at(0))
        for relay in ["a", "b"] {
            #expect(loads.score(relay, now: at(9_999)) > 0)
            #expect(loads.score(relay, now: at(10_000)) == 0)
        }
    }

    @Test func anAgentThatAsksAgainCountsOnce() {
        var loads = RelayLoads()
        for second in 0..<5 { loads.placed(tunnel: "t", owner: "a", standby: "b", now: at(second * 1000)) }
        var once = RelayLoads()
        once.placed(tunnel: "t", owner: "a", standby: "b", now: at(4000))
        for relay in ["a", "b"] {
            #expect(loads.score(relay, now: at(4000)) == once.score(relay, now: at(4000)))
        }
        loads.placed(tunnel: "t", owner: "c", standby: nil, now: at(5000))
        #expect(loads.score("a", now: at(5000)) == 0)
        #expect(loads.score("b", now: at(5000)) == 0)
        #expect(loads.score("a", now: at(14_500)) == 0)
        #expect(loads.score("c", now: at(14_500)) > 0)
        #expect(loads.score("c", now: at(15_000)) == 0)
    }

    @Test func silenceIsAReasonToPreferOthersNotProofOfDeath() {
        var loads = loads(LoadReport(relay: "a", region: "eu"))
        loads.report(LoadReport(relay: "b", region: "eu", players: 500), now: at(5000))
        #expect(loads.isSilent("a", now: at(5000)))
        #expect(chosen(loads, ["a", "b"], at: 5000) == ["b"])
        // Nobody is heard: it is our ears.
        #expect(!loads.isSilent("a", now: at(20_000)))
        #expect(chosen(loads, ["a", "b"], at: 20_000) == ["a"])
    }

    @Test func equalsAreSpread() {
        #expect(chosen(RelayLoads(), ["a", "b", "c"]) == ["a", "b", "c"])
    }

    @Test func ownersAndStandbysAreEvenEachAmongThemselves() {
        let loads = loads(
            LoadReport(relay: "a", region: "eu", links: 110, standbyLinks: 10),
            LoadReport(relay: "b", region: "eu", links: 110, standbyLinks: 100))
        #expect(chosen(loads, ["a", "b"], as: .owner) == ["b"])
        #expect(chosen(loads, ["a", "b"], as: .standby) == ["a"])
    }

    @Test func aRelayThatRunsOutOfDescriptorsTakesNoMoreHoweverIdle() {
        let loads = loads(
            LoadReport(relay: "busy", region: "eu", players: 5000, links: 1000, freeDescriptors: 8000),
            LoadReport(relay: "short", region: "eu", connections: 900, freeDescriptors: 100),
            LoadReport(relay: "out", region: "eu", connections: 960, freeDescriptors: 40))
        #expect(chosen(loads, ["busy", "short", "out"]) == ["busy"])
        #expect(chosen(loads, ["short", "out"]) == [])
        #expect(chosen(loads, ["short", "out"], hasPriority: true) == ["short"])
        #expect(chosen(loads, ["out"], hasPriority: true) == [])
        #expect(loads.room("out", now: at(0)) == .none)
        #expect(loads.room("unheard", now: at(0)) == .plenty)
    }

    @Test func whatIsComingTakesDescriptorsToo() {
        var loads = loads(LoadReport(relay: "a", region: "eu", connections: 700, freeDescriptors: 300))
        for number in 0..<38 {
            #expect(loads.room("a", now: at(0)) == .plenty, "\(number)")
            loads.placed(tunnel: "t\(number)", owner: "a", standby: nil, now: at(0))
        }
        #expect(loads.room("a", now: at(0)) == .scarce)
    }

    @Test func fewerOfEverythingIsBetter() {
        let base = LoadReport(relay: "a", region: "eu")
        for (name, worse) in [
            ("players", LoadReport(relay: "a", region: "eu", players: 8)),
            ("links", LoadReport(relay: "a", region: "eu", links: 8)),
            ("standbys", LoadReport(relay: "a", region: "eu", links: 8, standbyLinks: 8)),
            ("bytes", LoadReport(relay: "a", region: "eu", bytes_per_s: 1_000_000)),
            ("cpu", LoadReport(relay: "a", region: "eu", cpu_permille: 900)),
            ("descriptors", LoadReport(relay: "a", region: "eu", connections: 700, freeDescriptors: 300)),
        ] {
            for role in [Ticket.Role.owner, .standby] {
                #expect(worse.score(as: role) > base.score(as: role), "\(name) for \(role)")
            }
        }
        // Of two cores one is half.
        let half = LoadReport(relay: "a", region: "eu", cpu_permille: 1000, cpuLimit_permille: 2000)
        #expect(half.score == base.score)
    }
}
