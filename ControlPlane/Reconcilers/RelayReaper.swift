import Core
import Domain
import Store
import Synchronization

/// Notes in the database which relays were heard of, and, as leader, declares those lost that nobody heard of for
/// long. Silence on Redis alone is no evidence: a relay that finds Redis away is heard over HTTP, and after Redis or
/// leadership came back everyone gets time to be heard again.
public struct RelayReaper: Sendable {
    private let store: Store
    private let board: LoadBoard
    private let leadership: Leadership
    private let log = Log("reaper")

    static let interval = Milliseconds.seconds(5)
    static let silence_s = 60
    static let grace = Milliseconds.seconds(2 * silence_s)

    public init(store: Store, board: LoadBoard, leadership: Leadership) {
        self.store = store
        self.board = board
        self.leadership = leadership
    }

    /// Runs until the task is cancelled.
    public func run() async {
        var noted = Instant.now()
        while await Task.pause(Self.interval) {
            let now = Instant.now()
            do {
                let heard = board.current.heardSince(noted)
                if !heard.isEmpty { try await store.noteSeen(relays: heard) }
                noted = now
                try await reap()
            } catch {
                log.debug("cannot look after relays now: \(error)")
            }
        }
    }

    private func reap() async throws {
        guard let lease = leadership.current, let led = leadership.ledFor, led >= Self.grace,
            leadership.redisSteadyFor >= Self.grace
        else { return }
        // When all are silent it is our ears, and there would be nowhere to go.
        guard try await store.hearsRelays(within_s: Self.silence_s) else { return }
        for relay in try await store.reapRelays(silentFor_s: Self.silence_s, as: lease) {
            log.warning(
                "relay is lost: nothing heard of it", ["relay": relay, "seconds": String(Self.silence_s)])
            board.forget(relay)
        }
    }
}
