import AgentCore
import Core
import IO

/// Measures how far away regions are: the shortest of a few TCP connects to each.
final class RegionProbe {
    private let loop: EventLoop
    private var times: [RegionTime]
    private var running = 0
    private let done: ([RegionTime]) -> Void
    private static let limit = Milliseconds.seconds(3)
    /// The first connect of a pair may also pay for looking the name up.
    private static let rounds = 2
    private static let probesPerRegion = 4

    private init(loop: EventLoop, regions: [Region], done: @escaping ([RegionTime]) -> Void) {
        self.loop = loop
        self.done = done
        times = regions.map { RegionTime(region: $0.id, time: nil) }
    }

    /// `done` is called once, on the loop, after at most 6 s.
    static func measure(
        _ regions: [Region], on loop: EventLoop, _ done: @escaping ([RegionTime]) -> Void
    ) {
        let probe = RegionProbe(loop: loop, regions: regions, done: done)
        for (index, region) in regions.enumerated() {
            for endpoint in region.probes.prefix(Self.probesPerRegion) {
                probe.running += 1
                probe.connect(endpoint, of: index, round: 1)
            }
        }
        if probe.running == 0 { loop.atEndOfTurn { done(probe.times) } }
    }

    private func connect(_ endpoint: Endpoint, of index: Int, round: Int) {
        let start = Instant.now()
        loop.connect(endpoint, timeout: Self.limit) { [self] result in
            guard case .success = consume result else { return finished() }
            let time = Instant.now().since(start)
            times[index].time = times[index].time.map { min($0, time) } ?? time
            if round < Self.rounds { connect(endpoint, of: index, round: round + 1) } else { finished() }
        }
    }

    private func finished() {
        running -= 1
        if running == 0 { done(times) }
    }
}
