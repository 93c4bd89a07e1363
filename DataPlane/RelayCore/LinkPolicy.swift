import Core
import Wire

/// Who may have a tunnel's link at a relay, and who has to go: decided from the ticket, the tunnel's assignment as
/// the relay knows it, and the generations that it has seen. Generations fence: nobody older than the newest known
/// one gets in. A link that is in stays as long as its session has the tunnel, wherever the placement went: it may
/// be the only one that works.
public struct LinkPolicy: Sendable {
    /// The relay that decides.
    public let relay: String

    public init(relay: String) { self.relay = relay }

    /// Whether a good ticket counts at this time: a day longer than it says where it proves the placement that the
    /// relay itself knows as current, since the control plane, which would issue a fresh one, may be away.
    public func isInTime(_ ticket: Ticket, under assignment: Assignment?, now: WallTime) -> Bool {
        if now <= ticket.expiresAt { return true }
        guard let assignment else { return false }
        return serves(assignment) && assignment.generation == ticket.generation
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
        guard let assignment else { return nil }
        if assignment.state == .suspended { return .revoked }
        // One generation has one owner and one standby: this relay is neither.
        return ticket.generation == assignment.generation && !serves(assignment) ? .staleGeneration : nil
    }

    /// Why a link that brings another good ticket of its tunnel has to go; nil when it takes the ticket on. One that
    /// is older than the assignment, but not than the link, changes nothing for the worse.
    public func refusal(
        ofRenewal ticket: Ticket, on link: HeldLink, under assignment: Assignment?
    ) -> GoAwayReason? {
        guard ticket.session == link.session, ticket.generation >= link.generation else {
            return .ticketRefused
        }
        guard let assignment else { return nil }
        if assignment.state == .suspended { return .revoked }
        guard case .goes(let reason) = fate(of: HeldLink(ticket), under: assignment) else { return nil }
        return reason
    }

    /// What becomes of a link that is here.
    public enum Fate: Sendable, Hashable {
        case stays
        /// Its agent is asked to fetch the placement, which is newer than its ticket. `leave`: it does not name this
        /// relay any more.
        case migrates(leave: Bool)
        case goes(GoAwayReason)
    }

    public func fate(of link: HeldLink, under assignment: Assignment) -> Fate {
        if isRevoked(link.agentKey, assignment) { return .goes(.revoked) }
        if link.generation > assignment.generation { return .stays }
        if link.generation == assignment.generation, serves(assignment) { return .stays }
        guard let session = assignment.session else { return .goes(.staleGeneration) }
        guard session == link.session else { return .goes(.replaced) }
        if link.generation == assignment.generation { return .goes(.staleGeneration) }
        return .migrates(leave: !serves(assignment))
    }

    /// What the link that was here is told when a newer one takes its place.
    public func farewell(to old: HeldLink, replacedBy ticket: Ticket) -> GoAwayReason {
        old.session == ticket.session ? .unspecified : .replaced
    }

    /// Where the placement puts this relay, and which others may have a link of the tunnel.
    public func place(with link: HeldLink?, under assignment: Assignment?) -> TunnelDesk.Place {
        var others: [String] = []
        for id in [assignment?.owner, assignment?.standby, assignment?.previousOwner] {
            if let id, id != relay, !others.contains(id) { others.append(id) }
        }
        return TunnelDesk.Place(isOwner: isOwner(link, under: assignment), others: others)
    }

    /// Whether this relay is the tunnel's owner, by the newer of what its link and the assignment say.
    public func isOwner(_ link: HeldLink?, under assignment: Assignment?) -> Bool {
        if let link, link.generation > assignment?.generation ?? 0 { return link.role == .owner }
        return assignment?.owner == relay
    }

    private func serves(_ assignment: Assignment) -> Bool {
        assignment.owner == relay || assignment.standby == relay
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
    public var role: Ticket.Role

    public init(_ ticket: Ticket) {
        session = ticket.session
        agentKey = ticket.agentKey
        generation = ticket.generation
        role = ticket.role
    }
}
