import Core
import Dispatch
import Synchronization

/// Lets requests and the publisher wait until a region's revision grows. What it knows is a hint: whoever is woken
/// reads the database.
public final class RegionWatch: Sendable {
    private struct Waiter {
        /// nil waits for a change anywhere.
        let region: String?
        let rev: Int
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var heads: [String: Int] = [:]
        var waiters: [Int: Waiter] = [:]
        var nextID = 0
        var isOpen = true
        /// Grows with each change anywhere.
        var changes = 0
    }

    private let state = Mutex(State())
    private let timers = DispatchQueue(label: "region-watch")

    public init() {}

    /// Requests that wait for a region; the publisher is not one.
    public var waiting: Int { state.withLock { $0.waiters.values.count { $0.region != nil } } }

    /// A region is now at `rev`.
    public func advance(_ region: String, to rev: Int) {
        let woken = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            // Not the highest ever seen: a database restored from a backup begins lower.
            state.heads[region] = rev
            state.changes += 1
            return Self.take(&state) { $0.region == nil || ($0.region == region && $0.rev < rev) }
        }
        for continuation in woken { continuation.resume() }
    }

    /// Notifications may have been missed: everyone has another look.
    public func wakeAll() {
        let woken = state.withLock { state in
            state.changes += 1
            return Self.take(&state) { _ in true }
        }
        for continuation in woken { continuation.resume() }
    }

    /// No more waiting: the program ends.
    public func close() {
        state.withLock { $0.isOpen = false }
        wakeAll()
    }

    /// Returns when the region may be beyond `rev`, or after `timeout`.
    public func wait(_ region: String, beyond rev: Int, timeout: Milliseconds) async {
        await wait(timeout) { state in
            (state.heads[region] ?? 0) <= rev ? (region, rev) : nil
        }
    }

    /// Returns once anything changed after `changes`, or after `timeout`: with the number to ask with next time.
    func waitForAny(after changes: Int, timeout: Milliseconds) async -> Int {
        await wait(timeout) { state in state.changes == changes ? (nil, 0) : nil }
        return state.withLock { $0.changes }
    }

    /// `place` says what to wait for; nil when it has come already.
    private func wait(_ timeout: Milliseconds, _ place: (State) -> (region: String?, rev: Int)?) async {
        await withCheckedContinuation { continuation in
            let id = state.withLock { state -> Int? in
                guard state.isOpen, timeout.count > 0, let place = place(state) else { return nil }
                state.nextID += 1
                state.waiters[state.nextID] = Waiter(
                    region: place.region, rev: place.rev, continuation: continuation)
                return state.nextID
            }
            guard let id else { return continuation.resume() }
            timers.asyncAfter(deadline: .now() + .milliseconds(timeout.count)) { [weak self] in
                self?.state.withLock { $0.waiters.removeValue(forKey: id) }?.continuation.resume()
            }
        }
    }

    private static func take(_ state: inout State, where matches: (Waiter) -> Bool)
        -> [CheckedContinuation<Void, Never>]
    {
        let found = state.waiters.filter { matches($0.value) }
        for id in found.keys { state.waiters[id] = nil }
        return found.values.map(\.continuation)
    }
}
