import Core

/// Divides a tunnel's bytes a second between its owner's own players and the relays where others play: max-min fair
/// by what each could use. Who needs little gets that, who needs more shares the rest evenly, and what nobody needs
/// is spread over all, so that nobody waits for the next second to begin something. Together never more than the
/// limit.
public struct ByteShares: Sendable {
    public struct Division: Sendable, Hashable {
        /// For the owner's own players; the whole limit while there is nobody else.
        public var own: Int
        /// By relay id.
        public var relays: [String: Int]
    }

    private struct Relay: Sendable {
        /// nil: it has not said anything yet.
        var demand: Int?
        var heardAt: Instant
    }

    public private(set) var limit: Int
    /// What the owner's own players could use; 0 while there are none.
    public var ownDemand = 0
    private var relays: [String: Relay] = [:]

    static let silence = RemotePlayers.silence
    /// This part of an even share stays with whoever has players, even when they just stand around, and with the owner
    /// for the first who comes.
    private static let idlePart = 8

    /// In bytes a second.
    public init(limit: Int) { self.limit = max(0, limit) }

    public var hasOthers: Bool { !relays.isEmpty }

    public mutating func change(limit: Int) { self.limit = max(0, limit) }

    /// The first player on the way to `relay`. True when its share is new, so that all others change.
    @discardableResult
    public mutating func joined(_ relay: String, now: Instant) -> Bool {
        guard relays[relay] == nil else { return false }
        relays[relay] = Relay(demand: nil, heardAt: now)
        return true
    }

    /// What `relay` could use. True when it is new.
    @discardableResult
    public mutating func reported(_ demand: Int, at relay: String, now: Instant) -> Bool {
        let isNew = relays[relay] == nil
        relays[relay] = Relay(demand: max(0, demand), heardAt: now)
        return isNew
    }

    /// Nobody has said anything yet.
    public mutating func forgetDemands() {
        for relay in Array(relays.keys) { relays[relay]?.demand = nil }
    }

    /// Nobody plays there any more, or it is gone.
    public mutating func left(_ relay: String) { relays[relay] = nil }

    public mutating func expire(now: Instant) {
        guard relays.values.contains(where: { $0.heardAt + Self.silence <= now }) else { return }
        relays = relays.filter { $0.value.heardAt + Self.silence > now }
    }

    public var division: Division {
        guard hasOthers else { return Division(own: limit, relays: [:]) }
        // In a fixed order: equal demands get the same shares each time.
        let names = relays.keys.sorted()
        var shares = Self.divide(limit, by: [ownDemand] + names.map { relays[$0]?.demand ?? limit })
        let own = shares.removeFirst()
        return Division(own: own, relays: Dictionary(zip(names, shares), uniquingKeysWith: { $1 }))
    }

    /// One share for each demand.
    static func divide(_ limit: Int, by demands: [Int]) -> [Int] {
        let count = demands.count
        guard count > 0 else { return [] }
        let least = limit / (idlePart * count)
        let wanted = demands.map { min(max($0, least), limit) }
        var shares = [Int](repeating: 0, count: count)
        var left = limit
        // Whoever wants least first: what they leave of an even part is divided among the others.
        for (position, index) in wanted.indices.sorted(by: { wanted[$0] < wanted[$1] }).enumerated() {
            shares[index] = min(wanted[index], left / (count - position))
            left -= shares[index]
        }
        return shares.map { $0 + left / count }
    }
}
