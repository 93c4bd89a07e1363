import Core
import Wire

/// How a session comes to its end: for want of players, because another one took over, or because it has to.
extension AgentSession {
    /// Neither what the person asked for nor a failure.
    static let asleepExit: Int32 = 3
    /// Players of a session that another one replaced may play on for so long.
    static let finishLimit = Milliseconds.minutes(10)

    // MARK: sleep

    /// The owner closed the tunnel: nobody had played for `idle_s`. With nobody there to open it again, it ends.
    mutating func fallAsleep(idle_s: Int?, _ actions: inout [Action]) {
        dropEverything(&actions)
        backoff.reset()
        actions.append(
            .tell(.asleep(address: tunnel?.hostname ?? "", idle_s: idle_s, canWake: options.canWake)))
        guard options.canWake else {
            mode = .ended
            return actions.append(.exit(Self.asleepExit))
        }
        mode = .asleep
        actions.append(.awaitWake)
    }

    mutating func handleAsleep(_ event: Event, _ now: Instant, _ actions: inout [Action]) {
        switch event {
        case .woken:
            mode = .running
            ask(now, &actions)
        case .interrupted: interrupted(&actions)
        default: handlePlayers(event, now, &actions)
        }
    }

    // MARK: another session

    /// Another session has the tunnel: stop serving instead of fighting, and let who plays here finish.
    mutating func replaced(_ now: Instant, _ actions: inout [Action]) {
        let failure = AgentFailure.replaced(address: tunnel?.hostname ?? "")
        guard playerCount > 0 else { return fail(failure, &actions) }
        dropEverything(&actions)
        mode = .finishing(until: now + Self.finishLimit)
        actions.append(.tell(.failed(failure)))
        actions.append(.tell(.finishing(players: playerCount, limit: Self.finishLimit)))
    }

    mutating func handleFinishing(
        _ event: Event, _ until: Instant, _ now: Instant, _ actions: inout [Action]
    ) {
        handlePlayers(event, now, &actions)
        var isOver = players.dataConnections <= 0 && playerCount == 0
        switch event {
        case .interrupted: isOver = true
        case .timePassed: if now >= until { isOver = true }
        default: break
        }
        guard isOver else { return }
        actions.append(.tell(.stopping(players: playerCount)))
        mode = .ended
        actions.append(.exit(1))
    }

    // MARK: the end

    mutating func interrupted(_ actions: inout [Action]) {
        actions.append(.tell(.stopping(players: playerCount)))
        end(exitCode: 0, &actions)
    }

    /// Stops for a reason that only a person can remove.
    mutating func fail(_ failure: AgentFailure, _ actions: inout [Action]) {
        actions.append(.tell(.failed(failure)))
        end(exitCode: 1, &actions)
    }

    private mutating func end(exitCode: Int32, _ actions: inout [Action]) {
        for link in links { close(link, &actions) }
        links = []
        conversation = .none
        mode = .ended
        actions.append(.exit(exitCode))
    }

    private mutating func dropEverything(_ actions: inout [Action]) {
        for link in links {
            close(link, &actions)
            if link.isUp { actions.append(.closeParked(link.id)) }
        }
        links = []
        conversation = .none
        nextAsk = nil
        refreshAt = nil
        toldRelay = nil
    }
}
