import Dispatch
import IO
import Synchronization
import Testing

/// Runs tests on threads of their own: they wait for sockets and processes by blocking, which the shared pool of
/// threads (as many as there are cores) would not survive.
struct OwnThreads: TestTrait, SuiteTrait, TestScoping {
    let isRecursive = true

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(GrowingPool.shared) { try await function() }
    }
}

extension Trait where Self == OwnThreads {
    static var ownThreads: OwnThreads { OwnThreads() }
}

/// As many threads as there are jobs at a time; idle ones are used again.
final class GrowingPool: TaskExecutor {
    static let shared = GrowingPool()

    private struct State: Sendable {
        var jobs: [UnownedJob] = []
        var idle = 0
    }

    private let state = Mutex(State())
    private let wake = DispatchSemaphore(value: 0)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let hasIdleThread = state.withLock { state in
            state.jobs.append(job)
            guard state.idle > 0 else { return false }
            state.idle -= 1
            return true
        }
        if hasIdleThread {
            wake.signal()
        } else {
            // Without a thread to be had the job waits for the next one that is free.
            try? ThreadHandle.start(name: "test") { [self] in work() }.detach()
        }
    }

    private func work() {
        while true {
            let job = state.withLock { state -> UnownedJob? in
                guard state.jobs.isEmpty else { return state.jobs.removeFirst() }
                state.idle += 1
                return nil
            }
            if let job {
                job.runSynchronously(on: asUnownedTaskExecutor())
            } else {
                wake.wait()
            }
        }
    }
}
