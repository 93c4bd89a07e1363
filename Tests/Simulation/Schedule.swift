/// What happens when: a heap of moments in microseconds. Moments that are equal keep the order they were given in.
struct Schedule {
    private struct Moment {
        var at_us: Int
        var number: Int
        var slot: Int

        static func < (left: Moment, right: Moment) -> Bool {
            left.at_us != right.at_us ? left.at_us < right.at_us : left.number < right.number
        }
    }

    private var heap: [Moment] = []
    private var works: [(() -> Void)?] = []
    private var freeSlots: [Int] = []
    private var lastNumber = 0
    private(set) var now_us = 0
    private(set) var happened = 0

    mutating func add(at_us: Int, _ work: @escaping () -> Void) {
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
            works[slot] = work
        } else {
            slot = works.count
            works.append(work)
        }
        lastNumber += 1
        heap.append(Moment(at_us: max(at_us, now_us), number: lastNumber, slot: slot))
        rise(heap.count - 1)
    }

    /// Takes out the next work before `end_us` and moves the time to it.
    mutating func next(before end_us: Int) -> (() -> Void)? {
        guard let first = heap.first, first.at_us < end_us else {
            now_us = max(now_us, end_us)
            return nil
        }
        now_us = first.at_us
        happened += 1
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        freeSlots.append(first.slot)
        return works[first.slot].take()
    }

    mutating func clear() {
        heap = []
        works = []
        freeSlots = []
    }

    private mutating func rise(_ start: Int) {
        var index = start
        let moment = heap[index]
        while index > 0 {
            let parent = (index - 1) / 2
            guard moment < heap[parent] else { break }
            heap[index] = heap[parent]
            index = parent
        }
        heap[index] = moment
    }

    private mutating func sink() {
        var index = 0
        let moment = heap[0]
        while true {
            var child = 2 * index + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < moment else { break }
            heap[index] = heap[child]
            index = child
        }
        heap[index] = moment
    }
}
