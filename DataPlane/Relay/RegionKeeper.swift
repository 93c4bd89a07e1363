import Core
import IO
import RelayCore
import Synchronization
import Wire

/// Keeps the relay's copy of its region in STATE_DIR, so that a restart serves at once, whoever is away. Lives on the
/// relay's first loop; what takes time happens on a thread.
final class RegionKeeper {
    private let loop: EventLoop
    private let routes: Routes
    private let path: String
    private var clock: RegionFileClock
    private static let glance = Milliseconds(500)

    /// Where a region's copy lies.
    static func path(in directory: String) -> String { directory + "/relay-region.jsonl" }

    /// What an earlier run kept; nil when there is nothing of use, which is told.
    static func load(directory: String?, region: String) -> RegionSnapshot? {
        guard let directory else { return nil }
        let path = path(in: directory)
        do {
            guard let bytes = try StateFile.read(path, maxBytes: RegionFile.maxBytes) else { return nil }
            return try RegionFile.read(bytes, region: region)
        } catch {
            Log("relay").warning(
                "the kept copy of the region is not used", ["path": path, "reason": "\(error)"])
            return nil
        }
    }

    init(loop: EventLoop, routes: Routes, directory: String) {
        self.loop = loop
        self.routes = routes
        path = Self.path(in: directory)
        clock = RegionFileClock(kept: routes.position)
    }

    func start() { look() }

    private func look() {
        if clock.isDue(routes.position, now: loop.now) { write() }
        loop.schedule(after: Self.glance) { [weak self] in self?.look() }
    }

    private func write() {
        let keeper = LoopBound(self, loop)
        let mailbox = loop.mailbox
        let (routes, path) = (routes, path)
        do throws(SystemError) {
            try ThreadHandle.start(name: "region-file") {
                let began = Instant.now()
                let result = Result { () throws(StateError) in try Self.write(routes, to: path) }
                mailbox.post { keeper.get($0).ended(result, took: Instant.now().since(began)) }
            }.detach()
        } catch {
            ended(.failure(StateError(error.reason)), took: Milliseconds(0))
        }
    }

    /// Answers with where the copy stood that was written.
    private static func write(_ routes: Routes, to path: String) throws(StateError) -> RegionBeacon {
        guard let copy = routes.copy() else { throw StateError("there is nothing to keep") }
        try StateFile.replace(path) { add throws(StateError) in try RegionFile.write(copy.snapshot, to: add) }
        return copy.position
    }

    private func ended(_ result: Result<RegionBeacon, StateError>, took time: Milliseconds) {
        let log = Log("relay")
        switch result {
        case .success(let position):
            if clock.written(position, took: time, now: loop.now) { log.info("the region is kept again") }
        case .failure(let error):
            guard clock.failed(now: loop.now) else { return }
            log.warning(
                "the region cannot be kept: a restart needs the control plane",
                ["reason": error.description])
        }
    }
}
