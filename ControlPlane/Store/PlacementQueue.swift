import Core
import Domain
import Synchronization
import Wire

/// One agent session's wish for a place.
struct PlacementRequest: Sendable {
    var tunnel: TunnelID
    var account: AccountID
    var agentKey: AgentKeyID
    var session: String
    var excluding: Set<String>
    /// Runs again when the transaction does.
    var decide: @Sendable (PlacementQuestion) -> PlacementDecision

    func question(_ present: PresentPlacement?, _ relays: [RelayInfo], _ hasPriority: Bool)
        -> PlacementQuestion
    {
        PlacementQuestion(
            tunnel: tunnel.text, wish: .session(session, excluding: excluding), present: present,
            relays: relays, hasPriority: hasPriority)
    }
}

/// Collects what is asked for while a transaction is under way, so that the next one does all of it: a region's row is
/// held until the disk has the commit, and would otherwise let through one placement at a time.
final class PlacementQueue: Sendable {
    typealias Answer = Result<PlacementView?, StoreError>
    typealias Work = @Sendable ([PlacementRequest]) async -> [Answer]

    private struct Waiting {
        let request: PlacementRequest
        let continuation: CheckedContinuation<Answer, Never>
    }

    private struct State {
        var waiting: [Waiting] = []
        var workers = 0
    }

    /// Two: one gathers what it needs while the other one commits.
    private static let maxWorkers = 2
    static let maxBatch = 100
    private let state = Mutex(State())

    var waitingCount: Int { state.withLock { $0.waiting.count } }

    func place(_ request: PlacementRequest, _ work: @escaping Work) async -> Answer {
        await withCheckedContinuation { continuation in
            let begins = state.withLock { state in
                state.waiting.append(Waiting(request: request, continuation: continuation))
                guard state.workers < Self.maxWorkers else { return false }
                state.workers += 1
                return true
            }
            if begins { Task { await drain(work) } }
        }
    }

    private func drain(_ work: Work) async {
        while let batch = state.withLock({ Self.take(&$0) }) {
            let answers = await work(batch.map(\.request))
            for (waiting, answer) in zip(batch, answers) { waiting.continuation.resume(returning: answer) }
            guard case .failure(.unavailable)? = answers.first else { continue }
            // The next one would wait as long for nothing: everybody is told now.
            let rest = state.withLock { state in
                defer { state.waiting = [] }
                return state.waiting
            }
            for waiting in rest { waiting.continuation.resume(returning: answers[0]) }
        }
    }

    /// The oldest ones, no tunnel twice; nil ends the worker.
    private static func take(_ state: inout State) -> [Waiting]? {
        var batch: [Waiting] = []
        var rest: [Waiting] = []
        var tunnels: Set<TunnelID> = []
        for waiting in state.waiting {
            if batch.count < maxBatch, tunnels.insert(waiting.request.tunnel).inserted {
                batch.append(waiting)
            } else {
                rest.append(waiting)
            }
        }
        state.waiting = rest
        if batch.isEmpty {
            state.workers -= 1
            return nil
        }
        return batch
    }
}
