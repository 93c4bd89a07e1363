import Core

/// A process, or a server, with its own clocks. It can be killed, started again, stopped in its tracks and let go
/// on; what it was about to do dies with its run, or waits.
class Node {
    unowned let world: World
    let name: String
    /// Its place in the network's tables.
    let index: Int
    /// Grows with each start.
    private(set) var run = 0
    private(set) var isUp = false
    private(set) var isStopped = false
    private var backlog: [() -> Void] = []
    /// Ends of connections that this node's kernel holds, those of runs that ended silently included.
    var cables: [Cable] = []
    /// Questions that it is answering.
    var serving: [any AnsweredCall] = []
    /// How much faster its clock runs, in millionths.
    private let drift_ppm: Int
    private let clockStart_us: Int
    var wallOffset_s: Int64

    init(_ world: World, name: String) {
        self.world = world
        self.name = name
        index = world.network.addNode()
        drift_ppm = world.random.within(-300...300)
        clockStart_us = world.random.within(1_000_000...3_000_000_000)
        wallOffset_s = Int64(world.random.within(-3...3))
    }

    // MARK: clocks

    final var now: Instant {
        let elapsed = world.now_us
        return Instant(nanoseconds: UInt64(clockStart_us + elapsed + elapsed * drift_ppm / 1_000_000) * 1000)
    }

    final var wall: WallTime {
        WallTime(seconds: World.begins_s + Int64(world.now_us / 1_000_000) + wallOffset_s)
    }

    // MARK: what it does

    /// A timer of this run.
    final func after(_ wait: Milliseconds, _ work: @escaping () -> Void) {
        let run = run
        let wait_us = wait.count * 1000
        world.after(us: wait_us - wait_us * drift_ppm / 1_000_000) { [self] in enter(run, work) }
    }

    /// Does the work now, unless the run that it was meant for is over; a stopped process does it later.
    final func enter(_ meant: Int, _ work: @escaping () -> Void) {
        guard meant == run, isUp else { return }
        if isStopped { return backlog.append(work) }
        work()
    }

    // MARK: life

    final func start() {
        guard !isUp else { return }
        run += 1
        isUp = true
        isStopped = false
        world.trace("\(name) starts, run \(run)")
        // Whoever still believes in the run before is told by the kernel.
        for cable in cables { cable.breakOff(from: self) }
        cables = []
        started()
    }

    /// SIGKILL. `silently`: the machine went with it, so nobody is told.
    final func kill(silently: Bool = false) {
        guard isUp else { return }
        world.trace("\(name) is killed\(silently ? " with its machine" : "")")
        died()
        isUp = false
        isStopped = false
        backlog = []
        let calls = serving
        serving = []
        if silently { return }
        for call in calls { call.breakOff() }
        for cable in cables { cable.breakOff(from: self) }
        cables = []
    }

    /// SIGSTOP.
    final func stop() {
        guard isUp, !isStopped else { return }
        world.trace("\(name) is stopped")
        isStopped = true
    }

    /// SIGCONT: everything that came meanwhile is there at once.
    final func goOn() {
        guard isStopped else { return }
        world.trace("\(name) goes on")
        isStopped = false
        let waiting = backlog
        backlog = []
        let run = run
        for work in waiting { enter(run, work) }
    }

    /// Breaks what the run's objects hold of each other.
    final func release() {
        died()
        backlog = []
        serving = []
        for cable in cables { cable.release() }
        cables = []
    }

    /// For subclasses: a run begins; a run has ended.
    func started() {}
    func died() {}
}
