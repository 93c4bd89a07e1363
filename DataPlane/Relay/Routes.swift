import Core
import Synchronization
import Wire

/// Where the tunnels of this region are, as far as this relay knows: the region's assignments, and the tickets of
/// the links that are here. Looked up once per join, changed by the region's follower and by links.
final class Routes: Sendable {
    enum Answer: Sendable {
        case here(tunnel: String, Limits)
        case elsewhere
        /// The name exists, no agent has taken a placement.
        case unplaced
        /// A link that is here brought the name, its assignment is on the way: ask again in a moment.
        case soon
        case suspended
        /// Closed because nobody played; its agent waits for its owner.
        case asleep
        case unknown
    }

    private struct Local: Sendable {
        let ticket: Ticket
        let since: Instant
    }

    private struct State: Sendable {
        var region: RegionState?
        var links: [String: Local] = [:]
        var linkByHostname: [String: String] = [:]
        /// Tunnels that were closed here for want of players, with the generation that was.
        var asleep: [String: Int] = [:]
        /// Tunnels that were deleted, with the last generation: a ticket issued before is worth nothing.
        var deleted: [String: (generation: Int, until: Instant)] = [:]
    }

    private let state = Mutex(State())
    /// An assignment that is late is not waited for longer: the ticket then counts.
    private static let provisionalAfter = Milliseconds.seconds(2)
    private static let rememberDeleted = Milliseconds.seconds(Int(2 * Ticket.lifetime_s))

    /// `hostname` in lower case, without a dot at its end.
    func find(_ hostname: String, relay: String, now: Instant = .now()) -> Answer {
        state.withLock { state in
            if let assignment = state.region?[hostname: hostname] {
                let local = state.links[assignment.tunnel]
                if assignment.state == .suspended { return .suspended }
                if assignment.owner == relay, let asleep = state.asleep[assignment.tunnel],
                    asleep >= assignment.generation
                {
                    return .asleep
                }
                if assignment.owner == relay { return .here(tunnel: assignment.tunnel, assignment.limits) }
                // This relay has a link of a generation that its copy of the assignments does not know yet.
                if let local, local.ticket.generation > assignment.generation {
                    return .here(tunnel: assignment.tunnel, local.ticket.limits)
                }
                return assignment.owner == nil ? .unplaced : .elsewhere
            }
            guard let tunnel = state.linkByHostname[hostname], let local = state.links[tunnel] else {
                return .unknown
            }
            // The tunnel's assignment is here and does not have the name any more.
            if let assignment = state.region?.assignments[tunnel],
                assignment.generation >= local.ticket.generation
            {
                return .unknown
            }
            let isLate = now.since(local.since) >= Self.provisionalAfter
            return isLate ? .here(tunnel: tunnel, local.ticket.limits) : .soon
        }
    }

    func linkUp(_ ticket: Ticket, now: Instant = .now()) {
        state.withLock { state in
            Self.remove(ticket.tunnel, from: &state)
            state.asleep[ticket.tunnel] = nil
            state.links[ticket.tunnel] = Local(ticket: ticket, since: now)
            for hostname in ticket.hostnames { state.linkByHostname[hostname] = ticket.tunnel }
        }
    }

    func linkDown(tunnel: String) {
        state.withLock { Self.remove(tunnel, from: &$0) }
    }

    /// Until the next link, or until the placement moves on.
    func fellAsleep(_ tunnel: String, generation: Int) {
        state.withLock { $0.asleep[tunnel] = generation }
    }

    private static func remove(_ tunnel: String, from state: inout State) {
        guard let gone = state.links.removeValue(forKey: tunnel) else { return }
        for hostname in gone.ticket.hostnames where state.linkByHostname[hostname] == tunnel {
            state.linkByHostname[hostname] = nil
        }
    }

    /// The newest generation known from assignments, those of deleted tunnels (which admit only newer ones)
    /// included.
    func generation(of tunnel: String) -> Int? {
        state.withLock { state in
            state.region?.assignments[tunnel]?.generation ?? state.deleted[tunnel].map { $0.generation + 1 }
        }
    }

    /// The limits of an assignment that is at least of this generation.
    func limits(of tunnel: String, generation: Int) -> Limits? {
        state.withLock { state in
            guard let assignment = state.region?.assignments[tunnel], assignment.generation >= generation
            else {
                return nil
            }
            return assignment.limits
        }
    }

    func assignment(of tunnel: String) -> Assignment? {
        state.withLock { $0.region?.assignments[tunnel] }
    }

    /// Where the copy of the region stands; nil before anything was applied.
    var position: RegionBeacon? { state.withLock { $0.region?.beacon } }

    func apply(
        _ message: AssignmentMessage, fromControlPlane: Bool, now: Instant = .now()
    ) -> RegionState.Outcome {
        state.withLock { state in
            var region = state.region.take() ?? RegionState(region: message.region)
            let generations = deletions(in: message, of: region)
            let outcome = region.apply(message, fromControlPlane: fromControlPlane)
            if case .applied(let changed) = outcome {
                state.deleted = state.deleted.filter { $0.value.until > now }
                for tunnel in changed {
                    guard let asleep = state.asleep[tunnel] else { continue }
                    if asleep < region.assignments[tunnel]?.generation ?? .max { state.asleep[tunnel] = nil }
                }
                for (tunnel, generation) in generations
                where changed.contains(tunnel) && region.assignments[tunnel] == nil {
                    state.deleted[tunnel] = (generation, now + Self.rememberDeleted)
                }
            }
            state.region = consume region
            return outcome
        }
    }

    /// The generations of what a message may delete.
    private func deletions(in message: AssignmentMessage, of region: RegionState) -> [String: Int] {
        switch message {
        case .delta(let delta):
            Dictionary(
                delta.deletes.compactMap { tunnel in
                    region.assignments[tunnel].map { (tunnel, $0.generation) }
                }, uniquingKeysWith: max)
        case .snapshot: region.assignments.mapValues(\.generation)
        case .beacon: [:]
        }
    }
}
