import CLinux
import Core
import IO

/// One connection through a `FaultyProxy`: two sockets and a way in each direction.
final class ProxyConnection {
    private let desk: ProxyDesk
    private let client: ProxyEnd
    private var server: ProxyEnd?
    private var up = ProxyWay()
    private var down = ProxyWay()
    private var wake: (timer: TimerID, at: Instant)?
    private var hasEnded = false
    private static let roundsPerTurn = 16

    init(_ desk: ProxyDesk, _ descriptor: consuming Descriptor) {
        self.desk = desk
        client = ProxyEnd(descriptor)
    }

    func start() {
        client.owner = self
        guard client.watch(on: desk.loop) else { return end(reset: true) }
        desk.loop.connect(Endpoint(host: "127.0.0.1", port: desk.nextTarget()), timeout: .seconds(30)) {
            [self] result in
            guard !hasEnded else { return }
            guard case .success(let descriptor) = consume result else { return end(reset: true) }
            let server = ProxyEnd(descriptor)
            server.owner = self
            self.server = server
            guard server.watch(on: desk.loop) else { return end(reset: true) }
            pump()
        }
    }

    /// Moves what may be moved now, and sees to it that it is called again for the rest.
    func pump() {
        guard !hasEnded, let server, let near = client.raw, let far = server.raw else { return }
        let now = desk.loop.now
        for round in 1...Self.roundsPerTurn {
            let results = [
                up.move(from: near, to: far, desk.up, now, desk.loop.scratch),
                down.move(from: far, to: near, desk.down, now, desk.loop.scratch),
            ]
            if results.contains(.broken) { return end(reset: true) }
            if results.contains(.full) { return end(reset: false) }
            if up.isOver, down.isOver { return end(reset: false) }
            guard results.contains(.moved) else { break }
            if round == Self.roundsPerTurn { desk.loop.requeue(client, .readable) }
        }
        let wakes = [up.wakeAt, down.wakeAt].compactMap { $0 }
        if let at = wakes.min() { wakeUp(at: at) }
    }

    private func wakeUp(at instant: Instant) {
        if let wake {
            if wake.at <= instant, wake.at > desk.loop.now { return }
            desk.loop.cancel(wake.timer)
        }
        let delay = max(Milliseconds(1), instant.since(desk.loop.now))
        let timer = desk.loop.schedule(after: delay) { [weak self] in
            self?.wake = nil
            self?.pump()
        }
        wake = (timer, instant)
    }

    func end(reset: Bool) {
        guard !hasEnded else { return }
        hasEnded = true
        if let wake { desk.loop.cancel(wake.timer) }
        wake = nil
        for end in [client, server].compactMap({ $0 }) { end.close(reset: reset) }
        desk.gone(self)
    }

    /// Makes the close that follows a reset.
    static func reset(_ descriptor: Int32) {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    }
}

/// One of the two sockets.
private final class ProxyEnd: Source {
    weak var owner: ProxyConnection?
    private var descriptor: Descriptor?
    private var loop: EventLoop?

    init(_ descriptor: consuming Descriptor) {
        self.descriptor = consume descriptor
    }

    var raw: Int32? { descriptor?.rawValue }

    func watch(on loop: EventLoop) -> Bool {
        guard let raw = descriptor?.rawValue else { return false }
        self.loop = loop
        return (try? loop.add(self, descriptor: raw)) != nil
    }

    override func ready(_ readiness: Readiness) { owner?.pump() }

    func close(reset: Bool) {
        loop?.remove(self)
        if reset, let raw = descriptor?.rawValue { ProxyConnection.reset(raw) }
        descriptor = nil
    }
}

/// The bytes of one direction that are under way.
private struct ProxyWay {
    enum Outcome { case moved, idle, broken, full }

    private struct Piece {
        let due: Instant
        /// Empty: the end.
        let bytes: [UInt8]
    }

