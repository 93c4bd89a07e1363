import Core
import Wire

/// Questions for a placement: when they are asked, and what becomes of their answers.
extension AgentSession {
    static let maxExcluded = 8
    /// Without a word about when, a control plane with a queue is asked again after so long.
    private static let queuePause = Milliseconds.seconds(2)

    /// Tickets are good for a day after their last minute, while the control plane is away: a link that lasts longer
    /// needs newer ones. This much is never exceeded; half of it is jitter.
    private static let refreshTime = Milliseconds.minutes(12 * 60)

    mutating func askForPlacement(_ now: Instant, _ actions: inout [Action]) {
        guard let tunnel else { return }
        let half = Milliseconds(Self.refreshTime.count / 2)
        refreshAt = now + half + backoff.within(half)
        var exclude = unreachable
        for index in links.indices {
            links[index].askAt = nil
            // The relay that asks us to leave is not where to go.
            let relay = links[index].relay
            if links[index].wish == .leave, !exclude.contains(relay) { exclude.append(relay) }
        }
        ask(.place(tunnel: tunnel.id, session: options.session, exclude: exclude), &actions)
    }

    /// `excluded`: what the question named.
    mutating func placed(
        _ new: Placement, excluded: [String], _ now: Instant, _ actions: inout [Action]
    ) {
        placement = new
        refusedTickets = []
        nextAsk = nil
        // Named all the same: there is nothing better, so it is tried again.
        unreachable.removeAll { new.names($0) && excluded.contains($0) }
        for link in links where !link.isUp && !new.names(link.relay) {
            close(link, &actions)
            links.removeAll { $0.id == link.id }
        }
        for index in links.indices { renew(index, excluded, &actions) }
        advance(now, &actions)
    }

    /// A link whose relay the new placement names gets the new ticket. What its relay wanted asked is answered, unless
    /// it said so only meanwhile and the answer is no newer than what it knows.
    private mutating func renew(_ index: Int, _ excluded: [String], _ actions: inout [Action]) {
        let link = links[index]
        guard let placement, let relay = placement.relay(link.relay) else { return links[index].askAt = nil }
        switch link.wish {
        case .none: break
        case .fetch:
            if link.askAt != nil, placement.generation <= link.generation { break }
            links[index].wish = .none
            links[index].askAt = nil
        case .leave: if excluded.contains(link.relay) { links[index].askAt = nil }
        }
        guard link.hasSpoken else { return }
        links[index].greeted(generation: placement.generation)
        actions.append(.send(link.id, .hello(ticket: relay.ticket)))
    }

    // MARK: waiting

    /// Something is missing: a question is due, the sooner the worse it is. `atLeast` is what the other side wants.
    /// `isNew`: nothing serves any more since now, so that what was planned is too late.
    mutating func lack(
        _ reason: String, atLeast asked: Milliseconds = Milliseconds(0), atOnce: Bool = false,
        isNew: Bool = false, _ now: Instant, _ actions: inout [Action]
    ) {
        let isServing = links.contains { $0.isUp }
        guard nextAsk == nil || (isNew && !isServing) else { return }
        var time = atOnce && !isServing ? Milliseconds(0) : backoff.next(pace(isServing))
        if asked > Milliseconds(0) { time = max(time, backoff.spread(asked)) }
        var due = now + time
        if let planned = nextAsk { due = min(planned, due) }
        nextAsk = due
        if !isServing { tellReconnecting(max(due, quietUntil ?? due), reason, now, &actions) }
    }

    private func pace(_ isServing: Bool) -> Backoff.Pace {
        guard isServing else { return .nothingServes }
        guard let owner = placement?.owner, let link = link(to: owner.id), link.isUp else {
            return .ownerLacks
        }
        return .standbyLacks
    }

    private func tellReconnecting(
        _ due: Instant, _ reason: String, _ now: Instant, _ actions: inout [Action]
    ) {
        actions.append(.tell(.reconnecting(after: due.since(now), reason: reason)))
    }

    /// Whatever happened: while something is missing and nothing is under way, a question is due.
    mutating func keepGoing(_ now: Instant, _ actions: inout [Action]) {
        guard conversation.isNone, nextAsk == nil, !isWhole,
            links.allSatisfy({ $0.isUp && $0.askAt == nil })
        else { return }
        lack("something is missing", now, &actions)
    }

    // MARK: refusals

    mutating func failed(
        _ request: ControlRequest, _ failure: ControlFailure, _ now: Instant, _ actions: inout [Action]
    ) {
        switch failure {
        case .refused(let refusal) where !refusal.isPassing: stop(request, refusal, now, &actions)
        case .refused(let refusal) where refusal.isQueue: queue(refusal, now, &actions)
        case .refused(let refusal): retry(refusal.detail, refusal.retryAfter, now, &actions)
        case .unreachable, .unreadable: retry(failure.text, nil, now, &actions)
        }
    }

    /// With the control plane away, the relays of the last placement may well still be there: their tickets serve.
    private mutating func retry(
        _ reason: String, _ asked: Milliseconds?, _ now: Instant, _ actions: inout [Action]
    ) {
        // Perhaps nothing is left but what we would not have: next time anything will do.
        unreachable = []
        lack(reason, atLeast: asked ?? Milliseconds(0), now, &actions)
        comeBackBlindly(now, &actions)
    }

    /// Asked to come later, which is no failure: the wait does not grow.
    private mutating func queue(_ refusal: Refusal, _ now: Instant, _ actions: inout [Action]) {
        let due = now + backoff.spread(refusal.retryAfter ?? Self.queuePause)
        quietUntil = due
        nextAsk = due
        guard !links.contains(where: { $0.isUp }) else { return }
        tellReconnecting(due, refusal.detail, now, &actions)
        comeBackBlindly(now, &actions)
    }

    private mutating func stop(
        _ request: ControlRequest, _ refusal: Refusal, _ now: Instant, _ actions: inout [Action]
    ) {
        switch (refusal.status, request) {
        case (401, _): fail(.badKey(detail: refusal.detail), &actions)
        case (402, _), (403, _): fail(.forbidden(detail: refusal.detail), &actions)
        case (404, .place): fail(.tunnelGone(address: tunnel?.hostname ?? ""), &actions)
        case (409, .place) where refusal.code.hasSuffix("replaced"): replaced(now, &actions)
        case (409, .createTunnel(_, let label?)):
            fail(.nameTaken(label: label, detail: refusal.detail), &actions)
        default: fail(.refused(detail: refusal.detail), &actions)
        }
    }
}
