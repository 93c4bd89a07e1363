/// Who has which of a pool's slots and who waits for one. A value: told what happened, it answers what to do.
struct PoolState {
    typealias Slot = Int
    typealias Ticket = UInt64

    enum Acquired: Equatable {
        case slot(Slot)
        case wait(Ticket)
        case full
    }

    /// The last one given back is the first one used again, so that a quiet pool works on few connections.
    private var free: [Slot]
    private var waiting: [Ticket] = []
    private var nextTicket: Ticket = 0
    private let maxWaiting: Int

    init(slots: Int, maxWaiting: Int) {
        free = Array((0..<slots).reversed())
        self.maxWaiting = maxWaiting
    }

    var waitingCount: Int { waiting.count }

    mutating func acquire() -> Acquired {
        if let slot = free.popLast() { return .slot(slot) }
        guard waiting.count < maxWaiting else { return .full }
        nextTicket += 1
        waiting.append(nextTicket)
        return .wait(nextTicket)
    }

    /// The slot goes to whoever waits longest, else it is free.
    mutating func release(_ slot: Slot) -> Ticket? {
        if waiting.isEmpty {
            free.append(slot)
            return nil
        }
        return waiting.removeFirst()
    }

    /// Tickets are served in their order, apart from those that are given up, which are told so themselves.
    func isWaiting(_ ticket: Ticket) -> Bool { waiting.first.map { $0 <= ticket } ?? false }

    /// True when the ticket was still waiting: its owner is to be told that there was no slot in time.
    mutating func giveUp(_ ticket: Ticket) -> Bool {
        guard let index = waiting.firstIndex(of: ticket) else { return false }
        waiting.remove(at: index)
        return true
    }
}
