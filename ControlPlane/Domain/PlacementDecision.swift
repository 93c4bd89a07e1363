import Core
import Wire

/// The relays of one placement, by id.
public struct PlacementSeats: Sendable, Hashable {
    public var owner: String
    /// Never the owner.
    public var standby: String?
    public var previousOwner: String?

    public init(owner: String, standby: String? = nil, previousOwner: String? = nil) {
        self.owner = owner
        self.standby = standby
        self.previousOwner = previousOwner
    }
}

/// A placement as it stands.
public struct PresentPlacement: Sendable, Hashable {
    /// nil after its agent key was revoked.
    public var owner: String?
    public var standby: String?
    public var previousOwner: String?
    public var generation: Int
    public var session: String?
    /// The last sessions that another one took over from.
    public var replacedSessions: [String]

    public init(
        owner: String?, standby: String? = nil, previousOwner: String? = nil, generation: Int,
        session: String?, replacedSessions: [String] = []
    ) {
        self.owner = owner
        self.standby = standby
        self.previousOwner = previousOwner
        self.generation = generation
        self.session = session
        self.replacedSessions = replacedSessions
    }
}

/// What somebody wants of a placement.
public enum PlacementWish: Sendable, Hashable {
    /// An agent session asks for its place, and names relays that it could not reach or is to leave.
    case session(String, excluding: Set<String>)
    /// The orchestrator's: replaces an owner or standby that is lost or draining, and gives a standby where there is
    /// none. Keeps the session.
    case repair
    /// The orchestrator's, to even out loads; the session stays. To the standby, owner and standby change places.
    case moveOwner(to: String)
    case moveStandby(to: String)
}

/// Where a tunnel shall live, asked with all that the answer depends on beside loads, time and chance.
public struct PlacementQuestion: Sendable, Hashable {
    public var tunnel: String
    public var wish: PlacementWish
    /// nil for a tunnel that was never placed.
    public var present: PresentPlacement?
    /// All of the tunnel's region.
    public var relays: [RelayInfo]
    /// Whether the account's plan goes first when there is little room.
    public var hasPriority: Bool

    public init(
        tunnel: String, wish: PlacementWish, present: PresentPlacement?, relays: [RelayInfo],
        hasPriority: Bool = false
    ) {
        self.tunnel = tunnel
        self.wish = wish
        self.present = present
        self.relays = relays
        self.hasPriority = hasPriority
    }
}

/// Where a tunnel lives from now on. Pure: made in the transaction that writes it, by reconcilers and in the
/// simulation alike.
///
/// - The session that has the placement keeps owner and standby while both are good: active, not draining, not
///   excluded. It is never refused for want of room.
/// - A bad owner gives way to a good standby, whose link is up already; else owner and standby are chosen anew.
/// - A bad or missing standby is replaced where there is a good one; one that is draining or lost is dropped, one
///   that the agent merely could not reach stays when there is no other.
/// - Another session has both chosen anew, unless a newer one took over from it.
/// - Worse relays come last rather than never: draining ones, then those that the agent could not reach, then lost
///   ones. A standby is good or there is none.
public enum PlacementDecision: Sendable, Hashable {
    /// Nothing changes, the generation included.
    case keep
    /// Another generation.
    case place(PlacementSeats)
    /// A newer session has the tunnel: one that lost it while it was away must not take it back.
    case wasReplaced
    case noRelay
    /// There are relays, but none has room for this account's plan.
    case full
}

extension PlacementQuestion {
    public func decision(
        by loads: RelayLoads, now: Instant, using random: inout some RandomNumberGenerator
    ) -> PlacementDecision {
        switch wish {
        case .session(let session, let excluded):
            let judge = RelayJudge(relays, loads, excluded: excluded)
            if let present, present.session == session, let owner = present.owner {
                return stay(present, owner, judge, loads, now, &random)
            }
            if present?.replacedSessions.contains(session) == true { return .wasReplaced }
            return anew(judge, loads, now, &random)
        case .repair:
            guard let present, present.session != nil, let owner = present.owner else { return .keep }
            let decision = stay(present, owner, RelayJudge(relays, loads), loads, now, &random)
            if case .place = decision { return decision }
            return .keep
        case .moveOwner(let target):
            guard let present, present.session != nil, let owner = present.owner, target != owner else {
                return .keep
            }
            let judge = RelayJudge(relays, loads)
            guard judge.isGood(target), loads.room(target, now: now) < .none else { return .keep }
            // The owner has a link already: in an exchange nobody needs a new one.
            var standby = present.standby
            if target == standby { standby = owner }
            if let name = standby, !judge.isGood(name) { standby = nil }
            standby = standby ?? freshStandby(beside: target, judge, loads, now, &random)
            return .place(seats(target, standby))
        case .moveStandby(let target):
            guard let present, present.session != nil, let owner = present.owner, target != owner,
                target != present.standby, RelayJudge(relays, loads).isGood(target),
                loads.room(target, now: now) < .none
            else { return .keep }
            return .place(seats(owner, target))
        }
    }

