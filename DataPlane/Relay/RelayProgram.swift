import CLinux
import Core
import Crypto
import HTTP
import IO
import RelayCore
import Synchronization
import TLS
import Wire

/// Puts the relay together and runs it until it is told to stop and its last player has left.
@main
struct RelayProgram {
    static func main() {
        Signals.block([SIGTERM, SIGINT])
        let log = Log("relay")
        do {
            let configuration = try RelayConfiguration.read(Settings.ofProcess())
            try run(configuration, log)
        } catch let error as SettingsError {
            fail("minecart-relay cannot start:\n\(error)", code: 2)
        } catch {
            fail("minecart-relay cannot start: \(error)", code: 1)
        }
    }

    private static func fail(_ text: String, code: Int32) -> Never {
        var line = text + "\n"
        line.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
        exit(code)
    }

    private static func run(_ configuration: RelayConfiguration, _ log: Log) throws {
        let descriptorLimit = ProcessLimits.raiseDescriptors()
        let identity = try RelayIdentityFile.load(configuration)
        let main = try EventLoop()
        let threads = try (1..<configuration.loops).map { try LoopThread.start(name: "relay-\($0)") }
        let keyFile = RelayKeyFile(directory: configuration.stateDirectory)
        let known = Known(
            keptKeys: keyFile.read(),
            region: RegionKeeper.load(
                directory: configuration.stateDirectory, region: configuration.region))
        let bound = try bind(configuration, main, threads, identity, known)
        let context = bound.context
        let info = RelayInfo(
            id: identity.id, region: configuration.region, endpoint: context.relay.endpoint,
            meshAddress: configuration.meshAddress ?? context.relay.endpoint,
            fingerprint: identity.tls.fingerprint,
            sharedEntry: configuration.sharedEntry)
        let client = ControlPlaneClient(
            loop: main, base: configuration.controlURL, key: configuration.relayKey)
        let feed = RegionFeed(
            loop: main, context: context, info: info, client: client, redisURL: configuration.redisURL,
            knowsKeys: known.keptKeys != nil, knowsRegion: known.region != nil
        ) { keyFile.write($0) }
        let keeper = configuration.stateDirectory.map {
            RegionKeeper(loop: main, routes: context.routes, directory: $0)
        }
        let readiness = Readyness()
        let admin = try AdminServer.start(
            loop: main, address: configuration.httpAddress, metricsToken: configuration.metricsToken,
            context: context, isReady: { readiness.isReady && !context.isDraining })
        let reporter = LoadReporter(
            loop: main, context: context, feed: feed, client: client, descriptorLimit: descriptorLimit,
            loops: configuration.loops)
        let usage = UsageReporter(
            loop: main, context: context, client: client, interval: .seconds(configuration.usage_s))
        let drain = Drain(
            loop: main, context: context, notice_s: configuration.drainNotice_s,
            limit_s: configuration.drain_s,
            errands: Drain.Errands(
                reportLoad: { reporter.report() }, tellUsage: { usage.finish($0) }, exit: { main.stop() }))
        feed.onDrainOrder = { [weak drain] in drain?.ordered() }
        let mesh = Mesh(loop: main, context: context, own: identity.own)
        mesh.start()
        feed.start()
        keeper?.start()
        let door = LoopBound(feed, main)
        let mailbox = main.mailbox
        context.onUnknownKey { mailbox.post { door.get($0).met(.unknownOnTicket) } }
        reporter.start()
        usage.start()
        watch(readiness, feed, main)
        let signals = try Signals(loop: main, [SIGTERM, SIGINT]) { _ in drain.signalled() }
        log.info(
            "relay is up",
            [
                "id": identity.id, "region": configuration.region,
                "players_and_agents": context.relay.endpoint,
                "listen": bound.addresses.map(\.description).joined(separator: ","),
                "http": admin.localAddress.description, "loops": String(configuration.loops),
            ])
        main.run()
        withExtendedLifetime((signals, admin, reporter, usage, feed, mesh, keeper, drain)) {}
        log.info("relay has stopped")
    }

    private static func watch(_ readiness: Readyness, _ feed: RegionFeed, _ loop: EventLoop) {
        readiness.set(feed.isTrusted && feed.isCurrent)
        loop.schedule(after: Milliseconds(100)) { watch(readiness, feed, loop) }
    }

    /// What an earlier run left in STATE_DIR.
    private struct Known {
        let keptKeys: VerificationKeys?
        let region: RegionSnapshot?
    }

    private struct Bound {
        let context: RelayContext
        let addresses: [SocketAddress]
    }

    /// Makes the relay's loops and binds every address on each of them. The first loop goes first: it settles
    /// which ports "port 0" became.
    private static func bind(
        _ configuration: RelayConfiguration, _ main: EventLoop, _ threads: [LoopThread],
        _ identity: RelayIdentityFile, _ known: Known
    ) throws -> Bound {
        // Bound before the context exists, since the endpoint may be the address that was bound.
        let claims = try configuration.listen.map { try PortClaim($0) }
        let addresses = claims.map(\.address)
        defer { withExtendedLifetime(claims) {} }
        let endpoint = configuration.publicEndpoint ?? addresses[0].description
        var patience = RelayPatience()
        patience.parked = configuration.parked
        let context = RelayContext(
            relay: RelayIdentity(
                id: identity.id, region: configuration.region, endpoint: endpoint,
                sharedEntry: configuration.sharedEntry),
            tls: identity.tls, patience: patience)
        // Known before the first player or agent comes.
        context.keys = known.keptKeys ?? configuration.ticketKeys
        if let region = known.region { context.routes.restore(region) }
        let first = RelayLoop(number: 0, loop: main, context: context)
        for address in addresses { _ = try first.listen(address) }
        let rest = Gathering<Result<RelayLoopDoor, SystemError>>(expecting: threads.count)
        for (index, thread) in threads.enumerated() {
            thread.mailbox.post { loop in
                let relayLoop = RelayLoop(number: UInt8(index + 1), loop: loop, context: context)
                do throws(SystemError) {
                    for address in addresses { _ = try relayLoop.listen(address) }
                    rest.add(.success(RelayLoopDoor(relayLoop)))
                } catch {
                    rest.add(.failure(error))
                }
            }
        }
        let others = try rest.wait().map { try $0.get() }
        context.open([RelayLoopDoor(first)] + others.sorted { $0.number < $1.number })
        return Bound(context: context, addresses: addresses)
    }
}

/// Whether the relay may be sent players and agents.
final class Readyness: Sendable {
    private let flag = Atomic<Bool>(false)

    var isReady: Bool { flag.load(ordering: .relaxed) }
    func set(_ value: Bool) { flag.store(value, ordering: .relaxed) }
}
