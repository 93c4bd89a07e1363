import RelayCore

/// A game client: joins by a name at some relay, plays for a while, leaves.
final class Player {
    /// Why a running player's connection ended without the player wanting it.
    enum Loss {
        case relayDied, agentDied
        /// By an agent that lives.
        case connectionClosed
        case linkLost
        /// The relay cut it: the tunnel was deleted or suspended, or its key revoked.
        case ended
    }

    private enum State {
        case waiting, playing, gone
    }

    private unowned let world: World
    let number: Int
    let tunnel: String
    let hostname: String
    private unowned let relay: Relay
    private let stay_us: Int
    private var state = State.waiting
    private var room: Room?
    private var seat: PlayerID?
    /// How its wait ended: nil when it is in.
    private let onAnswer: (OfflineReason?) -> Void

    private static let patience_us = 15_000_000

    init(
        _ world: World, number: Int, tunnel: String, hostname: String, at relay: Relay, stay_us: Int,
        _ onAnswer: @escaping (OfflineReason?) -> Void
    ) {
        self.world = world
        self.number = number
        self.tunnel = tunnel
        self.hostname = hostname
        self.relay = relay
        self.stay_us = stay_us
        self.onAnswer = onAnswer
    }

    var isWaiting: Bool { state == .waiting }

    /// The client's connection is accepted at the relay.
    func arrive() {
        guard relay.isUp else { return answer(.agentAway) }
        world.after(us: Self.patience_us) { [self] in if state == .waiting { leave() } }
        relay.enter(relay.run) { [self] in if state == .waiting { relay.playerArrived(self) } }
    }

    func seated(_ room: Room, _ id: PlayerID) {
        self.room = room
        seat = id
    }

    func turnedAway(_ reason: OfflineReason) {
        guard state == .waiting else { return }
        answer(reason)
    }

    private func answer(_ reason: OfflineReason) {
        state = .gone
        room = nil
        world.trace("player \(number) is turned away from \(tunnel) at \(relay.name): \(reason)")
        onAnswer(reason)
    }

    func spliced(agentKey: String?) {
        guard state == .waiting else { return }
        state = .playing
        world.trace("player \(number) is in \(tunnel) at \(relay.name)")
        world.invariants.joined(self, tunnel, agentKey: agentKey)
        onAnswer(nil)
        world.after(us: stay_us) { [self] in leave() }
    }

    func dropped(_ reason: Loss) {
        guard state != .gone else { return }
        let played = state == .playing
        state = .gone
        room = nil
        if played {
            world.trace("player \(number) is dropped from \(tunnel) at \(relay.name): \(reason)")
            world.invariants.dropped(self, reason)
        } else {
            onAnswer(.agentAway)
        }
    }

    /// The client closes its connection.
    private func leave() {
        guard state != .gone else { return }
        if state == .playing { world.invariants.left(self) }
        state = .gone
        guard let room, let seat else { return }
        self.room = nil
        let run = relay.run
        relay.enter(run) { room.playerLeft(seat) }
    }
}
