import Core
import Wire

/// Data connections, the players on them, and the server at home. They outlive the links that asked for them.
extension AgentSession {
    struct Players: Sendable {
        var dataConnections = 0
        var visits: [Int: (visit: Visit, since: Instant)] = [:]
        var localServerAnswers: Bool?
        var lastLocalWarning: Instant?
    }

    private static let localWarningPause = Milliseconds.seconds(30)

    mutating func handlePlayers(_ event: Event, _ now: Instant, _ actions: inout [Action]) {
        switch event {
        case .dataConnectionFailed(let request, let reason): refuse(request, reason, &actions)
        case .dataConnectionEnded: players.dataConnections -= 1
        case .localServer(let answers, let forPlayer): localServer(answers, forPlayer, now, &actions)
        case .playerJoined(let visit):
            players.visits[visit.id] = (visit, now)
            actions.append(.tell(.playerJoined(visit, players: playerCount)))
        case .playerLeft(let id):
            guard let stay = players.visits.removeValue(forKey: id) else { break }
            actions.append(
                .tell(.playerLeft(stay.visit, players: playerCount, stay: now.since(stay.since))))
        default: break
        }
    }

    mutating func bring(_ request: DataRequest, _ actions: inout [Action]) {
        guard players.dataConnections < options.maxDataConnections else {
            return refuse(request, .busy, &actions)
        }
        players.dataConnections += 1
        actions.append(.bring(request))
    }

    /// On the link that asked, if it is still there: the player need not wait for the relay's own deadline.
    private func refuse(_ request: DataRequest, _ reason: RefusalReason, _ actions: inout [Action]) {
        guard link(request.link)?.isUp == true else { return }
        actions.append(.send(request.link, .refuse(request.nonce, request.rendezvous, reason)))
    }

    /// Tells when the local server goes away and comes back; while it is away, not for every player.
    private mutating func localServer(
        _ answers: Bool, _ forPlayer: Bool, _ now: Instant, _ actions: inout [Action]
    ) {
        let before = players.localServerAnswers
        players.localServerAnswers = answers
        if answers {
            players.lastLocalWarning = nil
            if before == false { actions.append(.tell(.localServerBack(options.local))) }
            return
        }
        if let last = players.lastLocalWarning, now < last + Self.localWarningPause { return }
        players.lastLocalWarning = now
        actions.append(.tell(.localServerSilent(options.local, playerWaits: forPlayer)))
    }
}
