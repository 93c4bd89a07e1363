import CLinux
import Core
import IO
import Synchronization

/// Asks name servers over UDP and TCP: `TXTLookup` decides, sockets are here. Each question has a socket of its own,
/// so a port of its own.
public struct DNSClient: TXTResolver {
    private let servers: [SocketAddress]
    private let mailbox: Mailbox
    private let room: Room
    /// Look-ups at once; more are turned away.
    private static let maxInFlight = 256

    /// Sockets and timers live on the loop behind `mailbox`.
    public init(servers: [SocketAddress], on mailbox: Mailbox) {
        self.servers = servers
        self.mailbox = mailbox
        room = Room(places: Self.maxInFlight)
    }

    public func txt(_ name: String) async -> TXTAnswer {
        guard let name = DNSName(name) else { return .none }
        guard room.enter() else { return .unavailable("too many look-ups at once") }
        defer { room.leave() }
        let servers = servers
        let waiting = Waiting()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard waiting.wait(continuation) else { return }
                mailbox.post { [caller = Caller(waiting)] loop in
                    Flight(name, servers: servers, loop: loop) { caller.waiting.resume($0) }.start()
                }
            }
        } onCancel: {
            waiting.resume(.unavailable("the program ends"))
        }
    }
}

/// Counts those who are in.
private final class Room: Sendable {
    private let count = Mutex(0)
    private let places: Int

    init(places: Int) { self.places = places }

    func enter() -> Bool {
        count.withLock { count in
            guard count < places else { return false }
            count += 1
            return true
        }
    }

    func leave() { count.withLock { $0 -= 1 } }
}

/// Resumes whoever waits, once: with the answer, or when the task was cancelled.
private final class Waiting: Sendable {
    private enum State {
        case idle
        case waiting(CheckedContinuation<TXTAnswer, Never>)
        case done(TXTAnswer)
    }

    private let state = Mutex(State.idle)

    /// False when the answer came before, and was given.
    func wait(_ continuation: CheckedContinuation<TXTAnswer, Never>) -> Bool {
        let early = state.withLock { state -> TXTAnswer? in
            if case .done(let answer) = state { return answer }
            state = .waiting(continuation)
            return nil
        }
        if let early { continuation.resume(returning: early) }
        return early == nil
    }

    func resume(_ answer: TXTAnswer) {
        let continuation = state.withLock { state -> CheckedContinuation<TXTAnswer, Never>? in
            defer { if case .done = state {} else { state = .done(answer) } }
            return if case .waiting(let continuation) = state { continuation } else { nil }
        }
        continuation?.resume(returning: answer)
    }
}

/// Held by the loop: when it ends and drops the question, whoever waits is told.
private final class Caller: Sendable {
    let waiting: Waiting

    init(_ waiting: Waiting) { self.waiting = waiting }

    deinit { waiting.resume(.unavailable("the program ends")) }
}

/// One look-up on its loop, from question to question.
private final class Flight {
    private let loop: EventLoop
    private let servers: [SocketAddress]
    private var lookup: TXTLookup
    private var done: ((TXTAnswer) -> Void)?
    private var exchange: Exchange?
    private var timer: TimerID?
    /// The kernel's random numbers.
    private var generator = SystemRandomNumberGenerator()

    init(
        _ name: DNSName, servers: [SocketAddress], loop: EventLoop, _ done: @escaping (TXTAnswer) -> Void
    ) {
        self.loop = loop
        self.servers = servers
        self.done = done
        lookup = TXTLookup(name, servers: servers.count)
    }

    func start() { perform(lookup.start(using: &generator)) }

    private func perform(_ action: TXTLookup.Action) {
        switch action {
        case .wait: return
        case .done(let answer):
            end()
            done.take()?(answer)
        case .ask(let question):
            end()
            timer = loop.schedule(after: question.patience) { [self] in failed("no answer in time") }
            do throws(SystemError) {
                let exchange = try Exchange(question, at: servers[question.server], loop: loop)
                // The timer holds this look-up: when the loop ends, everything goes with it.
                exchange.onPacket = { [weak self] in self?.received($0) }
                exchange.onFailure = { [weak self] in self?.failed($0) }
                self.exchange = exchange
                try exchange.start()
            } catch {
                let trouble = error.description
                // Not within this call: questions would pile up on the stack.
                loop.atEndOfTurn { [self] in failed(trouble) }
            }
        }
    }

