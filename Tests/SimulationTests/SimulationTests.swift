import Simulation
import Testing

@Suite("The simulation")
struct SimulationTests {
    @Test("a few seeds break no rule", arguments: 1...8)
    func seeds(_ seed: UInt64) {
        let outcome = Simulation.run(Options(seed: seed))
        #expect(outcome.violations == [], "replay: simulate --seed \(seed) --seconds 30 --trace")
    }

    @Test("one seed replays a run", arguments: 1...4)
    func replay(_ seed: UInt64) {
        let first = Simulation.run(Options(seed: seed, traces: true))
        let second = Simulation.run(Options(seed: seed, traces: true))
        #expect(first.trace == second.trace)
        #expect(first.fingerprint == second.fingerprint)
        #expect(first.trace.isEmpty == false)
    }

    /// `simulate --bugs` looks for all of them; these show soon enough for a build without optimization.
    @Test(
        "a planted fault is found",
        arguments: [
            PlantedBug.olderSnapshot, .ignoreGap, .countRetry, .forgetDeletes, .absenceIsEmpty, .dropPlayers,
        ])
    func planted(_ bug: PlantedBug) {
        #expect(Simulation.find(bug, from: 1, runs: 40) != nil)
    }
}
