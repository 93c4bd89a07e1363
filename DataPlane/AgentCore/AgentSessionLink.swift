import Core
import Wire

/// What links say, and their silence.
extension AgentSession {
    /// However long a relay gives: an agent that waits longer has forgotten why.
    private static let maxMigrateTime = Milliseconds.minutes(5)

    mutating func linkOpened(_ id: LinkID, _ actions: inout [Action]) {
        guard let index = index(id), let placement, let relay = placement.relay(links[index].relay) else {
            return
        }
        links[index].greeted(generation: placement.generation)
        actions.append(.send(id, .hello(ticket: relay.ticket)))
    }

    mutating func received(_ id: LinkID, _ frame: LinkFrame, _ now: Instant, _ actions: inout [Action]) {
        guard let index = index(id) else { return }
        links[index].heard(now)
        switch frame {
        case .welcome(let limits):
            guard links[index].hasSpoken else { return }
            welcomed(index, limits, now, &actions)
        case .ping(let token): actions.append(.send(id, .pong(token)))
        case .goAway(let reconnectIn, let reason):
            actions.append(.closeLink(id))
            dismissed(links[index], reconnectIn, reason, now, &actions)
        default: if links[index].isUp { served(index, frame, now, &actions) }
        }
    }

    private mutating func welcomed(
        _ index: Int, _ limits: Limits, _ now: Instant, _ actions: inout [Action]
    ) {
        let link = links[index]
        links[index].welcomed(limits, now)
        mayHurry = true
        if !link.isUp, link.relay == placement?.standby?.id {
            actions.append(.tell(.standbyUp(relay: link.relay)))
        }
        advance(now, &actions)
    }

    /// What has a meaning only behind WELCOME.
    private mutating func served(
        _ index: Int, _ frame: LinkFrame, _ now: Instant, _ actions: inout [Action]
    ) {
        let id = links[index].id
        switch frame {
        case .park(let nonces, let rendezvous):
            for nonce in nonces {
                bring(DataRequest(link: id, nonce: nonce, rendezvous: rendezvous, isParked: true), &actions)
            }
        case .open(let nonce, let rendezvous):
            bring(DataRequest(link: id, nonce: nonce, rendezvous: rendezvous, isParked: false), &actions)
        case .limits(let limits): links[index].limitsChanged(limits)
        case .migrate(let within, let leave): migrate(index, within, leave, now)
        // The agent's own frames.
        case .hello, .welcome, .refuse, .ping, .pong, .goAway: break
        }
    }

    /// Somewhere in the time that the relay gives, so that not all of its agents ask at once. What a relay says
    /// about a ticket that is replaced already, it says again if it holds for the new one.
    private mutating func migrate(_ index: Int, _ within: Milliseconds, _ leave: Bool, _ now: Instant) {
        let link = links[index]
        guard placement?.names(link.relay) == true, leave || !link.isRenewing else { return }
        links[index].wish = max(link.wish, leave ? .leave : .fetch)
        let due = now + backoff.within(min(within, Self.maxMigrateTime))
        links[index].askAt = link.askAt.map { min($0, due) } ?? due
    }

    /// The relay ended a link on purpose.
    private mutating func dismissed(
        _ link: RelayLink, _ reconnectIn: Milliseconds, _ reason: GoAwayReason, _ now: Instant,
        _ actions: inout [Action]
    ) {
        var isToBlame = false
        switch reason {
        case .replaced:
            forget(link.id)
            if link.isUp { actions.append(.closeParked(link.id)) }
            return replaced(now, &actions)
        case .revoked:
            forget(link.id)
            return fail(.revoked(address: tunnel?.hostname ?? ""), &actions)
        // With players here, they came through a relay that this one does not know of.
        case .idle where isOwner(link) && playerCount == 0:
            forget(link.id)
            if link.isUp { actions.append(.closeParked(link.id)) }
            return fallAsleep(idle_s: link.limits.idle_timeout_s, &actions)
        case .ticketRefused, .staleGeneration:
            if let ticket = placement?.relay(link.relay)?.ticket { refusedTickets.insert(ticket) }
        case .overloaded, .draining, .stopping: isToBlame = true
        case .idle, .unspecified, .protocolError: break
        }
        lost(
            link.id, Self.words(for: reason, link.relay), isToBlame: isToBlame, atLeast: reconnectIn, now,
            &actions)
    }

    private static func words(for reason: GoAwayReason, _ relay: String) -> String {
        switch reason {
        case .draining, .stopping: "relay \(relay) is restarting"
        case .ticketRefused: "relay \(relay) did not accept the ticket"
        case .staleGeneration: "the tunnel has moved from relay \(relay)"
        case .overloaded: "relay \(relay) has no room for this agent right now"
        case .protocolError: "relay \(relay) did not understand this agent: is there a newer one?"
        case .unspecified, .replaced, .revoked, .idle: "relay \(relay) ended the link"
        }
    }

    mutating func linkClosed(_ id: LinkID, _ reason: String, _ now: Instant, _ actions: inout [Action]) {
        guard let link = link(id) else { return }
        let words =
            link.isUp
            ? "the link to relay \(link.relay) broke: \(reason)"
            : "relay \(link.relay) cannot be reached: \(reason)"
        lost(id, words, isToBlame: true, now, &actions)
    }

    mutating func timePassed(_ now: Instant, _ actions: inout [Action]) {
        for id in links.map({ $0.id }) {
            guard let index = index(id) else { continue }
            if links[index].isLate(now) {
                actions.append(.closeLink(id))
                linkClosed(id, "no answer for \(RelayLink.limit.count / 1000) s", now, &actions)
                continue
            }
            switch links[index].check(now) {
            case .quiet: break
            case .ask(let token): actions.append(.send(id, .ping(token)))
            case .dead:
                actions.append(.closeLink(id))
                linkClosed(id, "no sign of life for \(LinkWatch.deadAfter.count / 1000) s", now, &actions)
            }
        }
        if conversation.isNone, let due = questionDue, now >= due { ask(now, &actions) }
    }
}
