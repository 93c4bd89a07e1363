import Core
import Wire

/// The link: greeting, frames, silence, moving and coming back.
extension AgentSession {
    mutating func linkOpened(_ link: LinkID, _ actions: inout [Action]) {
        guard case .linking(link, let placement, _) = attempt else { return }
        actions.append(.send(link, .hello(ticket: placement.ticket)))
    }

    mutating func received(_ link: LinkID, _ frame: LinkFrame, _ now: Instant, _ actions: inout [Action]) {
        if active?.id == link {
            active?.watch.heard(now)
            activeReceived(link, frame, now, &actions)
        } else if case .linking(link, let placement, _) = attempt {
            attemptReceived(link, placement, frame, now, &actions)
        }
    }

    private mutating func attemptReceived(
        _ link: LinkID, _ placement: Placement, _ frame: LinkFrame, _ now: Instant, _ actions: inout [Action]
    ) {
        switch frame {
        case .welcome(let limits): welcomed(link, placement, limits, now, &actions)
        case .ping(let token): actions.append(.send(link, .pong(token)))
        case .goAway(let reconnectIn, let reason):
            attempt = .none
            actions.append(.closeLink(link))
            dismissed(placement, reconnectIn, reason, now, &actions)
        // Nothing else has a meaning before WELCOME.
        default: break
        }
    }

    private mutating func welcomed(
        _ link: LinkID, _ placement: Placement, _ limits: Limits, _ now: Instant, _ actions: inout [Action]
    ) {
        let address = tunnel?.hostname ?? ""
        if let old = active {
            actions.append(.send(old.id, .goAway(reconnectIn: Milliseconds(0), .stopping)))
            actions += [.closeLink(old.id), .closeParked(old.id)]
            actions.append(.tell(.migrated(address: address, relay: placement.relay)))
        } else {
            actions.append(
                .tell(.ready(address: address, relay: placement.relay, region: tunnel?.region ?? "")))
        }
        active = ActiveLink(
            id: link, placement: placement, since: now, watch: LinkWatch(now: now), limits: limits)
        attempt = .none
        unreachable = []
        mayHurry = true
    }

    private mutating func activeReceived(
        _ link: LinkID, _ frame: LinkFrame, _ now: Instant, _ actions: inout [Action]
    ) {
        switch frame {
        case .park(let nonces, let rendezvous):
            for nonce in nonces {
                bring(DataRequest(link: link, nonce: nonce, rendezvous: rendezvous, isParked: true), &actions)
            }
        case .open(let nonce, let rendezvous):
            bring(DataRequest(link: link, nonce: nonce, rendezvous: rendezvous, isParked: false), &actions)
        case .ping(let token): actions.append(.send(link, .pong(token)))
        case .limits(let limits): active?.limits = limits
        case .migrate:
            if attempt.isNone { begin(&actions) }
        case .goAway(let reconnectIn, let reason):
            guard let active else { return }
            let placement = active.placement
            actions.append(.closeLink(link))
            dropActive(now, &actions)
            if reason == .idle { return fallAsleep(idle_s: active.limits.idle_timeout_s, now, &actions) }
            // A move under way goes on; only a final word ends it.
            if attempt.isNone || reason.isFinal {
                dismissed(placement, reconnectIn, reason, now, &actions)
            }
        // The agent's own frames, or a second WELCOME.
        case .hello, .welcome, .refuse, .pong: break
        }
    }

    /// The relay ended a link on purpose.
    private mutating func dismissed(
        _ placement: Placement, _ reconnectIn: Milliseconds, _ reason: GoAwayReason, _ now: Instant,
        _ actions: inout [Action]
    ) {
        let address = tunnel?.hostname ?? ""
        switch reason {
        case .replaced: return fail(.replaced(address: address), &actions)
        case .revoked: return fail(.revoked(address: address), &actions)
        case .ticketRefused, .staleGeneration: forget(placement)
        case .overloaded, .draining, .stopping: exclude(placement.relay)
        case .idle: return fallAsleep(idle_s: nil, now, &actions)
        case .unspecified, .protocolError: break
        }
        wait(Self.words(for: reason, placement.relay), asked: reconnectIn, now, &actions)
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

    mutating func linkClosed(_ link: LinkID, _ reason: String, _ now: Instant, _ actions: inout [Action]) {
        if active?.id == link {
            let relay = active?.placement.relay ?? ""
            dropActive(now, &actions)
            if attempt.isNone { wait("the link to relay \(relay) broke: \(reason)", now, &actions) }
        } else if case .linking(link, let placement, _) = attempt {
            exclude(placement.relay)
            attempt = .none
            wait("relay \(placement.relay) cannot be reached: \(reason)", atOnce: mayHurry, now, &actions)
            mayHurry = false
        }
    }

    mutating func timePassed(_ now: Instant, _ actions: inout [Action]) {
        if let link = active?.id {
            switch active?.watch.check(now) ?? .quiet {
            case .quiet: break
            case .ask(let token): actions.append(.send(link, .ping(token)))
            case .dead:
                actions.append(.closeLink(link))
                // It may still accept connections and be dead all the same.
                exclude(active?.placement.relay ?? "")
                linkClosed(link, "no sign of life for \(LinkWatch.deadAfter.count / 1000) s", now, &actions)
            }
        }
        switch attempt {
        case .waiting(let until) where now >= until: begin(&actions)
        case .linking(let link, _, let deadline) where now >= deadline:
            actions.append(.closeLink(link))
            linkClosed(link, "no answer for \(Self.linkLimit.count / 1000) s", now, &actions)
        default: break
        }
    }

    private mutating func dropActive(_ now: Instant, _ actions: inout [Action]) {
        guard let dropped = active.take() else { return }
        actions.append(.closeParked(dropped.id))
        if now >= dropped.since + Self.goodLink { backoff.reset() }
    }

    /// A ticket that was refused is not tried again.
    private mutating func forget(_ placement: Placement) {
        if held == placement { held = nil }
    }

    private mutating func exclude(_ relay: String) {
        guard !unreachable.contains(relay) else { return }
        unreachable.append(relay)
        if unreachable.count > Self.maxExcluded { unreachable.removeFirst() }
    }
}
