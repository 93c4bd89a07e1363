import CLinux
import Core

/// What passed, by the time the splice ended.
public struct SpliceReport: Sendable, Hashable {
    public let bytesToRight: Int
    public let bytesToLeft: Int
}

/// Passes bytes between two sockets until both directions have ended: nothing lost, added or reordered.
///
/// Small packets go by recv and send through the loop's shared memory, two calls a packet; a direction that keeps
/// filling large reads moves to splice(2), where the bytes stay in the kernel, and back when the bulk is over.
/// What one side cannot take is held (at most one read), and nothing more is read from the other until it is
/// gone. An end of one direction is passed on as such; the other goes on. A direction whose meter grants nothing
/// reads nothing until its turn comes, so that TCP holds the sender up.
public final class Splice {
    private let left: SpliceSide
    private let right: SpliceSide
    private let loop: EventLoop
    private var onEnd: ((SpliceReport) -> Void)?
    /// The limit that both directions share with other splices; nil is none. May change while bytes pass.
    public var meter: SpliceMeter? {
        didSet {
            guard onEnd != nil, meter !== oldValue else { return }
            left.meter = meter
            right.meter = meter
        }
    }
    private var check: TimerID?
    /// One direction ended, and the other silent for so long: nobody is coming back.
    private static let halfClosedLimit = Milliseconds.seconds(60)

    /// `toLeft` and `toRight` go out before anything else: bytes read ahead. The sockets must be non-blocking. `onEnd` is called once, on the loop, never from within `start`.
    public init(
        loop: EventLoop, pool: SplicePool, left: consuming Descriptor, right: consuming Descriptor,
        toLeft: [UInt8] = [], toRight: [UInt8] = [], onEnd: @escaping (SpliceReport) -> Void
    ) {
        self.loop = loop
        self.onEnd = onEnd
        self.left = SpliceSide(loop: loop, pool: pool, descriptor: left, ahead: toRight)
        self.right = SpliceSide(loop: loop, pool: pool, descriptor: right, ahead: toLeft)
    }

    /// Goes on with two streams without a codec: what each had received goes to the other, after what the other
    /// had still to send.
    public convenience init(
        loop: EventLoop, pool: SplicePool, left: MovedStream, right: MovedStream,
        onEnd: @escaping (SpliceReport) -> Void
    ) {
        self.init(
            loop: loop, pool: pool, left: left.takeDescriptor(), right: right.takeDescriptor(),
            toLeft: left.output + right.input,
            toRight: right.output + left.input, onEnd: onEnd)
    }

    public func start() {
        left.join(right, splice: self)
        right.join(left, splice: self)
        for side in [left, right] where (try? loop.add(side, descriptor: side.descriptor)) == nil {
            loop.atEndOfTurn { [self] in end() }
            return
        }
        // Bytes read ahead pass at once, and count nevertheless.
        meter?.charge(left.bytes + right.bytes)
        // Bytes that came before the descriptors were watched make no edge.
        loop.requeue(left, [.readable, .writable])
        loop.requeue(right, [.readable, .writable])
        armCheck()
    }

    /// Bytes read from the left side so far.
    public var bytesToRight: Int { left.bytes }
    /// Bytes read from the right side so far.
    public var bytesToLeft: Int { right.bytes }
    /// When bytes last moved in either direction.
    public var lastActivity: Instant { max(left.lastRead, right.lastRead) }

    /// Drops both sockets at once.
    public func close() { end() }

    private func armCheck() {
        check = loop.schedule(after: Self.halfClosedLimit) { [weak self] in
            guard let self, self.onEnd != nil else { return }
            let silent = self.loop.now.since(self.lastActivity) >= Self.halfClosedLimit
            let isWaiting = self.left.isWaiting || self.right.isWaiting
            let isOver = silent && !isWaiting && (self.left.hasEnded || self.right.hasEnded)
            if isOver { self.end() } else { self.armCheck() }
        }
    }

    fileprivate func directionEnded() {
        if left.isFinished && right.isFinished { endSoon() }
    }

    /// At the end of the turn: a side asks for it from within its own work, and ending lets both sides go.
    fileprivate func endSoon() {
        loop.atEndOfTurn { [self] in end() }
    }

