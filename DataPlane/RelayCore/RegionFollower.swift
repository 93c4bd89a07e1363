import Core
import Wire

/// Keeps a relay's copy of its region up to date: which source to ask when. The copy itself lies elsewhere and
/// says what a message did to it.
///
/// Redis pushes deltas and a beacon each second. Whatever is missing there is asked for over HTTP: at the start,
/// at a gap, when the snapshot in Redis is absent or old (absence in Redis is never evidence), and as a held long
/// poll while no beacon comes.
public struct RegionFollower: Sendable {
    public enum Action: Sendable, Hashable {
        /// Read the region's snapshot from Redis.
        case loadSnapshot
        /// Ask the control plane for what follows our revision; with `wait_s` above 0 it may hold the answer.
        case pull(wait_s: Int)
        /// Ask the control plane for the whole region: what we have is wrong somewhere.
        case pullWhole
    }

    private var isPulling = false
    /// What is under way may be held for as long as a poll lasts.
    private var isPolling = false
    private var wantsPull = false
    /// What follows our revision did not help.
    private var needsWhole = false
    private var wholeIsAsked = false
    private var retryAt: Instant?
    private var failures = 0
    private var lastBeacon: Instant?
    private var started: Instant?

    public static let beaconPatience = Milliseconds.seconds(2)
    private static let longPoll_s = 20
    private static let maxBackoff = Milliseconds.seconds(10)

    public init() {}

    /// Whether Redis tells us what is new.
    public func hearsRedis(now: Instant) -> Bool {
        lastBeacon.map { now.since($0) < Self.beaconPatience } ?? false
    }

    public mutating func start(now: Instant) -> [Action] {
        started = now
        return pull()
    }

    /// The channel is subscribed: what is published from now on will arrive.
    public mutating func subscribed() -> [Action] { [.loadSnapshot] }

    public mutating func snapshotMissing() -> [Action] { pull() }

    /// Something came through Redis and was applied, or not.
    public mutating func heard(_ message: AssignmentMessage, _ outcome: RegionState.Outcome, now: Instant)
        -> [Action]
    {
        // A leader that was deposed, or lags behind, may go on telling of the past.
        if case .beacon = message, outcome != .stale { lastBeacon = now }
        guard outcome == .gap else { return [] }
        // A control plane that stopped in the middle of a poll would keep us from what another one tells.
        return isPolling ? pull() + [.loadSnapshot] : pull()
    }

    /// The control plane answered. `jitter` as in `pullFailed`.
    public mutating func pulled(_ outcome: RegionState.Outcome, now: Instant, jitter: Double) -> [Action] {
        let wasWhole = wholeIsAsked
        needsWhole = outcome == .gap
        if needsWhole && wasWhole {
            pullFailed(now: now, jitter: jitter)
            return []
        }
        isPulling = false
        isPolling = false
        wholeIsAsked = false
        failures = 0
        retryAt = nil
        let again = wantsPull || needsWhole
        wantsPull = false
        return again ? pull() : []
    }

    /// `jitter` from 0 to 1 spreads relays that lost the same control plane.
    public mutating func pullFailed(now: Instant, jitter: Double) {
        isPulling = false
        isPolling = false
        wholeIsAsked = false
        wantsPull = true
        let ceiling = min(Self.maxBackoff.count, 250 << min(failures, 10))
        failures += 1
        retryAt = now + Milliseconds(Int(Double(ceiling) * (0.5 + jitter / 2)))
    }

    /// Call it about twice a second.
    public mutating func tick(now: Instant) -> [Action] {
        if isPulling { return [] }
        if let retryAt {
            guard retryAt <= now else { return [] }
            self.retryAt = nil
            wantsPull = false
            return pull()
        }
        guard let started, now.since(started) >= Self.beaconPatience, !hearsRedis(now: now) else { return [] }
        isPulling = true
        isPolling = true
        return [.pull(wait_s: Self.longPoll_s)]
    }

    private mutating func pull() -> [Action] {
        guard !isPulling, retryAt == nil else {
            wantsPull = true
            return []
        }
        isPulling = true
        wholeIsAsked = needsWhole
        return [needsWhole ? .pullWhole : .pull(wait_s: 0)]
    }
}
