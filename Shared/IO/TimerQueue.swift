import Core

/// Names one scheduled piece of work of one loop.
public struct TimerID: Sendable, Hashable {
    let slot: Int
    let generation: UInt32
}

/// Work ordered by when it is due: a binary heap over slots, so that cancelling frees the work at once and the
/// heap entry later.
struct TimerQueue {
    private struct Slot {
        var generation: UInt32 = 0
        var work: (() -> Void)?
    }
    private struct Entry {
        let due: Instant
        let id: TimerID
    }

    private var slots: [Slot] = []
    private var freeSlots: [Int] = []
    private var heap: [Entry] = []
    private(set) var liveCount = 0

    mutating func schedule(at due: Instant, _ work: @escaping () -> Void) -> TimerID {
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = slots.count
            slots.append(Slot())
        }
        slots[slot].work = work
        liveCount += 1
        let id = TimerID(slot: slot, generation: slots[slot].generation)
        heap.append(Entry(due: due, id: id))
        siftUp(heap.count - 1)
        return id
    }

    mutating func cancel(_ id: TimerID) {
        guard take(id) != nil else { return }
        if heap.count > 1024, heap.count > 4 * liveCount { compact() }
    }

    /// When the next work is due; nil when there is none.
    mutating func nextDue() -> Instant? {
        while let first = heap.first {
            if isLive(first.id) { return first.due }
            removeFirst()
        }
        return nil
    }

    /// Takes one piece of work that is due at `now`.
    mutating func popDue(_ now: Instant) -> (() -> Void)? {
        while let first = heap.first, first.due <= now {
            removeFirst()
            if let work = take(first.id) { return work }
        }
        return nil
    }

    private func isLive(_ id: TimerID) -> Bool {
        slots[id.slot].generation == id.generation && slots[id.slot].work != nil
    }

    private mutating func take(_ id: TimerID) -> (() -> Void)? {
        guard slots.indices.contains(id.slot), isLive(id) else { return nil }
        let work = slots[id.slot].work
        slots[id.slot].work = nil
        slots[id.slot].generation &+= 1
        freeSlots.append(id.slot)
        liveCount -= 1
        return work
    }

    private mutating func compact() {
        let kept = heap.filter { isLive($0.id) }
        heap = []
        for entry in kept {
            heap.append(entry)
            siftUp(heap.count - 1)
        }
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        siftDown(0)
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].due < heap[parent].due else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].due < heap[least].due {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
