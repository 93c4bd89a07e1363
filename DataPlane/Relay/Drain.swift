import Core
import IO

/// The way out: no new links or players, agents told to go elsewhere, running players stay until they leave or
/// the limit passes. Told a second time, it ends at once.
final class Drain {
    private let loop: EventLoop
    private let context: RelayContext
    private let limit_s: Int
    private let usage: UsageReporter
    private var isEnding = false
    private let log = Log("relay")

    init(loop: EventLoop, context: RelayContext, limit_s: Int, usage: UsageReporter) {
        self.loop = loop
        self.context = context
        self.limit_s = limit_s
        self.usage = usage
    }

    func begin() {
        guard !context.isDraining else { return loop.stop() }
        log.info(
            "stopping: players may finish",
            ["players": String(context.metrics.players.current), "limit_s": String(limit_s)])
        context.drain()
        loop.schedule(after: .seconds(limit_s)) { [self] in end() }
        watch()
    }

    /// A quarter of a second for the farewells, then as soon as the last player is gone.
    private func watch() {
        loop.schedule(after: Milliseconds(250)) { [self] in
            if context.metrics.players.current == 0 { end() } else { watch() }
        }
    }

    /// What was counted is told first.
    private func end() {
        guard !isEnding else { return }
        isEnding = true
        usage.finish { [loop] in loop.stop() }
    }
}
