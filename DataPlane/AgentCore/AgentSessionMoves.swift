import Core
import Wire

/// Which links there are: dialled, let go, lost; and which of them people are told of.
extension AgentSession {
    func index(_ id: LinkID) -> Int? { links.firstIndex { $0.id == id } }
    func link(_ id: LinkID) -> RelayLink? { links.first { $0.id == id } }
    func link(to relay: String) -> RelayLink? { links.first { $0.relay == relay } }

    /// Its word counts for the tunnel: the owner's, and that of the last one that serves.
    func isOwner(_ link: RelayLink) -> Bool {
        link.relay == placement?.owner.id || !links.contains { $0.isUp && $0.id != link.id }
    }

    /// All links that the placement asks for are up.
    private var isLinked: Bool {
        guard let placement else { return false }
        return placement.relays.allSatisfy { link(to: $0.id)?.isUp == true }
    }

    /// They are, and no relay wants another placement.
    var isWhole: Bool { isLinked && links.allSatisfy { $0.wish == .none } }

    /// Worth dialling without asking anybody.
    private func isGood(_ relay: PlacedRelay) -> Bool {
        !unreachable.contains(relay.id) && !refusedTickets.contains(relay.ticket)
    }

    /// Goes on towards the newest placement: its owner first, and behind the owner's WELCOME what is no longer
    /// named goes and the standby is dialled.
    mutating func advance(_ now: Instant, _ actions: inout [Action]) {
        guard let placement else { return }
        if isGood(placement.owner) { dial(placement.owner, now, &actions) }
        if link(to: placement.owner.id)?.isCurrent == true {
            for link in links where !placement.names(link.relay) { letGo(link, &actions) }
            if let standby = placement.standby, isGood(standby) { dial(standby, now, &actions) }
            if isLinked { unreachable = [] }
        }
        if isWhole { nextAsk = nil }
        announce(&actions)
    }

    /// With the tickets from before, while the control plane cannot be asked.
    mutating func comeBackBlindly(_ now: Instant, _ actions: inout [Action]) {
        for relay in placement?.relays ?? [] where !refusedTickets.contains(relay.ticket) {
            dial(relay, isBlind: true, now, &actions)
        }
    }

    private mutating func dial(
        _ relay: PlacedRelay, isBlind: Bool = false, _ now: Instant, _ actions: inout [Action]
    ) {
        guard link(to: relay.id) == nil else { return }
        let id = LinkID(nextNumber())
        if !isBlind, !links.contains(where: { $0.isUp }) {
            actions.append(.tell(.connecting(relay: relay.id)))
        }
        links.append(RelayLink(id: id, relay: relay.id, isBlind: isBlind, now: now))
        actions.append(.dial(id, relay))
    }

    /// The link is no longer needed; players who came by it stay.
    private mutating func letGo(_ link: RelayLink, _ actions: inout [Action]) {
        close(link, &actions)
        if link.isUp { actions.append(.closeParked(link.id)) }
        forget(link.id)
    }

    func close(_ link: RelayLink, _ actions: inout [Action]) {
        if link.isUp { actions.append(.send(link.id, .goAway(reconnectIn: Milliseconds(0), .stopping))) }
        actions.append(.closeLink(link.id))
    }

    mutating func forget(_ id: LinkID) { links.removeAll { $0.id == id } }

    /// A link went without our doing. `isToBlame`: the next question names its relay as one to avoid.
    mutating func lost(
        _ id: LinkID, _ reason: String, isToBlame: Bool, atLeast: Milliseconds = Milliseconds(0),
        _ now: Instant, _ actions: inout [Action]
    ) {
        guard let link = link(id) else { return }
        forget(id)
        if link.isUp { actions.append(.closeParked(id)) }
        if link.wasGood(now) { backoff.reset() }
        // Nobody misses what the placement does not name.
        guard let placement, placement.names(link.relay) else { return announce(lost: link.relay, &actions) }
        if isToBlame, !link.isBlind || link.isUp { exclude(link.relay) }
        if link.relay == placement.standby?.id, link.isUp {
            actions.append(.tell(.standbyLost(relay: link.relay, reason: reason)))
        }
        announce(lost: link.relay, &actions)
        lack(
            reason, atLeast: atLeast, atOnce: !link.isUp && mayHurry, isNew: link.isUp, now, &actions)
        if !link.isUp { mayHurry = false }
    }

    private mutating func exclude(_ relay: String) {
        guard !unreachable.contains(relay) else { return }
        unreachable.append(relay)
        if unreachable.count > Self.maxExcluded { unreachable.removeFirst() }
    }

    // MARK: words

    /// Tells when players come in by another relay than was told last. The owner is preferred; otherwise what was
    /// told stays as long as it is so.
    private mutating func announce(lost: String? = nil, _ actions: inout [Action]) {
        let up = links.filter { $0.isUp }
        let serving =
            up.first { $0.relay == placement?.owner.id } ?? up.first { $0.relay == toldRelay } ?? up.first
        guard let serving else { return toldRelay = nil }
        guard serving.relay != toldRelay else { return }
        let address = tunnel?.hostname ?? ""
        if let before = toldRelay {
            actions.append(
                .tell(
                    .migrated(address: address, relay: serving.relay, lost: lost == before ? lost : nil)))
        } else {
            actions.append(
                .tell(
                    .ready(
                        address: address, relay: serving.relay, region: tunnel?.region ?? "", again: wasReady)
                ))
        }
        toldRelay = serving.relay
        wasReady = true
    }
}
