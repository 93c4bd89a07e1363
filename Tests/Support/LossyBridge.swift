import Core
import IO
import Redis
import Synchronization

/// Stands between the Redis that control planes publish to and the one that relays listen at, and treats what it
/// passes on badly: assignments are lost, come twice and in another order, snapshots are copied late or are old
/// ones. What relays tell of themselves passes unharmed, and is noted.
public final class LossyBridge: Sendable {
    /// Shares from 0 to 1.
    public struct Faults: Sendable, Hashable {
        public var lost = 0.0
        public var twice = 0.0
        /// Held back while later ones pass, at most `hold`.
        public var late = 0.0
        public var hold = Milliseconds(300)
        /// Snapshots that are one of the last few instead of the newest.
        public var oldSnapshots = 0.0

        public init() {}

        public static func bad(_ share: Double) -> Faults {
            var faults = Faults()
            (faults.lost, faults.twice, faults.late, faults.oldSnapshots) = (share, share, share, share)
            return faults
        }
    }

    public struct Counts: Sendable, Hashable {
        public var passed = 0
        public var lost = 0
        public var twice = 0
        public var late = 0
        public var oldSnapshots = 0
    }

    /// How far a relay has applied its region.
    public struct Position: Sendable, Hashable, Comparable {
        public let epoch: Int
        public let rev: Int
        public let digest: String

        public static func < (left: Position, right: Position) -> Bool {
            (left.epoch, left.rev) < (right.epoch, right.rev)
        }
    }

    fileprivate struct Notes: Sendable {
        var faults = Faults()
        var counts = Counts()
        var positions: [String: [Position]] = [:]
        var isReady = false
    }

    private let notes = Notebook()
    private let thread: LoopThread

    /// Carries `region` from one Redis to another.
    public init(from: RedisURL, to: RedisURL, region: String) throws(SystemError) {
        thread = try LoopThread.start(name: "lossy bridge")
        let notes = notes
        thread.mailbox.post { loop in BridgeDesk(loop, from, to, region, notes).start() }
    }

    deinit {
        thread.stop()
        thread.join()
    }

    public func set(_ faults: Faults) { notes.held.withLock { $0.faults = faults } }

    public var counts: Counts { notes.held.withLock { $0.counts } }

    /// Each relay's positions as it told them, oldest first, without repetitions.
    public var positions: [String: [Position]] { notes.held.withLock { $0.positions } }

    /// It hears both sides.
    public var isReady: Bool { notes.held.withLock { $0.isReady } }

    fileprivate final class Notebook: Sendable {
        let held = Mutex(Notes())
    }
}

/// The bridge's own thread's part. It holds itself until the loop ends.
private final class BridgeDesk {
    private let loop: EventLoop
    private let region: String
    private let notes: LossyBridge.Notebook
    private let publisher: RedisConnection
    private let source: RedisConnection
    private let loads: RedisConnection
    private let sink: RedisConnection
    private var snapshots: [[UInt8]] = []
    private static let snapshotsKept = 8
    private static let copyInterval = Milliseconds(200)

    init(
        _ loop: EventLoop, _ from: RedisURL, _ to: RedisURL, _ region: String, _ notes: LossyBridge.Notebook
    ) {
        self.loop = loop
        self.region = region
        self.notes = notes
        publisher = RedisConnection(loop: loop, url: from)
        source = RedisConnection(loop: loop, url: from)
        loads = RedisConnection(loop: loop, url: to)
        sink = RedisConnection(loop: loop, url: to)
    }

    func start() {
        for connection in [publisher, loads] {
            connection.onStateChange = { [self] _ in
                let isReady = publisher.state == .ready && loads.state == .ready
                notes.held.withLock { $0.isReady = isReady }
            }
        }
        publisher.subscribe(["assignments:\(region)"]) { [self] channel, message in pass(channel, message) }
        loads.subscribe(["load:\(region)"]) { [self] channel, message in
            note(message)
            source.command([Array("PUBLISH".utf8), Array(channel.utf8), message]) { _ in }
        }
        for connection in [publisher, source, loads, sink] { connection.start() }
        copySnapshot()
    }

    private func pass(_ channel: String, _ message: [UInt8]) {
        let (copies, isLate, hold) = notes.held.withLock { notes -> (Int, Bool, Milliseconds) in
            let faults = notes.faults
            if .random(in: 0..<1) < faults.lost {
                notes.counts.lost += 1
                return (0, false, faults.hold)
            }
            let comesTwice = .random(in: 0..<1) < faults.twice
            let isLate = .random(in: 0..<1) < faults.late
            notes.counts.passed += 1
            if comesTwice { notes.counts.twice += 1 }
            if isLate { notes.counts.late += 1 }
            return (comesTwice ? 2 : 1, isLate, faults.hold)
        }
        for copy in 0..<copies {
            let send = { [self] in
                sink.command([Array("PUBLISH".utf8), Array(channel.utf8), message]) { _ in }
            }
            if isLate || copy > 0 {
                loop.schedule(after: Milliseconds(.random(in: 0...hold.count))) { send() }
            } else {
                send()
            }
        }
    }

    private func note(_ message: [UInt8]) {
        guard let json = try? JSON.parse(message), let relay = json["relay"]?.stringValue,
            let epoch = json["epoch"]?.integerValue, let rev = json["rev"]?.integerValue
        else { return }
        let position = LossyBridge.Position(
            epoch: Int(epoch), rev: Int(rev), digest: json["digest"]?.stringValue ?? "")
        notes.held.withLock { notes in
            if notes.positions[relay]?.last != position {
                notes.positions[relay, default: []].append(position)
            }
        }
    }

    private func copySnapshot() {
        let key = Array("snapshot:\(region)".utf8)
        source.command([Array("GET".utf8), key]) { [self] result in
            if case .success(let reply) = result, let newest = reply.bytesValue {
                if snapshots.last != newest { snapshots.append(newest) }
                if snapshots.count > Self.snapshotsKept { snapshots.removeFirst() }
                let isOld = notes.held.withLock { notes in
                    let isOld = snapshots.count > 1 && .random(in: 0..<1) < notes.faults.oldSnapshots
                    if isOld { notes.counts.oldSnapshots += 1 }
                    return isOld
                }
                let chosen = isOld ? snapshots.dropLast().randomElement() ?? newest : newest
                sink.command([Array("SET".utf8), key, chosen]) { _ in }
            }
            loop.schedule(after: Self.copyInterval) { [self] in copySnapshot() }
        }
    }
}
