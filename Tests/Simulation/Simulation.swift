/// What to simulate.
public struct Options: Sendable {
    public var seed: UInt64
    /// With faults in the first part of them; then everything has to settle.
    public var seconds: Int
    public var bug: PlantedBug?
    public var traces: Bool

    public init(seed: UInt64, seconds: Int = 30, bug: PlantedBug? = nil, traces: Bool = false) {
        self.seed = seed
        self.seconds = seconds
        self.bug = bug
        self.traces = traces
    }
}

/// What came of one run.
public struct Outcome: Sendable {
    public var seed: UInt64
    public var violations: [String]
    /// How long was simulated.
    public var simulated_ms: Int
    public var events: Int
    /// Over the moments of all events: two runs that have the same went the same way.
    public var fingerprint: UInt64
    /// How long after the last fault all agreed; nil when it never did.
    public var settled_ms: Int?
    public var joins: Int
    public var trace: [String]
}

public enum Simulation {
    /// One run; the same options give the same outcome.
    public static func run(_ options: Options) -> Outcome {
        let world = World(options)
        let play = Play(world)
        play.run()
        defer { world.release() }
        return Outcome(
            seed: options.seed, violations: world.invariants.violations, simulated_ms: world.now_us / 1000,
            events: world.happened, fingerprint: world.mix, settled_ms: play.settled_ms,
            joins: world.invariants.joins, trace: world.lines)
    }

    /// The first seed that breaks a rule with the fault and none without it.
    public static func find(_ bug: PlantedBug, from seed: UInt64, runs: Int, seconds: Int = 30) -> Outcome? {
        for number in 0..<UInt64(runs) {
            let planted = run(Options(seed: seed + number, seconds: seconds, bug: bug))
            guard !planted.violations.isEmpty else { continue }
            if run(Options(seed: seed + number, seconds: seconds)).violations.isEmpty { return planted }
        }
        return nil
    }
}
