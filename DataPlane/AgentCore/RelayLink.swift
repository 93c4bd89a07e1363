import Core
import Wire

/// One link of a session: an attempt until its relay says WELCOME, then one that serves. Whether it is the owner's
/// or the standby's, or neither any more, is what the newest placement says.
struct RelayLink: Sendable {
    let id: LinkID
    let relay: String
    /// Dialled with a ticket from before, since the control plane could not be asked: that it fails is no news about
    /// the relay.
    let isBlind: Bool
    private var giveUp: Instant
    /// When the first WELCOME came.
    private(set) var since: Instant?
    private(set) var watch: LinkWatch
    private(set) var limits = Limits.none
    /// HELLOs that no WELCOME answered yet.
    private var unanswered = 0
    /// Of the newest ticket that went out, and of the newest that is answered.
    private var shown = 0
    private(set) var generation = 0
    /// What the relay wants asked of the control plane, and when.
    var wish = Wish.none
    var askAt: Instant?

    enum Wish: Int, Sendable, Comparable {
        case none
        /// The placement changed.
        case fetch
        /// The relay ends, or has no more to do with the tunnel.
        case leave

        static func < (left: Wish, right: Wish) -> Bool { left.rawValue < right.rawValue }
    }

    /// A relay gets so long from the dial to WELCOME.
    static let limit = Milliseconds.seconds(8)
    /// A link that lasted so long was a good one: the next wait is short again.
    private static let goodTime = Milliseconds.seconds(10)

    init(id: LinkID, relay: String, isBlind: Bool, now: Instant) {
        self.id = id
        self.relay = relay
        self.isBlind = isBlind
        giveUp = now + Self.limit
        watch = LinkWatch(now: now)
    }

    /// It serves.
    var isUp: Bool { since != nil }
    /// It serves, and its relay knows the newest ticket.
    var isCurrent: Bool { isUp && unanswered == 0 }
    /// A ticket of a newer placement is on its way to the relay.
    var isRenewing: Bool { shown > generation }
    /// HELLO went out.
    var hasSpoken: Bool { isUp || unanswered > 0 }
    /// Nobody has answered it by its time.
    func isLate(_ now: Instant) -> Bool { !isUp && now >= giveUp }
    func wasGood(_ now: Instant) -> Bool { since.map { now >= $0 + Self.goodTime } ?? false }

    /// When to look at it again.
    var deadline: Instant { isUp ? watch.deadline : giveUp }

    mutating func greeted(generation: Int) {
        unanswered += 1
        shown = generation
    }

    mutating func welcomed(_ limits: Limits, _ now: Instant) {
        unanswered = max(0, unanswered - 1)
        if unanswered == 0 { generation = shown }
        self.limits = limits
        if since == nil {
            since = now
            watch = LinkWatch(now: now)
        }
    }

    mutating func heard(_ now: Instant) { watch.heard(now) }

    mutating func check(_ now: Instant) -> LinkWatch.Finding { isUp ? watch.check(now) : .quiet }

    mutating func limitsChanged(_ limits: Limits) { self.limits = limits }
}