    private func end() {
        guard let onEnd = onEnd.take() else { return }
        if let check { loop.cancel(check) }
        let report = SpliceReport(bytesToRight: left.bytes, bytesToLeft: right.bytes)
        left.close()
        right.close()
        onEnd(report)
    }
}

/// One socket of a splice and the direction that leads away from it: read here, written to the peer.
final class SpliceSide: Source {
    let descriptor: Int32
    private(set) var bytes = 0
    private(set) var lastRead: Instant
    /// The socket said that no more will come.
    private(set) var hasEnded = false
    /// ... and the peer has been told.
    private(set) var isFinished = false

    private let loop: EventLoop
    private let pool: SplicePool
    private var owned: Descriptor?
    /// Valid as long as the splice holds both sides; unmanaged, since it is asked for at every event.
    private unowned(unsafe) var peer: SpliceSide?
    private var peerDescriptor: Int32 = -1
    private var splice: Splice?

    /// Read, not yet accepted by the peer.
    private var pending: UnsafeMutableRawPointer?
    private var pendingStart = 0
    private var pendingEnd = 0
    private var pipe: Pipe?
    private var largeReads = 0
    private var smallSplices = 0
    /// nil: as fast as it goes.
    fileprivate var meter: SpliceMeter? {
        didSet {
            guard owned != nil else { return }
            oldValue?.forget(self)
            guard isWaiting else { return }
            isWaiting = false
            loop.requeue(self, .readable)
        }
    }
    /// For the meter to grant bytes: nothing is read before.
    private(set) var isWaiting = false
    /// The kernel told of the end; it tells once, and maybe while the peer was full.
    private var endIsNear = false

    private static let readsPerTurn = 8
    private static let largeRead = 16 * 1024
    private static let largeReadsToPromote = 3
    private static let smallSplice = 4096
    private static let smallSplicesToDemote = 3

