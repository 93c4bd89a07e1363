import Core

/// The bytes a second of one tunnel at one relay: how fast its players may be here now, what they could use, and, at
/// the owner, what every other relay may.
public struct ByteLimit: Sendable {
    /// For the tunnel, in bytes a second; nil is no limit.
    public private(set) var limit: Int?
    public private(set) var isOwner = false
    private var demand = ByteDemand()
    private var granted = GrantedShare()
    /// Kept by whoever is told of players elsewhere, so that a standby that becomes owner divides at once.
    private var shares: ByteShares
    private var division: ByteShares.Division

    public init(limit: Int?) {
        self.limit = limit
        shares = ByteShares(limit: limit ?? 0)
        division = shares.division
    }

    // MARK: what happens

    public mutating func limitChanged(_ limit: Int?) {
        guard limit != self.limit else { return }
        // Without a limit nobody measured.
        if self.limit == nil { shares.forgetDemands() }
        self.limit = limit
        shares.change(limit: limit ?? 0)
        division = shares.division
    }

    public mutating func roleChanged(isOwner: Bool) { self.isOwner = isOwner }

    /// Once a second: so much passed here in all, `isHeldBack` when anybody had to wait since the last time.
    public mutating func measured(bytes: Int, isHeldBack: Bool, now: Instant) {
        demand.measure(bytes: bytes, isHeldBack: isHeldBack, limit: limit ?? 0, now: now)
        shares.ownDemand = demand.bytes_per_s ?? 0
        refresh(now)
    }

    /// Once a second while nobody plays here.
    public mutating func unused(now: Instant) {
        demand = ByteDemand()
        shares.ownDemand = 0
        refresh(now)
    }

    /// What `relay` said about this tunnel. True when it is new here and waits for its share.
    public mutating func reported(players: Int, demand: Int, at relay: String, now: Instant) -> Bool {
        guard players > 0 else {
            gone(relay)
            return false
        }
        let isNew =
            limit == nil
            ? shares.joined(relay, now: now) : shares.reported(demand, at: relay, now: now)
        division = shares.division
        return isNew
    }

    /// A player was let in at `relay`. True when it is new here and waits for its share.
    public mutating func admitted(at relay: String, now: Instant) -> Bool {
        let isNew = shares.joined(relay, now: now)
        if isNew { division = shares.division }
        return isNew
    }

    public mutating func gone(_ relay: String) {
        shares.left(relay)
        division = shares.division
    }

    /// The owner's word for this relay.
    public mutating func granted(_ bytes_per_s: Int, now: Instant) {
        if let limit { granted.granted(bytes_per_s, limit: limit, now: now) }
    }

    private mutating func refresh(_ now: Instant) {
        shares.expire(now: now)
        division = shares.division
    }

    // MARK: what follows

    /// For all players of the tunnel at this relay, in bytes a second; nil is no limit. `relays` may have players of
    /// the region, this one included.
    public func rate(relays: @autoclosure () -> Int, now: Instant) -> Int? {
        guard let limit else { return nil }
        return isOwner ? division.own : granted.rate(limit: limit, relays: relays(), now: now)
    }

    /// What the owner is told.
    public var wanted_bytes_per_s: Int { limit.map { min(demand.bytes_per_s ?? $0, $0) } ?? 0 }

    /// By relay id, what each other relay is told; empty when this relay has no say.
    public var grants: [String: Int] { isOwner && limit != nil ? division.relays : [:] }
}
