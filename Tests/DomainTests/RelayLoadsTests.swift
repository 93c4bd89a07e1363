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

    @Test func theLeastLoadedWins() {
        let loads = loads(
            LoadReport(relay: "a", region: "eu", players: 50),
            LoadReport(relay: "b", region: "eu", players: 5))
        #expect(loads.choose(from: ["a", "b"], now: at(100), tieBreak: 7) == "b")
    }

    @Test func ourOwnPlacementsCountUntilAReportShowsThem() {
        var loads = loads(LoadReport(relay: "a", region: "eu"), LoadReport(relay: "b", region: "eu"))
        loads.placed(on: "a", now: at(100))
        #expect(loads.choose(from: ["a", "b"], now: at(100), tieBreak: 0) == "b")
        // Too early: its link may not be in this report.
        loads.report(LoadReport(relay: "a", region: "eu"), now: at(1000))
        #expect(loads.score("a", now: at(1000)) > 0)
        loads.report(LoadReport(relay: "a", region: "eu"), now: at(2000))
        #expect(loads.score("a", now: at(2000)) == 0)
    }

    @Test func agentsThatNeverCameAreForgotten() {
        var loads = RelayLoads()
        loads.placed(on: "a", now: at(0))
        #expect(loads.score("a", now: at(9_999)) > 0)
        #expect(loads.score("a", now: at(10_000)) == 0)
    }

    @Test func drainingAndExcludedRelaysComeLastButCome() {
        let loads = loads(
            LoadReport(relay: "a", region: "eu", draining: true),
            LoadReport(relay: "b", region: "eu", players: 99),
            LoadReport(relay: "c", region: "eu", players: 50))
        #expect(loads.choose(from: ["a", "b", "c"], now: at(0), tieBreak: 0) == "c")
        #expect(loads.choose(from: ["a", "b", "c"], avoiding: ["c"], now: at(0), tieBreak: 0) == "b")
        #expect(loads.choose(from: ["a"], avoiding: ["a"], now: at(0), tieBreak: 0) == "a")
        #expect(loads.choose(from: [], now: at(0), tieBreak: 0) == nil)
    }

    @Test func silenceIsAReasonToPreferOthersNotProofOfDeath() {
        var loads = loads(LoadReport(relay: "a", region: "eu"))
        loads.report(LoadReport(relay: "b", region: "eu", players: 500), now: at(5000))
        #expect(loads.choose(from: ["a", "b"], now: at(5000), tieBreak: 0) == "b")
        #expect(loads.choose(from: ["a", "b"], now: at(20_000), tieBreak: 0) == "a")
    }

    @Test func equalsAreSpread() {
        let loads = RelayLoads()
        let chosen = Set(
            (0..<3).compactMap { loads.choose(from: ["a", "b", "c"], now: at(0), tieBreak: $0) })
        #expect(chosen == ["a", "b", "c"])
    }
}