    /// For the session that has the placement.
    private func stay(
        _ present: PresentPlacement, _ owner: String, _ judge: RelayJudge, _ loads: RelayLoads,
        _ now: Instant, _ random: inout some RandomNumberGenerator
    ) -> PlacementDecision {
        guard let best = judge.best else { return .noRelay }
        var newOwner = owner
        var kept = present.standby == owner ? nil : present.standby
        if judge[owner] != best {
            if let standby = kept, judge[standby] == best {
                newOwner = standby
            } else if let found = loads.choose(
                from: judge.bestRelays, as: .owner, hasPriority: hasPriority, now: now, using: &random)
            {
                newOwner = found
            } else if judge[owner].map({ $0 < .lost }) ?? false {
                // Nobody better has room, and this one still works.
                newOwner = owner
            } else {
                return .full
            }
            if kept == newOwner { kept = nil }
        }
        var standby = kept.flatMap { judge.isGood($0) ? $0 : nil }
        standby = standby ?? freshStandby(beside: newOwner, judge, loads, now, &random)
        if standby == nil, let kept, judge[kept] == .unreached { standby = kept }
        if newOwner == owner, standby == present.standby { return .keep }
        return .place(seats(newOwner, standby))
    }

    private func anew(
        _ judge: RelayJudge, _ loads: RelayLoads, _ now: Instant, _ random: inout some RandomNumberGenerator
    ) -> PlacementDecision {
        guard judge.best != nil else { return .noRelay }
        guard
            let owner = loads.choose(
                from: judge.bestRelays, as: .owner, hasPriority: hasPriority, now: now, using: &random)
        else { return .full }
        return .place(seats(owner, freshStandby(beside: owner, judge, loads, now, &random)))
    }

    /// Among good relays that are not known to be silent.
    private func freshStandby(
        beside owner: String, _ judge: RelayJudge, _ loads: RelayLoads, _ now: Instant,
        _ random: inout some RandomNumberGenerator
    ) -> String? {
        guard judge.best == .good else { return nil }
        let candidates = judge.bestRelays.filter { $0 != owner && !loads.isSilent($0, now: now) }
        return loads.choose(
            from: candidates, as: .standby, hasPriority: hasPriority, now: now, using: &random)
    }

    private func seats(_ owner: String, _ standby: String?) -> PlacementSeats {
        var previous = present?.previousOwner
        if let before = present?.owner, before != owner { previous = before }
        return PlacementSeats(
            owner: owner, standby: standby, previousOwner: previous == owner ? nil : previous)
    }

    /// The links that an agent has yet to make for these seats: relays that have one already get no more load.
    public func linksToCome(for seats: PlacementSeats) -> (owner: String?, standby: String?) {
        var linked: [String] = []
        if let present, wish.keepsSession(of: present) {
            linked = [present.owner, present.standby].compactMap { $0 }
        }
        return (
            linked.contains(seats.owner) ? nil : seats.owner,
            seats.standby.flatMap { linked.contains($0) ? nil : $0 }
        )
    }
}

extension PlacementWish {
    fileprivate func keepsSession(of present: PresentPlacement) -> Bool {
        if case .session(let session, _) = self { return session == present.session }
        return true
    }
}

/// Which relays of a region are how good for one placement.
private struct RelayJudge {
    enum Grade: Int, Comparable {
        case good
        /// It works, but not for long.
        case draining
        /// The agent could not reach it, or was told to leave it.
        case unreached
        case drainingUnreached
        case lost
        case lostUnreached

        static func < (left: Grade, right: Grade) -> Bool { left.rawValue < right.rawValue }
    }

    private let relays: [RelayInfo]
    private let excluded: Set<String>
    private let loads: RelayLoads
    /// nil when the region has no relays.
    let best: Grade?
    /// Those of the best grade.
    let bestRelays: [String]

    init(_ relays: [RelayInfo], _ loads: RelayLoads, excluded: Set<String> = []) {
        self.relays = relays
        self.loads = loads
        self.excluded = excluded
        var best: Grade?
        var found: [String] = []
        for relay in relays {
            guard let grade = Self.grade(relay, loads, excluded) else { continue }
            if let before = best, before < grade { continue }
            if best != grade { found = [] }
            best = grade
            found.append(relay.id)
        }
        self.best = best
        bestRelays = found
    }

    private static func grade(_ relay: RelayInfo, _ loads: RelayLoads, _ excluded: Set<String>) -> Grade? {
        let isExcluded = !excluded.isEmpty && excluded.contains(relay.id)
        switch relay.state {
        // It says itself that it drains some time before the database does.
        case .active where !loads.isDraining(relay.id): return isExcluded ? .unreached : .good
        case .active, .draining: return isExcluded ? .drainingUnreached : .draining
        case .lost: return isExcluded ? .lostUnreached : .lost
        case .removed: return nil
        }
    }

    /// nil when it is gone.
    subscript(relay: String) -> Grade? {
        relays.first { $0.id == relay }.flatMap { Self.grade($0, loads, excluded) }
    }

    func isGood(_ relay: String) -> Bool { self[relay] == .good }
}
