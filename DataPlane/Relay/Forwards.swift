import Core
import IO
import RelayCore
import Synchronization
import Wire

/// What the loops and the mesh share about connections that neighbours behind the same entry pass on: tokens that they
/// announced, and connections that wait for that.
final class Forwards: Sendable {
    /// A guest that showed a token before it was announced.
    struct Waiter: Sendable {
        let door: RelayLoopDoor
        let guest: LoopBound<Guest>
    }

    static let patience = ForwardDesk<Waiter>.patience

    private let desk = Mutex(ForwardDesk<Waiter>())

    /// A relay of this region, which the mesh knows by its certificate, said that a connection with this token comes.
    func announced(_ token: ForwardToken, now: Instant = .now()) {
        guard let waiter = desk.withLock({ $0.announced(token, now: now) }) else { return }
        waiter.door.post { waiter.guest.get($0.loop).letIn() }
    }

    func arrived(_ token: ForwardToken, _ waiter: Waiter, now: Instant) -> ForwardDesk<Waiter>.Arrival {
        desk.withLock { $0.arrived(token, waiter, now: now) }
    }

    func gaveUp(_ token: ForwardToken) { desk.withLock { $0.gaveUp(token) } }

    /// Tokens and guests that are kept now.
    var count: Int { desk.withLock { $0.count } }
}
