import CLinux
import Core

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
    var meter: SpliceMeter? {
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
