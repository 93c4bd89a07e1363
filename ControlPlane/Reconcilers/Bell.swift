import Core
import Dispatch
import Synchronization

/// Wakes those who wait for work. A ring while nobody waits is heard by whoever waits next.
public final class Bell: Sendable {
    private struct State {
        var rings = 0
        var nextID = 0
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    }

    private let state = Mutex(State())
    private let timers = DispatchQueue(label: "bell")

    public init() {}

    /// How often it has rung; taken before looking for work, given to `wait` after none was found.
    public var rings: Int { state.withLock { $0.rings } }

    public func ring() {
        let woken = state.withLock { state in
            state.rings += 1
            let waiters = state.waiters.values.map { $0 }
            state.waiters = [:]
            return waiters
        }
        for waiter in woken { waiter.resume() }
    }

    /// Returns when it has rung more than `rings` times, or after `timeout`.
    public func wait(beyond rings: Int, timeout: Milliseconds) async {
        await withCheckedContinuation { continuation in
            let id = state.withLock { state -> Int? in
                guard state.rings <= rings else { return nil }
                state.nextID += 1
                state.waiters[state.nextID] = continuation
                return state.nextID
            }
            guard let id else { return continuation.resume() }
            timers.asyncAfter(deadline: .now() + .milliseconds(timeout.count)) { [weak self] in
                self?.state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
            }
        }
    }
}
