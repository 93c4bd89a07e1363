import Core

/// Who may place now, who waits a moment, and who is told when to come back: a token bucket with a line before it, so
/// that a storm of agents gets through at the speed of the database instead of drowning it. Pure.
///
/// Plans with priority go before all others, and part of the burst is theirs alone: the others wait, and are sent away,
/// before they have to. Whoever is sent away is given a time of its own to come back at, one after the other at the
/// bucket's rate, so that they do not come back together.
public struct PlacementLine: Sendable {
    public struct Rules: Sendable, Hashable {
        public var per_s: Int
        public var burst: Int
        /// Nobody waits longer.
        public var patience: Milliseconds
        /// Each waits with a request open.
        public var maxWaiting: Int
        /// Let in and not done yet: a database that is slower than the rate is not given more.
        public var maxUnderWay: Int

        /// The burst is twice the rate if not given.
        public init(
            per_s: Int = 500, burst: Int? = nil, patience: Milliseconds = .seconds(3), maxWaiting: Int = 2000,
            maxUnderWay: Int = 1000
        ) {
            self.per_s = max(1, per_s)
            self.burst = max(1, burst ?? 2 * per_s)
            self.patience = patience
            self.maxWaiting = maxWaiting
            self.maxUnderWay = maxUnderWay
        }

        var step_ns: Int { 1_000_000_000 / per_s }
        /// Of the burst, for plans with priority only.
        var reserved: Int { burst / 5 }
    }

    public enum Answer: Sendable, Hashable {
        case enters
        case waits(number: Int)
        case comesBack(after_s: Int)
    }

    /// What became of those who waited.
    public struct News: Sendable, Hashable {
        public var entered: [Int] = []
        public var sentAway: [SentAway] = []
    }

    public struct SentAway: Sendable, Hashable {
        public let number: Int
        public let after_s: Int
    }

    /// One class of callers.
    private struct Queue {
        var order: [(number: Int, since: Instant)] = []
        var first = 0
        var left: Set<Int> = []
        /// When the last one who was sent away is to come back.
        var lastReturn: Instant?

        var count: Int { order.count - first - left.count }

        mutating func next() -> (number: Int, since: Instant)? {
            while first < order.count {
                if left.remove(order[first].number) == nil { return order[first] }
                first += 1
            }
            order = []
            first = 0
            return nil
        }

        mutating func removeFirst() {
            first += 1
            if first > 256, first * 2 > order.count {
                order.removeFirst(first)
                first = 0
            }
        }
    }

    /// Later returns are not promised: who comes so late meets another line.
    private static let furthestReturn = Milliseconds.seconds(60)

    private let rules: Rules
    private var credit_ns: Int
    private var refilled: Instant?
    private var paid = Queue()
    private var others = Queue()
    private var lastNumber = 0
    private var underWay = 0

    public init(_ rules: Rules = Rules()) {
        self.rules = rules
        credit_ns = rules.burst * rules.step_ns
    }

    public var waiting: Int { paid.count + others.count }

    public mutating func ask(hasPriority: Bool, now: Instant) -> Answer {
        refill(now)
        let ahead = hasPriority ? paid.count : waiting
        let wait_ns = (ahead + 1 + (hasPriority ? 0 : rules.reserved)) * rules.step_ns - credit_ns
        if ahead == 0, wait_ns <= 0, underWay < rules.maxUnderWay {
            letIn()
            return .enters
        }
        guard wait_ns <= rules.patience.count * 1_000_000, waiting < rules.maxWaiting else {
            return .comesBack(after_s: returnAfter_s(hasPriority: hasPriority, now))
        }
        lastNumber += 1
        if hasPriority {
            paid.order.append((lastNumber, now))
        } else {
            others.order.append((lastNumber, now))
        }
        return .waits(number: lastNumber)
    }

    private mutating func letIn() {
        credit_ns -= rules.step_ns
        underWay += 1
    }

    /// One who was let in has its answer.
    public mutating func done() { underWay -= 1 }

    /// Somebody who waits went away.
    public mutating func leave(_ number: Int, hasPriority: Bool) {
        if hasPriority { paid.left.insert(number) } else { others.left.insert(number) }
    }

    /// Lets in whoever may, and sends away who has waited for too long since others went first.
    public mutating func advance(now: Instant) -> News {
        refill(now)
        var news = News()
        while credit_ns >= rules.step_ns, underWay < rules.maxUnderWay, let next = paid.next() {
            paid.removeFirst()
            letIn()
            news.entered.append(next.number)
        }
        while credit_ns >= (rules.reserved + 1) * rules.step_ns, underWay < rules.maxUnderWay,
            let next = others.next()
        {
            others.removeFirst()
            letIn()
            news.entered.append(next.number)
        }
        while let next = paid.next(), now.since(next.since) >= rules.patience {
            paid.removeFirst()
            let after_s = returnAfter_s(hasPriority: true, now)
            news.sentAway.append(SentAway(number: next.number, after_s: after_s))
        }
        while let next = others.next(), now.since(next.since) >= rules.patience {
            others.removeFirst()
            let after_s = returnAfter_s(hasPriority: false, now)
            news.sentAway.append(SentAway(number: next.number, after_s: after_s))
        }
        return news
    }

    private mutating func refill(_ now: Instant) {
        let before = refilled ?? now
        guard now >= before else { return }
        let full_ns = rules.burst * rules.step_ns
        let passed_ns = min(now.nanoseconds - before.nanoseconds, UInt64(full_ns))
        credit_ns = min(full_ns, credit_ns + Int(passed_ns))
        refilled = now
    }

    /// Behind those who wait and those who were sent away before, each its step.
    private mutating func returnAfter_s(hasPriority: Bool, _ now: Instant) -> Int {
        let ahead = hasPriority ? paid.count : waiting
        let wait_ns = UInt64(max(1, (ahead + 1) * rules.step_ns - credit_ns))
        var at = Instant(nanoseconds: now.nanoseconds + wait_ns)
        if let last = hasPriority ? paid.lastReturn : others.lastReturn {
            let next = Instant(nanoseconds: last.nanoseconds + UInt64(rules.step_ns))
            if next > at, next.since(now) < Self.furthestReturn { at = next }
        }
        if hasPriority { paid.lastReturn = at } else { others.lastReturn = at }
        return Int((at.nanoseconds - now.nanoseconds + 999_999_999) / 1_000_000_000)
    }
}
