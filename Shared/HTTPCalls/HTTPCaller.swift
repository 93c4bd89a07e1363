import Core
import HTTP
import IO
import Synchronization
import TLS

/// Why a call has no answer. It never holds anything of the request but where it went.
public enum HTTPCallError: Error, Sendable, Hashable, CustomStringConvertible {
    case failed(HTTPClientError)
    /// The call as a whole took too long.
    case timedOut(Endpoint)
    /// The task that asked was cancelled.
    case cancelled
    /// The caller was closed.
    case closed

    /// Whether the server cannot have seen the request.
    public var isCertainlyUnsent: Bool {
        if case .failed(.connect) = self { true } else { false }
    }

    public var description: String {
        switch self {
        case .failed(let error): error.description
        case .timedOut(let endpoint): "\(endpoint) took too long"
        case .cancelled: "the call was cancelled"
        case .closed: "this program is stopping"
        }
    }
}

/// Makes requests to other people's services for tasks, on the loop behind a mailbox: `https` with the authorities
/// that this machine trusts (TLS 1.2 or later), or plain `http`. Redirects are answers like any other.
public final class HTTPCaller: Sendable {
    public typealias MakeClient = @Sendable (EventLoop) -> HTTPClient

    private let mailbox: Mailbox
    private let makeClient: MakeClient
    private let desk = Mutex<LoopBound<Desk>?>(nil)
    private let isClosed = Atomic<Bool>(false)

    public convenience init(on mailbox: Mailbox) {
        self.init(on: mailbox) { HTTPClient(loop: $0, oldest: .tls12) }
    }

    /// With a client that trusts somebody else.
    public init(on mailbox: Mailbox, client: @escaping MakeClient) {
        self.mailbox = mailbox
        makeClient = client
    }

    deinit { close() }

    /// Ends the calls under way and takes no more; the loop must still run for the former.
    public func close() {
        isClosed.store(true, ordering: .releasing)
        guard let bound = desk.withLock({ $0.take() }) else { return }
        mailbox.post { bound.get($0).close() }
    }

    /// The answer, whatever its status, within `deadline`, the connection included; a body beyond
    /// `request.maxResponseBytes` is an error.
    public func send(
        _ request: HTTPClientRequest, deadline: Milliseconds
    ) async throws(HTTPCallError) -> HTTPResponse {
        let pending = Pending()
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard pending.begin(continuation) else { return }
                let errand = Errand(for: pending)
                mailbox.post { [weak self] loop in
                    self?.desk(on: loop)?.send(request, deadline, errand)
                }
            }
        } onCancel: {
            pending.finish(.failure(.cancelled))
            mailbox.post { [weak self] loop in
                guard let bound = self?.desk.withLock({ $0 }) else { return }
                bound.get(loop).drop(pending)
            }
        }
        return try result.get()
    }

    /// nil once closed.
    private func desk(on loop: EventLoop) -> Desk? {
        if let bound = desk.withLock({ $0 }) { return bound.get(loop) }
        guard !isClosed.load(ordering: .acquiring) else { return nil }
        let made = Desk(client: makeClient(loop), loop: loop)
        desk.withLock { $0 = LoopBound(made, loop) }
        return made
    }
}

/// One caller's way to its answer: whatever comes first counts.
private final class Pending: Sendable {
    typealias Outcome = Result<HTTPResponse, HTTPCallError>

    private enum State {
        case new
        case waiting(CheckedContinuation<Outcome, Never>)
        case done
        case doneEarly(Outcome)
    }

    private let state = Mutex(State.new)

    /// False when the outcome is there already, which it passes on.
    func begin(_ continuation: CheckedContinuation<Outcome, Never>) -> Bool {
        let early = state.withLock { state -> Outcome? in
            if case .doneEarly(let outcome) = state {
                state = .done
                return outcome
            }
            state = .waiting(continuation)
            return nil
        }
        if let early { continuation.resume(returning: early) }
        return early == nil
    }

    func finish(_ outcome: Outcome) {
        let waiting = state.withLock { state -> CheckedContinuation<Outcome, Never>? in
            switch state {
            case .new:
                state = .doneEarly(outcome)
                return nil
            case .waiting(let continuation):
                state = .done
                return continuation
            case .done, .doneEarly: return nil
            }
        }
        waiting?.resume(returning: outcome)
    }

    var isDone: Bool {
        state.withLock { state in
            switch state {
            case .new, .waiting: false
            case .done, .doneEarly: true
            }
        }
    }
}

/// What the loop holds of a call: when it is dropped, by a loop that has stopped too, the caller gets its end.
private final class Errand: Sendable {
    let pending: Pending

    init(for pending: Pending) { self.pending = pending }

    deinit { pending.finish(.failure(.closed)) }
}

/// The loop's side: the client and the calls under way.
private final class Desk {
    private let client: HTTPClient
    private let loop: EventLoop
    private var calls: [ObjectIdentifier: (call: HTTPClientCall, timer: TimerID, errand: Errand)] = [:]

    init(client: HTTPClient, loop: EventLoop) {
        self.client = client
        self.loop = loop
    }

    func send(_ request: HTTPClientRequest, _ deadline: Milliseconds, _ errand: Errand) {
        guard !errand.pending.isDone else { return }
        var request = request
        request.connectDeadline = min(request.connectDeadline, deadline)
        request.headDeadline = min(request.headDeadline, deadline)
        request.bodyDeadline = min(request.bodyDeadline, deadline)
        let id = ObjectIdentifier(errand.pending)
        let endpoint = request.url.endpoint
        let call = client.send(request) { [weak self] result in
            errand.pending.finish(result.mapError { .failed($0) })
            self?.forget(id)
        }
        let timer = loop.schedule(after: deadline) { [weak self] in
            guard let ended = self?.calls.removeValue(forKey: id) else { return }
            ended.errand.pending.finish(.failure(.timedOut(endpoint)))
            ended.call.cancel()
        }
        calls[id] = (call, timer, errand)
    }

    func drop(_ pending: Pending) { forget(ObjectIdentifier(pending))?.cancel() }

    func close() {
        for id in Array(calls.keys) { forget(id)?.cancel() }
        client.closeIdle()
    }

    @discardableResult
    private func forget(_ id: ObjectIdentifier) -> HTTPClientCall? {
        guard let found = calls.removeValue(forKey: id) else { return nil }
        loop.cancel(found.timer)
        return found.call
    }
}
