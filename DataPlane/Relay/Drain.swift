import Core
import IO
import RelayCore
import Wire

/// Carries out what the plan for leaving decides, on the relay's first loop.
final class Drain {
    private let loop: EventLoop
    private let context: RelayContext
    private let errands: Errands
    private var plan: DrainPlan
    private let limit_s: Int
    private let log = Log("relay")
    private static let glance = Milliseconds(100)

    /// What others do for it.
    struct Errands {
        /// Tell the control plane at once how things stand here.
        let reportLoad: () -> Void
        /// Tell what is not told yet of the usage, then call back.
        let tellUsage: (_ done: @escaping () -> Void) -> Void
        /// End the program.
        let exit: () -> Void
    }

    init(
        loop: EventLoop, context: RelayContext, notice_s: Int, limit_s: Int, errands: Errands
    ) {
        self.loop = loop
        self.context = context
        self.errands = errands
        self.limit_s = limit_s
        var timing = DrainPlan.Timing()
        timing.notice = .seconds(notice_s)
        timing.limit = .seconds(limit_s)
        plan = DrainPlan(timing: timing)
    }

    /// SIGTERM: a second one ends the relay at once.
    func signalled() {
        tell("a signal")
        perform(plan.signalled(guests, now: loop.now))
    }

    /// The region's state says that this relay is to drain.
    func ordered() {
        guard !plan.hasBegun else { return }
        tell("the control plane")
        perform(plan.told(guests, now: loop.now))
    }

    private func tell(_ who: String) {
        guard !plan.hasBegun else { return }
        log.info(
            "draining: agents move, players may finish",
            [
                "told_by": who, "links": String(guests.links), "players": String(guests.players),
                "limit_s": String(limit_s),
            ])
        watch()
    }

    private func watch() {
        loop.schedule(after: Self.glance) { [weak self] in
            guard let self else { return }
            self.perform(self.plan.look(self.guests, now: self.loop.now))
            self.watch()
        }
    }

    private var guests: DrainPlan.Guests {
        let metrics = context.metrics
        return DrainPlan.Guests(
            links: metrics.links.current + metrics.forwardedLinks.current,
            players: metrics.players.current + metrics.forwardedPlayers.current,
            waiting: metrics.waiting.current, connections: metrics.connections.current)
    }

    private func perform(_ actions: [DrainPlan.Action]) {
        for action in actions {
            switch action {
            case .turnReadinessOff:
                context.beginDraining()
                // Nobody is to be placed here from now on.
                errands.reportLoad()
            case .migrate(let time):
                context.forEachLoop { relayLoop in
                    relayLoop.forEachRoom { $0.leave(within: time) }
                    relayLoop.forEachPassage { $0.closeIfParked() }
                }
            case .sendLinksAway:
                log.info("links that did not move are sent away", ["links": String(guests.links)])
                context.forEachLoop { relayLoop in
                    relayLoop.forEachRoom { $0.sendLinkAway(.draining) }
                    relayLoop.forEachPassage { if $0.kind == .link { $0.close() } }
                }
            case .stopListening: context.forEachLoop { $0.stopListening() }
            case .tellUsage: errands.tellUsage { [self] in perform(plan.usageTold()) }
            case .exit: errands.exit()
            }
        }
    }
}
