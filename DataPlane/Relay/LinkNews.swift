import Synchronization

/// Which links came and went since the control plane last heard, in a form that may be told twice.
final class LinkNews: Sendable {
    struct Change: Sendable, Hashable {
        let tunnel: String
        let generation: Int
        let isUp: Bool
    }

    private struct State: Sendable {
        var present: [String: Int] = [:]
        var untold: [String: Change] = [:]
    }

    private let state = Mutex(State())

    func up(tunnel: String, generation: Int) {
        state.withLock { state in
            state.present[tunnel] = generation
            state.untold[tunnel] = Change(tunnel: tunnel, generation: generation, isUp: true)
        }
    }

    func down(tunnel: String, generation: Int) {
        state.withLock { state in
            state.present[tunnel] = nil
            state.untold[tunnel] = Change(tunnel: tunnel, generation: generation, isUp: false)
        }
    }

    /// What to tell now, at most `limit` changes; on failure give them back.
    func take(limit: Int) -> [Change] {
        state.withLock { state in
            let changes = Array(state.untold.values.prefix(limit))
            for change in changes { state.untold[change.tunnel] = nil }
            return changes
        }
    }

    /// Changes that could not be told; newer ones of the same tunnels win.
    func giveBack(_ changes: [Change]) {
        state.withLock { state in
            for change in changes where state.untold[change.tunnel] == nil {
                state.untold[change.tunnel] = change
            }
        }
    }

    /// After the control plane may have forgotten: everything that is up is news again.
    func repeatAll() {
        state.withLock { state in
            for (tunnel, generation) in state.present {
                state.untold[tunnel] = Change(tunnel: tunnel, generation: generation, isUp: true)
            }
        }
    }
}
