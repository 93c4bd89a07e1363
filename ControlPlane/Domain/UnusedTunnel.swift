import Core

/// What becomes of a tunnel that no agent had for long: its owners are told two weeks before it goes. Whoever uses it
/// meanwhile keeps it.
public struct UnusedTunnel: Sendable, Hashable {
    /// Between the mail and the end.
    public static let notice_s: Int64 = 14 * 86_400

    public enum Step: Sendable, Hashable {
        /// Tell the owners: it goes then, or a little later.
        case tell(goesAt: WallTime)
        case delete
    }

    /// When an agent was there for it last, or it was made.
    public var usedAt: WallTime
    public var toldAt: WallTime?
    /// An agent has it now, or a customer's own name for it is proven.
    public var isKept: Bool

    public init(usedAt: WallTime, toldAt: WallTime?, isKept: Bool) {
        self.usedAt = usedAt
        self.toldAt = toldAt
        self.isKept = isKept
    }

    /// What to do now under a plan that keeps unused tunnels for `days`; nil for nothing.
    public func step(after days: Int?, now: WallTime) -> Step? {
        guard let days, !isKept else { return nil }
        let end = usedAt + Int64(days) * 86_400
        guard let toldAt, toldAt > usedAt else {
            return now >= end + -Self.notice_s ? .tell(goesAt: max(end, now + Self.notice_s)) : nil
        }
        return now >= max(end, toldAt + Self.notice_s) ? .delete : nil
    }
}

extension Mail {
    /// Tells an owner that a tunnel which nobody uses goes at `time`.
    public static func tunnelWillExpire(
        to owner: String, hostname: String, unused_days: Int, at time: WallTime, plan: String
    ) -> Mail {
        Mail(
            to: owner, subject: "\(hostname) is not used and will be deleted",
            text: """
                Hello,

                no agent has been online for \(hostname) for \(unused_days) days. On the plan \(plan) such a tunnel is \
                deleted, and its name becomes free for others, on \(time.rfc3339).

                To keep it, start the agent once before that day:

                    minecart up --local HOST:PORT

                If you do not need it any more, there is nothing to do.

                """, kind: "tunnel-will-expire")
    }

    /// Tells an owner that a tunnel which nobody used is gone.
    public static func tunnelExpired(to owner: String, hostname: String, plan: String) -> Mail {
        Mail(
            to: owner, subject: "\(hostname) was deleted",
            text: """
                Hello,

                \(hostname) was not used for a long time, as we wrote two weeks ago, and is deleted now: on the plan \
                \(plan) tunnels that nobody uses go. What it moved still shows in your usage.

                You can make a new tunnel at any time: start the agent again.

                """, kind: "tunnel-expired")
    }
}
