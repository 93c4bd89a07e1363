import CLinux
import Core

/// What happened on a descriptor since it was last told (edges, so a source reads or writes until it would
/// block, or asks for another turn).
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let readable = Readiness(rawValue: 1)
    public static let writable = Readiness(rawValue: 4)
    /// Error or both directions ended: reading or writing will tell.
    public static let hungUp = Readiness(rawValue: 8 | 16)
    /// The peer will send no more.
    public static let readEnded = Readiness(rawValue: 0x2000)
}

/// A source's place in its loop; stale after the source was removed.
public struct SourceID: Sendable, Hashable {
    let slot: UInt32
    let generation: UInt32

    var packed: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
}

/// Something with a descriptor that its loop wakes. A base class, so that the call goes through one vtable
/// entry and needs no existential.
open class Source {
    public internal(set) final var id: SourceID?
    fileprivate final var watched: Int32 = -1
    fileprivate final var requeued: Readiness = []

    public init() {}

    /// Called on the loop's thread.
    open func ready(_ readiness: Readiness) {}
}

/// One thread, one epoll set. Sources, timers and everything they own are touched by this thread only; other
/// threads knock at the mailbox.
public final class EventLoop {
    private struct Slot {
        var source: Source?
        var generation: UInt32 = 0
    }

    public let mailbox: Mailbox
    /// Read once per turn.
    public private(set) var now: Instant
    /// Memory for one read, shared by all sources of the loop: valid only until the next call.
    public let scratch: UnsafeMutableRawBufferPointer
    public static let scratchBytes = 64 * 1024

    private let epoll: Descriptor
    private var slots: [Slot] = []
    private var freeSlots: [UInt32] = []
    private var timers = TimerQueue()
    private var again: [SourceID] = []
    private var endOfTurn: [() -> Void] = []
    private var running = true
    private let events: UnsafeMutablePointer<epoll_event>
    private static let eventCapacity: Int32 = 256
    private static let mailboxMark = UInt64.max

    public init() throws(SystemError) {
        let descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard descriptor >= 0 else { throw .last("epoll_create1") }
        epoll = Descriptor(owning: descriptor)
        mailbox = try Mailbox()
        now = Instant.now()
        scratch = .allocate(byteCount: Self.scratchBytes, alignment: 4096)
        events = .allocate(capacity: Int(Self.eventCapacity))
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = Self.mailboxMark
        guard epoll_ctl(epoll.rawValue, EPOLL_CTL_ADD, mailbox.wakeDescriptor, &event) == 0 else {
            throw .last("epoll_ctl")
        }
    }

    deinit {
        scratch.deallocate()
        events.deallocate()
    }

    public var sourceCount: Int { slots.count - freeSlots.count }

    // MARK: sources

