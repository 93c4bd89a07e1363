import Core
import Domain
import Store
import Testing
import Wire

@testable import Reconcilers

@Suite struct FleetTests {
    private func report(_ relay: String, region: String = "eu", draining: Bool = false) -> LoadReport {
        LoadReport(relay: relay, region: region, players: 3, draining: draining)
    }

    @Test func onlyRelaysThatWereHeardJustNowAreCompared() {
        let board = LoadBoard()
        board.report(report("a"))
        board.report(report("b"), age: .seconds(30))
        board.report(report("c", region: "us"))
        #expect(board.scores(inRegion: "eu")?.keys.sorted() == ["a"])
        #expect(board.draining == [])
        board.report(report("d", draining: true))
        #expect(board.scores(inRegion: "eu") == nil)
        #expect(board.scores(inRegion: "us")?.keys.sorted() == ["c"])
        #expect(board.draining == ["d"])
    }

    @Test func countsShowByRegionAndFallBackToZero() async throws {
        let fixture = try await Fixture()
        let metrics = Metrics()
        let fleet = FleetMetrics(store: fixture.store, metrics: metrics)
        let account = try await fixture.account()
        for relay in ["r1", "r2"] { try await fixture.relay(relay) }
        _ = try await fixture.place(try await fixture.tunnel(account), "ses_1", account)
        await fleet.show(try await fixture.store.fleetCounts())
        for line in [
            #"minecart_relays{region="eu",state="active"} 2"#,
            #"minecart_relays{region="eu",state="lost"} 0"#,
            #"minecart_placements{region="eu",kind="placed"} 1"#,
            #"minecart_placements{region="eu",kind="owner_linked"} 0"#,
        ] {
            #expect(metrics.render().contains(line))
        }
        _ = try await fixture.store.drainRelay("r1", actor: "test")
        await fleet.show(try await fixture.store.fleetCounts())
        #expect(metrics.render().contains(#"minecart_relays{region="eu",state="active"} 1"#))
        #expect(metrics.render().contains(#"minecart_relays{region="eu",state="draining"} 1"#))
    }

    /// Promise: a reconciler runs as leader only, goes on after a failure, and is begun again by whoever leads next.
    @Test func roundsAreOfTheLeaderAndSurviveFailures() async throws {
        struct Trouble: Error {}
        let fixture = try await Fixture()
        let leadership = Leadership(store: fixture.store, holder: "test")
        let metrics = Metrics()
        let rounds = Rounds(
            "tried", leadership: leadership, metrics: metrics, interval: Milliseconds(1))
        let counted = Counter()
        let work = Task {
            await rounds.run { lease in
                #expect(lease.holder == "test")
                counted.add()
                if counted.total == 1 { throw Trouble() }
                if counted.total == 2 { throw StoreError.leaseLost }
                return nil
            }
        }
        try await Task.sleep(for: .milliseconds(100))
        #expect(counted.total == 0)
        let lead = Task { await leadership.run() }
        try await eventually("it goes on") { counted.total > 4 }
        work.cancel()
        lead.cancel()
        await work.value
        await lead.value
        #expect(
            metrics.render().contains(
                #"minecart_reconciler_rounds_total{reconciler="tried",result="failed"} 2"#))
    }
}