    init(loop: EventLoop, pool: SplicePool, descriptor: consuming Descriptor, ahead: [UInt8]) {
        self.loop = loop
        self.pool = pool
        self.descriptor = descriptor.rawValue
        owned = consume descriptor
        lastRead = loop.now
        super.init()
        if !ahead.isEmpty {
            let count = ahead.count
            let buffer = pool.takeBuffer(atLeast: count)
            ahead.withUnsafeBytes {
                buffer.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(buffer), byteCount: count)
            }
            pending = buffer
            pendingEnd = count
            bytes = count
        }
    }

    func join(_ other: SpliceSide, splice: Splice) {
        peer = other
        peerDescriptor = other.descriptor
        self.splice = splice
    }

    override func ready(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.writable, .hungUp]), let peer, peer.isBlocked { peer.unblock() }
        guard owned != nil, !readiness.isDisjoint(with: [.readable, .readEnded, .hungUp]) else { return }
        if !readiness.isDisjoint(with: [.readEnded, .hungUp]) { endIsNear = true }
        pump()
    }

    private var isBlocked: Bool { pending != nil || (pipe?.held ?? 0) > 0 }

    /// The peer takes bytes again.
    private func unblock() {
        if flush() { pump() }
    }

    /// Reads until there is nothing more, the peer is full, or others deserve a turn. A read shorter than asked
    /// has emptied the socket (epoll(7)), unless its end is known to follow.
    private func pump() {
        guard !isBlocked, !hasEnded else { return }
        if let meter { return pump(meter) }
        lastRead = loop.now
        for _ in 0..<Self.readsPerTurn {
            let isMore =
                pipe == nil ? copyOnce(atMost: EventLoop.scratchBytes) : spliceOnce(atMost: Pipe.capacity)
            guard isMore else { return }
        }
        loop.requeue(self, .readable)
    }

    private func pump(_ meter: SpliceMeter) {
        guard !isWaiting else { return }
        for _ in 0..<Self.readsPerTurn {
            let granted = meter.ask(pipe == nil ? EventLoop.scratchBytes : Pipe.capacity, for: self)
            guard granted > 0 else {
                isWaiting = true
                return
            }
            guard readOnce(granted, of: meter) else { return }
        }
        loop.requeue(self, .readable)
    }

    /// The turn that the meter promised.
    func resume(_ granted: Int) {
        guard let meter, isWaiting else { return }
        isWaiting = false
        if readOnce(granted, of: meter) { pump(meter) }
    }

    private func readOnce(_ granted: Int, of meter: SpliceMeter) -> Bool {
        lastRead = loop.now
        let before = bytes
        let isMore =
            pipe == nil
            ? copyOnce(atMost: min(granted, EventLoop.scratchBytes)) : spliceOnce(atMost: granted)
        meter.giveBack(granted - (bytes - before), from: self)
        return isMore
    }

    /// False when there is nothing more to do for now.
    private func copyOnce(atMost limit: Int) -> Bool {
        let memory = loop.scratch
        let count = recv(descriptor, memory.baseAddress, limit, 0)
        guard count > 0 else { return readStopped(count) }
        bytes += count
        let sent = CLinux.send(peerDescriptor, memory.baseAddress, count, Int32(MSG_NOSIGNAL))
        if sent < count {
            if sent < 0, mc_errno() != EAGAIN, mc_errno() != EINTR { return failed() }
            hold(UnsafeRawBufferPointer(rebasing: memory[max(0, sent)..<count]))
            return false
        }
        if count >= Self.largeRead {
            largeReads += 1
            if largeReads >= Self.largeReadsToPromote { promote() }
        } else {
            largeReads = 0
        }
        return endIsNear || count == limit
    }

    private func hold(_ rest: UnsafeRawBufferPointer) {
        let buffer = pool.takeBuffer()
        if let from = rest.baseAddress { buffer.copyMemory(from: from, byteCount: rest.count) }
        pending = buffer
        pendingStart = 0
        pendingEnd = rest.count
    }

    private func promote() {
        largeReads = 0
        smallSplices = 0
        pipe = pool.takePipe()
    }

    private func demote() {
        if let taken = pipe.take() { pool.give(back: taken) }
    }

    private func spliceOnce(atMost limit: Int) -> Bool {
        guard let into = pipe?.writeEnd.rawValue else { return true }
        let count = CLinux.splice(
            descriptor, nil, into, nil, limit, MC_SPLICE_F_MOVE | MC_SPLICE_F_NONBLOCK)
        guard count > 0 else { return readStopped(count) }
        bytes += count
        pipe?.held += count
        if count < Self.smallSplice { smallSplices += 1 } else { smallSplices = 0 }
        guard flushPipe() else { return false }
        if smallSplices >= Self.smallSplicesToDemote { demote() }
        return true
    }

    /// What a read that brought no bytes means.
    private func readStopped(_ count: Int) -> Bool {
        if count == 0 {
            hasEnded = true
            finish()
            return false
        }
        switch mc_errno() {
        case EAGAIN: return false
        case EINTR: return true
        default: return failed()
        }
    }

    /// True when the peer has everything.
    private func flush() -> Bool {
        if let buffer = pending {
            while pendingStart < pendingEnd {
                let count = CLinux.send(
                    peerDescriptor, buffer + pendingStart, pendingEnd - pendingStart, Int32(MSG_NOSIGNAL))
                if count < 0 {
                    if mc_errno() == EINTR { continue }
                    return mc_errno() == EAGAIN ? false : failed()
                }
                pendingStart += count
            }
            pending = nil
            pool.give(back: buffer)
        }
        return flushPipe()
    }

    private func flushPipe() -> Bool {
        while let from = pipe?.readEnd.rawValue, let held = pipe?.held, held > 0 {
            let count = CLinux.splice(
                from, nil, peerDescriptor, nil, held, MC_SPLICE_F_MOVE | MC_SPLICE_F_NONBLOCK)
            if count <= 0 {
                if count < 0, mc_errno() == EINTR { continue }
                return count < 0 && mc_errno() == EAGAIN ? false : failed()
            }
            pipe?.held -= count
        }
        return true
    }

    /// Passes the end on.
    private func finish() {
        guard !isFinished else { return }
        isFinished = true
        demote()
        shutdown(peerDescriptor, Int32(SHUT_WR))
        splice?.directionEnded()
    }

    private func failed() -> Bool {
        splice?.endSoon()
        return false
    }

    func close() {
        guard owned != nil else { return }
        meter?.forget(self)
        loop.remove(self)
        if let buffer = pending.take() { pool.give(back: buffer) }
        demote()
        owned = nil
        splice = nil
    }
}