    /// Watches `descriptor` for both directions, edge-triggered. The source keeps owning it.
    public func add(_ source: Source, descriptor: Int32) throws(SystemError) {
        let slot: UInt32
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = UInt32(slots.count)
            slots.append(Slot())
        }
        let id = SourceID(slot: slot, generation: slots[Int(slot)].generation)
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
        event.data.u64 = id.packed
        guard epoll_ctl(epoll.rawValue, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
            freeSlots.append(slot)
            throw .last("epoll_ctl")
        }
        slots[Int(slot)].source = source
        source.id = id
        source.watched = descriptor
    }

    /// Watches a listening socket level-triggered: what one turn leaves in the backlog rings again.
    func addListener(_ source: Source, descriptor: Int32) throws(SystemError) {
        try add(source, descriptor: descriptor)
        try rearmListener(source)
    }

    func rearmListener(_ source: Source) throws(SystemError) {
        try change(source, EPOLLIN.rawValue)
    }

    /// Stops waking for a listening socket while accepting is impossible.
    func muteListener(_ source: Source) throws(SystemError) {
        try change(source, 0)
    }

    private func change(_ source: Source, _ interest: UInt32) throws(SystemError) {
        guard let id = source.id else { return }
        var event = epoll_event()
        event.events = interest
        event.data.u64 = id.packed
        guard epoll_ctl(epoll.rawValue, EPOLL_CTL_MOD, source.watched, &event) == 0 else {
            throw .last("epoll_ctl")
        }
    }

    /// Stops watching; call it before the descriptor is closed. Events already fetched are dropped.
    public func remove(_ source: Source) {
        guard let id = source.id else { return }
        var event = epoll_event()
        epoll_ctl(epoll.rawValue, EPOLL_CTL_DEL, source.watched, &event)
        slots[Int(id.slot)].source = nil
        slots[Int(id.slot)].generation &+= 1
        freeSlots.append(id.slot)
        source.id = nil
        source.watched = -1
        source.requeued = []
    }

    public func source(_ id: SourceID) -> Source? {
        guard id.slot < slots.count, slots[Int(id.slot)].generation == id.generation else { return nil }
        return slots[Int(id.slot)].source
    }

    /// Wakes `source` once more in the next turn, for one that stopped before its descriptor would block.
    public func requeue(_ source: Source, _ readiness: Readiness) {
        guard let id = source.id else { return }
        if source.requeued.isEmpty { again.append(id) }
        source.requeued.formUnion(readiness)
    }

    // MARK: time

    @discardableResult
    public func schedule(after delay: Milliseconds, _ work: @escaping () -> Void) -> TimerID {
        timers.schedule(at: now + delay, work)
    }

    public func cancel(_ timer: TimerID) { timers.cancel(timer) }

    /// Runs `work` once all events of this turn are handled.
    public func atEndOfTurn(_ work: @escaping () -> Void) { endOfTurn.append(work) }

    // MARK: running

    /// Runs until `stop`, on the calling thread.
    public func run() {
        while running { turn() }
        mailbox.close()
        // Sources, timers and work hold this loop and one another: let go, so that descriptors close.
        again = []
        endOfTurn = []
        timers = TimerQueue()
        for index in slots.indices { slots[index].source = nil }
    }

    /// On the loop's thread; from elsewhere, post it.
    public func stop() { running = false }

    private func turn() {
        let count = epoll_wait(epoll.rawValue, events, Self.eventCapacity, waitMilliseconds())
        now = Instant.now()
        var letters = false
        for index in 0..<Int(max(0, count)) {
            let event = events[index]
            let mark = event.data.u64
            if mark == Self.mailboxMark {
                letters = true
                continue
            }
            let slot = Int(mark & 0xFFFF_FFFF)
            guard slots[slot].generation == UInt32(mark >> 32), let source = slots[slot].source else {
                continue
            }
            source.ready(Readiness(rawValue: event.events))
        }
        if letters {
            for work in mailbox.collect() { work(self) }
        }
        if !again.isEmpty { runRequeued() }
        runTimers()
        let works = endOfTurn
        endOfTurn = []
        for work in works { work() }
    }

    /// Work that schedules more for right now has it in the next turn, or sources would starve.
    private func runTimers() {
        for _ in 0..<timers.liveCount {
            guard let work = timers.popDue(now) else { return }
            work()
        }
    }

    private func runRequeued() {
        let ids = again
        again = []
        for id in ids {
            guard let source = source(id) else { continue }
            let readiness = source.requeued
            source.requeued = []
            source.ready(readiness)
        }
    }

    private func waitMilliseconds() -> Int32 {
        if !again.isEmpty || !endOfTurn.isEmpty { return 0 }
        guard let due = timers.nextDue() else { return -1 }
        let current = Instant.now()
        guard due > current else { return 0 }
        // Rounded up, or a timer due in half a millisecond would spin.
        return Int32(clamping: (due.nanoseconds - current.nanoseconds + 999_999) / 1_000_000)
    }
}

/// Carries an object that belongs to a loop through a closure that other threads hold. The object is reachable
/// only with the loop itself in hand, which only the loop's own thread has.
public struct LoopBound<Value>: @unchecked Sendable {
    // Unchecked because the value is handed out on its loop's thread alone: `get` compares the loop.
    private let value: Value
    private let loop: ObjectIdentifier

    public init(_ value: Value, _ loop: EventLoop) {
        self.value = value
        self.loop = ObjectIdentifier(loop)
    }

    public func get(_ loop: EventLoop) -> Value {
        precondition(ObjectIdentifier(loop) == self.loop, "a loop's object was asked for on another loop")
        return value
    }
}
