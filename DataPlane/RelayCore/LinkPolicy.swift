import Core
import Wire

/// Who may have a tunnel's link at a relay, and who has to go: decided from the ticket, the tunnel's assignment as
/// the relay knows it, and the generations that it has seen. Generations fence: nobody older than the newest known
/// one gets in.
public struct LinkPolicy: Sendable {
    /// The relay that decides.
    public let relay: String

    public init(relay: String) { self.relay = relay }

    /// Whether a good ticket counts at this time: a day longer than it says where it proves the placement that the
    /// relay itself knows as current, since the control plane, which would issue a fresh one, may be away.
    public func isInTime(_ ticket: Ticket, under assignment: Assignment?, now: WallTime) -> Bool {
        if now <= ticket.expiresAt { return true }
        guard let assignment else { return false }
        return assignment.owner == relay && assignment.generation == ticket.generation
            && assignment.session == ticket.session
    }

    /// Why a link with a good ticket is not let in; nil when it is. `newest` is the newest generation of the tunnel
    /// that was seen here, in tickets or assignments.
    public func refusal(
        of ticket: Ticket, under assignment: Assignment?, newest: Int, isDraining: Bool
    ) -> GoAwayReason? {
        if isDraining { return .draining }
        if let assignment, isRevoked(ticket.agentKey, assignment) { return .revoked }
        if ticket.generation < newest { return .staleGeneration }
        return assignment?.state == .suspended ? .revoked : nil
    }

    /// Why a link that is here has to go, if it has to. One whose ticket is newer than the assignment stays, and so
    /// does the assigned session at its owner when only something else about the placement changed.
    public func farewell(to link: HeldLink, under assignment: Assignment) -> GoAwayReason? {
        if isRevoked(link.agentKey, assignment) { return .revoked }
        if link.generation > assignment.generation { return nil }
        let isItsSession = assignment.session == link.session
        if assignment.owner == relay, isItsSession || link.generation == assignment.generation { return nil }
        return isItsSession || assignment.session == nil ? .staleGeneration : .replaced
    }

    /// What the link that was here is told when a newer one takes its place.
    public func farewell(to old: HeldLink, replacedBy ticket: Ticket) -> GoAwayReason {
        old.session == ticket.session ? .unspecified : .replaced
    }

    private func isRevoked(_ key: String?, _ assignment: Assignment) -> Bool {
        key.map { assignment.revokedKeys.contains($0) } ?? false
    }
}

/// What a link's ticket said.
public struct HeldLink: Sendable, Hashable {
    public var session: String
    public var agentKey: String?
    public var generation: Int

    public init(_ ticket: Ticket) {
        session = ticket.session
        agentKey = ticket.agentKey
        generation = ticket.generation
    }
}