    private var pieces: [Piece] = []
    private var waiting_bytes = 0
    /// Of the first piece.
    private var sent = 0
    private var passed_bytes = 0
    private var inputEnded = false
    private var budget_bytes = 0.0
    private var budgetAt: Instant?
    /// The end was passed on.
    private(set) var isOver = false
    /// When something is due that no event of a socket tells of.
    private(set) var wakeAt: Instant?

    private static let maxWaiting_bytes = 256 * 1024
    private static let slicesPerMove = 64

    mutating func move(
        from source: Int32, to sink: Int32, _ fault: Fault, _ now: Instant,
        _ scratch: UnsafeMutableRawBufferPointer
    ) -> Outcome {
        wakeAt = nil
        guard !fault.isSilent else { return .idle }
        let taken = take(from: source, fault, now, scratch)
        if taken == .broken { return .broken }
        let given = give(to: sink, fault, now)
        return given == .idle ? taken : given
    }

    private mutating func take(
        from source: Int32, _ fault: Fault, _ now: Instant, _ scratch: UnsafeMutableRawBufferPointer
    ) -> Outcome {
        guard !inputEnded, waiting_bytes < Self.maxWaiting_bytes else { return .idle }
        let count = recv(source, scratch.baseAddress, scratch.count, 0)
        if count < 0 {
            let code = mc_errno()
            return code == EAGAIN || code == EINTR ? .idle : .broken
        }
        var delay = fault.latency.count
        if fault.jitter.count > 0 { delay += Int.random(in: 0...fault.jitter.count) }
        if count == 0 {
            inputEnded = true
            delay += fault.slowClose.count
        }
        var due = now + Milliseconds(delay)
        if let last = pieces.last, last.due > due { due = last.due }
        pieces.append(Piece(due: due, bytes: Array(scratch[..<count])))
        waiting_bytes += count
        return .moved
    }

    private mutating func give(to sink: Int32, _ fault: Fault, _ now: Instant) -> Outcome {
        var outcome = Outcome.idle
        for _ in 0..<Self.slicesPerMove {
            guard let piece = pieces.first else { return outcome }
            guard piece.due <= now else {
                wakeAt = piece.due
                return outcome
            }
            guard !piece.bytes.isEmpty else {
                pieces.removeFirst()
                shutdown(sink, Int32(SHUT_WR))
                isOver = true
                return .moved
            }
            let allowed = allowance(piece.bytes.count - sent, fault, now)
            if allowed.isOverLimit { return .full }
            guard allowed.count > 0 else {
                wakeAt = now + Milliseconds(5)
                return outcome
            }
            let count = piece.bytes.withUnsafeBytes {
                send(sink, $0.baseAddress.map { $0 + sent }, allowed.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0 {
                let code = mc_errno()
                return code == EAGAIN || code == EINTR ? outcome : .broken
            }
            passed(count, piece.bytes.count)
            outcome = .moved
        }
        return outcome
    }

    private mutating func passed(_ count: Int, _ size: Int) {
        sent += count
        passed_bytes += count
        waiting_bytes -= count
        budget_bytes -= Double(count)
        if sent == size {
            pieces.removeFirst()
            sent = 0
        }
    }

    /// How many of `count` bytes may go now.
    private mutating func allowance(
        _ count: Int, _ fault: Fault, _ now: Instant
    ) -> (count: Int, isOverLimit: Bool) {
        var count = count
        if let slice = fault.slice_bytes { count = min(count, .random(in: 1...max(1, slice))) }
        if let rate = fault.bytes_per_s {
            let elapsed_ms = budgetAt.map { now.since($0).count } ?? 10
            if elapsed_ms > 0 || budgetAt == nil {
                budget_bytes = min(
                    max(0, budget_bytes) + Double(rate) * Double(elapsed_ms) / 1000, Double(rate) / 20)
                budgetAt = now
            }
            count = min(count, Int(budget_bytes))
        }
        if let limit = fault.limit_bytes {
            guard passed_bytes < limit else { return (0, true) }
            count = min(count, limit - passed_bytes)
        }
        return (count, false)
    }
}
