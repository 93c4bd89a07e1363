import CLinux
import Core
import IO
import Redis
import Wire

/// Tells once a second how loaded this relay is, and which links came and went.
final class LoadReporter {
    private let loop: EventLoop
    private let context: RelayContext
    private let feed: RegionFeed
    private let client: ControlPlaneClient
    private let descriptorLimit: Int
    private let cpuLimit_permille: Int
    private var before: (at: Instant, bytes: Int, cpu_us: Int)?
    private var isReportingLoad = false
    private var isReportingLinks = false
    private static let linksPerReport = 1000

    init(
        loop: EventLoop, context: RelayContext, feed: RegionFeed, client: ControlPlaneClient,
        descriptorLimit: Int, loops: Int
    ) {
        self.loop = loop
        self.context = context
        self.feed = feed
        self.client = client
        self.descriptorLimit = descriptorLimit
        cpuLimit_permille = 1000 * max(1, min(loops, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    }

    func start() { beat() }

    /// Tells now, out of turn or not.
    func report() {
        guard feed.isRegistered else { return }
        let report = measure()
        if feed.hearsRedis { publish(report) } else { post(report) }
        reportLinks()
    }

    private func beat() {
        report()
        loop.schedule(after: .seconds(1)) { [weak self] in self?.beat() }
    }

    private func measure() -> LoadReport {
        let metrics = context.metrics
        let bytes = metrics.bytesToServers.total + metrics.bytesToPlayers.total
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        let cpu_us =
            (Int(usage.ru_utime.tv_sec) + Int(usage.ru_stime.tv_sec)) * 1_000_000
            + Int(usage.ru_utime.tv_usec) + Int(usage.ru_stime.tv_usec)
        let elapsed_ms = max(1, before.map { loop.now.since($0.at).count } ?? 1000)
        let position = context.routes.position
        let report = LoadReport(
            relay: context.relay.id, region: context.relay.region, players: metrics.players.current,
            links: metrics.links.current, standbyLinks: context.routes.standbyLinks,
            connections: metrics.connections.current,
            bytes_per_s: max(0, bytes - (before?.bytes ?? bytes)) * 1000 / elapsed_ms,
            cpu_permille: max(0, cpu_us - (before?.cpu_us ?? cpu_us)) / elapsed_ms,
            cpuLimit_permille: cpuLimit_permille,
            freeDescriptors: max(0, descriptorLimit - metrics.connections.current - 64),
            epoch: position?.epoch ?? 0, rev: position?.rev ?? 0, digest: position?.digest ?? "",
            draining: context.isDraining)
        before = (loop.now, bytes, cpu_us)
        return report
    }

    private func publish(_ report: LoadReport) {
        guard let redis = feed.redis else { return post(report) }
        let text = report.json.text
        redis.command(
            ["SET", LoadReport.heartbeat(relay: report.relay), text, "PX", String(LoadReport.heartbeat_ms)]
        ) { _ in }
        redis.command(
            ["ZADD", LoadReport.ranking(region: report.region), String(report.score), report.relay]
        ) { _ in }
        redis.command(["PUBLISH", LoadReport.channel(region: report.region), text]) { _ in }
    }

    private func post(_ report: LoadReport) {
        guard !isReportingLoad else { return }
        isReportingLoad = true
        client.report(load: report) { [weak self] _ in self?.isReportingLoad = false }
    }

    private func reportLinks() {
        guard !isReportingLinks else { return }
        let changes = context.links.take(limit: Self.linksPerReport)
        guard !changes.isEmpty else { return }
        isReportingLinks = true
        client.report(links: changes, relay: context.relay.id) { [weak self] result in
            guard let self else { return }
            self.isReportingLinks = false
            if case .failure = result { self.context.links.giveBack(changes) }
        }
    }
}