    private func received(_ packet: [UInt8]) { perform(lookup.received(packet, using: &generator)) }

    private func failed(_ trouble: String) {
        guard done != nil else { return }
        perform(lookup.failed(trouble, using: &generator))
    }

    private func end() {
        exchange.take()?.close()
        if let timer = timer.take() { loop.cancel(timer) }
    }
}

/// One question at one server over a socket of its own: a datagram, or a connection with the length before each
/// message (RFC 1035, section 4.2.2).
private final class Exchange: Source {
    var onPacket: (([UInt8]) -> Void)?
    var onFailure: ((String) -> Void)?

    private let loop: EventLoop
    private let overTCP: Bool
    private let server: SocketAddress
    private let descriptor: Int32
    private var unsent: ArraySlice<UInt8>
    private var input: [UInt8] = []
    private var isOpen = true
    private static let maxDatagramsPerTurn = 32

    init(_ question: TXTLookup.Question, at server: SocketAddress, loop: EventLoop) throws(SystemError) {
        self.loop = loop
        self.server = server
        overTCP = question.overTCP
        let length = UInt16(clamping: question.packet.count)
        let prefix = overTCP ? [UInt8(length >> 8), UInt8(truncatingIfNeeded: length)] : []
        unsent = (prefix + question.packet)[...]
        let kind = overTCP ? SOCK_STREAM : SOCK_DGRAM
        descriptor = socket(
            server.isIPv6 ? AF_INET6 : AF_INET,
            Int32(kind.rawValue) | Int32(O_NONBLOCK) | Int32(O_CLOEXEC), 0)
        guard descriptor >= 0 else { throw .last("socket") }
    }

    deinit { if isOpen { CLinux.close(descriptor) } }

    /// Connecting makes the kernel drop datagrams from elsewhere and choose a port by chance.
    func start() throws(SystemError) {
        let result = server.withSockaddr { connect(descriptor, $0, $1) }
        guard result == 0 || mc_errno() == EINPROGRESS else { throw .last("connect") }
        try loop.add(self, descriptor: descriptor)
    }

    func close() {
        guard isOpen else { return }
        isOpen = false
        onPacket = nil
        onFailure = nil
        loop.remove(self)
        CLinux.close(descriptor)
    }

    override func ready(_ readiness: Readiness) {
        if isOpen, readiness.contains(.writable), !unsent.isEmpty { write() }
        if isOpen, !readiness.isDisjoint(with: [.readable, .hungUp, .readEnded]) {
            if overTCP { readStream() } else { readDatagrams() }
        }
    }

    private func write() {
        while !unsent.isEmpty {
            let count = unsent.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else {
                let code = mc_errno()
                if code == EAGAIN { return }
                if code != EINTR { return fail(SystemError("send", code: code)) }
                continue
            }
            unsent = unsent.dropFirst(count)
        }
    }

    private func readDatagrams() {
        for _ in 0..<Self.maxDatagramsPerTurn where isOpen {
            let count = recv(descriptor, loop.scratch.baseAddress, loop.scratch.count, 0)
            guard count >= 0 else {
                let code = mc_errno()
                if code == EINTR { continue }
                // ECONNREFUSED: nobody listens there.
                return code == EAGAIN ? () : fail(SystemError("recv", code: code))
            }
            onPacket?(Array(loop.scratch[..<count]))
        }
        if isOpen { loop.requeue(self, .readable) }
    }

    private func readStream() {
        while isOpen {
            let count = recv(descriptor, loop.scratch.baseAddress, loop.scratch.count, 0)
            guard count > 0 else {
                let code = mc_errno()
                if count == 0 { return fail("the connection ended early") }
                if code == EINTR { continue }
                return code == EAGAIN ? () : fail(SystemError("recv", code: code))
            }
            input += loop.scratch[..<count]
            guard input.count >= 2 else { continue }
            let length = Int(input[0]) << 8 | Int(input[1])
            // One question, one answer: what follows is not read, so no more than one message is ever kept.
            guard input.count >= 2 + length else { continue }
            onPacket?(Array(input[2..<2 + length]))
            return
        }
    }

    private func fail(_ error: SystemError) { fail(error.description) }
    private func fail(_ trouble: String) { onFailure?(trouble) }
}
