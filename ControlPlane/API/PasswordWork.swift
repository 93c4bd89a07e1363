import Core
import Crypto
import Dispatch
import Synchronization

/// Checks and hashes passwords on threads of its own, few at a time: a hash takes 32 MiB and a fifth of a second.
/// Every branch of sign-up and login asks for exactly one hash, so that time tells a stranger nothing.
final class PasswordWork: Sendable {
    private enum Place { case start, wait, full }

    private struct Line {
        var running = 0
        var waiting: [@Sendable () -> Void] = []
        var first = 0
    }

    private let concurrent: Int
    private let maxWaiting: Int
    private let line = Mutex(Line())
    let done: Counter
    private let queue = DispatchQueue(label: "passwords", attributes: .concurrent)

    /// `done` counts hashes.
    init(concurrent: Int = 2, maxWaiting: Int = 256, done: Counter = Counter()) {
        self.done = done
        self.concurrent = concurrent
        self.maxWaiting = maxWaiting
    }

    func hash(_ password: String) async throws(Problem) -> String {
        try await run { Scrypt.hash(password: password) }
    }

    /// With nil the same work is done and the answer is no.
    func verify(_ password: String, against hash: String?) async throws(Problem) -> Bool {
        try await run { Scrypt.verify(password: password, hash: hash ?? Scrypt.dummyHash) && hash != nil }
    }

    private func run<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async throws(Problem) -> Value
    {
        let value: Value? = await withCheckedContinuation { continuation in
            let job: @Sendable () -> Void = {
                let value = work()
                self.done.add()
                continuation.resume(returning: value)
                self.next()
            }
            let place = line.withLock { line -> Place in
                if line.running < concurrent {
                    line.running += 1
                    return .start
                }
                guard line.waiting.count - line.first < maxWaiting else { return .full }
                line.waiting.append(job)
                return .wait
            }
            switch place {
            case .start: queue.async(execute: job)
            case .wait: break
            case .full: continuation.resume(returning: nil)
            }
        }
        guard let value else {
            throw .unavailable(
                "Too many people are signing in right now. Try again in a few seconds.", retryAfter_s: 5)
        }
        return value
    }

    private func next() {
        let job = line.withLock { line -> (@Sendable () -> Void)? in
            guard line.first < line.waiting.count else {
                line.waiting = []
                line.first = 0
                line.running -= 1
                return nil
            }
            line.first += 1
            return line.waiting[line.first - 1]
        }
        if let job { queue.async(execute: job) }
    }
}
