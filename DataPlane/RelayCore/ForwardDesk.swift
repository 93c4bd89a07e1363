import Core
import Wire

/// Connections that a neighbour behind the same entry passes on to this relay: each begins with a token that the
/// neighbour announces over the mesh. The two come on different ways, so either may be first, and waits for the other
/// for a moment. A token lets one connection in.
public struct ForwardDesk<Waiter: Sendable>: Sendable {
    public static var patience: Milliseconds { .seconds(2) }
    /// More at once are no fleet's doing.
    static var maxAnnounced: Int { 4096 }
    static var maxWaiting: Int { 1024 }

    public enum Arrival: Sendable, Hashable {
        case letIn
        /// Until `announced` names the waiter, or `gaveUp`.
        case wait
        case refuse
    }

    private var announced: [ForwardToken: Instant] = [:]
    private var waiting: [ForwardToken: Waiter] = [:]

    public init() {}

    /// A neighbour said that a connection with this token comes. Answers with who has been waiting for that.
    public mutating func announced(_ token: ForwardToken, now: Instant) -> Waiter? {
        if let waiter = waiting.removeValue(forKey: token) { return waiter }
        if announced.count >= Self.maxAnnounced { announced = announced.filter { $0.value > now } }
        guard announced.count < Self.maxAnnounced else { return nil }
        announced[token] = now + Self.patience
        return nil
    }

    public mutating func arrived(_ token: ForwardToken, _ waiter: Waiter, now: Instant) -> Arrival {
        if let until = announced.removeValue(forKey: token) { return until > now ? .letIn : .refuse }
        guard waiting[token] == nil, waiting.count < Self.maxWaiting else { return .refuse }
        waiting[token] = waiter
        return .wait
    }

    /// The connection that waited is gone.
    public mutating func gaveUp(_ token: ForwardToken) { waiting[token] = nil }

    /// What is kept now.
    public var count: Int { announced.count + waiting.count }
}
