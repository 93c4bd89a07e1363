import Core
import Wire

/// The data connections of one tunnel that wait for a player: how many there should be, which there are, and which
/// nonces are out to get more. It follows demand up and down, and asks ever more rarely where asking does not help.
struct ParkingPool: Sendable {
    private struct Parked: Sendable {
        let data: DataID
        let since: Instant
    }

    /// Oldest first.
    private var parked: [Parked] = []
    /// Nonces that the agent was given, with their ends.
    private var underWay: [Nonce: Instant] = [:]
    /// Oldest first, no more than count.
    private var recentJoins: [Instant] = []
    private var failures = 0
    private var refillAt: Instant?

    /// At most so many; none with 0.
    private let most: Int
    static let usualMost = 8
    /// Joins within this time ask for parked connections ahead of the next.
    static let demand = Milliseconds.seconds(10)
    /// A parked connection that lived so long did not fail but end.
    private static let goodLife = Milliseconds.seconds(10)
    private static let maxBackoff = Milliseconds.seconds(60)

    init(most: Int = usualMost) { self.most = most }

    var parkedCount: Int { parked.count }
    var isEmpty: Bool { parked.isEmpty && underWay.isEmpty }

    /// One when it is quiet, one more for each recent join.
    private func target(now: Instant) -> Int {
        min(most, 1 + recentJoins.count { now.since($0) < Self.demand })
    }

    mutating func joined(now: Instant) {
        recentJoins.append(now)
        if recentJoins.count > Self.usualMost { recentJoins.removeFirst() }
    }

    /// The freshest parked connection is the likeliest to be alive.
    mutating func take() -> DataID? { parked.popLast()?.data }

    /// A nonce that is out brings a connection to park. False when there are enough.
    mutating func adopt(_ nonce: Nonce, until end: Instant) -> Bool {
        guard parked.count + underWay.count < most else { return false }
        underWay[nonce] = end
        return true
    }

    /// Whether the nonce was one of the pool's.
    mutating func arrived(_ nonce: Nonce) -> Bool { underWay.removeValue(forKey: nonce) != nil }

    /// False when demand has gone meanwhile.
    mutating func park(_ data: DataID, now: Instant) -> Bool {
        guard parked.count < target(now: now) else { return false }
        parked.append(Parked(data: data, since: now))
        return true
    }

    /// The agent will not bring this one. False when it is not one of the pool's.
    mutating func failed(_ nonce: Nonce, now: Instant) -> Bool {
        guard underWay.removeValue(forKey: nonce) != nil else { return false }
        backOff(now: now)
        return true
    }

    /// A connection ended. False when it was not parked.
    mutating func closed(_ data: DataID, now: Instant) -> Bool {
        guard let index = parked.firstIndex(where: { $0.data == data }) else { return false }
        if now.since(parked.remove(at: index).since) >= Self.goodLife {
            failures = 0
        } else {
            backOff(now: now)
        }
        return true
    }

    /// Takes out the nonces that nobody brought in time.
    mutating func expire(now: Instant) -> [Nonce] {
        let expired = underWay.filter { $0.value <= now }.map(\.key)
        for nonce in expired { _ = failed(nonce, now: now) }
        return expired
    }

    /// Several that fail together are one failure.
    private mutating func backOff(now: Instant) {
        if let refillAt, refillAt > now { return }
        refillAt = now + min(Self.maxBackoff, .seconds(1 << min(failures, 6)))
        failures += 1
    }

    /// Takes out what recent demand does not ask for any more.
    mutating func shrink(now: Instant) -> [DataID] {
        recentJoins.removeAll { now.since($0) >= Self.demand }
        let surplus = max(0, parked.count - target(now: now))
        defer { parked.removeFirst(surplus) }
        return parked.prefix(surplus).map(\.data)
    }

    /// How many more to ask for now.
    mutating func missing(now: Instant) -> Int {
        if let refillAt {
            guard refillAt <= now else { return 0 }
            self.refillAt = nil
        }
        return target(now: now) - parked.count - underWay.count
    }

    /// Takes out everything; demand is remembered for the next link.
    mutating func clear() -> (parked: [DataID], nonces: [Nonce]) {
        let all = (parked.map(\.data), Array(underWay.keys))
        let joins = recentJoins
        self = ParkingPool(most: most)
        recentJoins = joins
        return all
    }

    func nextDue(hasLink: Bool) -> Instant? {
        var due = underWay.values.min()
        func consider(_ instant: Instant?) {
            guard let instant else { return }
            due = due.map { min($0, instant) } ?? instant
        }
        guard hasLink else { return due }
        consider(refillAt)
        if parked.count > 1 { consider(recentJoins.first.map { $0 + Self.demand }) }
        return due
    }
}
