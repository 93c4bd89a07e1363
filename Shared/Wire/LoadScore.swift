/// What a load report means for placements.
extension LoadReport {
    public static let ownedLinkWeight = 4
    public static let standbyLinkWeight = 1
    /// A link, and the connections that its agent parks.
    public static let descriptorsPerLink = 4
    /// Of all descriptors: with fewer free ones a relay takes placements of plans with priority only, then none. What
    /// is left is for the players of the tunnels that are here: two for each.
    public static let scarceBelow_permille = 150
    public static let fullBelow_permille = 50
    /// Of processor time or descriptors: what is beyond weighs more and more than what the relay holds.
    static let strainedAbove_permille = 500

    /// The score for owners: what relays sort themselves by in Redis.
    public var score: Int { score(as: .owner) }

    /// One number to compare relays by, lower is better.
    ///
    /// The unit is a player. A tunnel brings more of them than are in now, so a link that owns one counts as four;
    /// 100 kB/s count as one more, since a player takes 10 to 100. A standby link is a socket that is silent but for
    /// pings, and brings players only when another relay dies: it counts as one. For a further standby the weights
    /// are the other way round: so standbys are spread evenly among themselves, and owners among themselves, and
    /// when a relay dies what it had is inherited by all others alike.
    ///
    /// Beyond half of its processor or descriptors each further per mille counts as a link of an owner: at 90 % as
    /// 400 of them. Below that these figures only fluctuate.
    public func score(as role: Ticket.Role) -> Int {
        let traffic = players + bytes_per_s / 100_000
        let strain = max(0, strain_permille - Self.strainedAbove_permille) * Self.ownedLinkWeight
        return Self.weight(owned: max(0, links - standbyLinks), standbys: standbyLinks, as: role)
            + (role == .owner ? traffic : traffic / 4) + strain
    }

    /// What so many links alone count.
    public static func weight(owned: Int, standbys: Int, as role: Ticket.Role) -> Int {
        switch role {
        case .owner: owned * ownedLinkWeight + standbys * standbyLinkWeight
        case .standby: owned * standbyLinkWeight + standbys * ownedLinkWeight
        }
    }

    /// How much of its scarcest resource is used.
    public var strain_permille: Int {
        max(cpu_permille * 1000 / max(1, cpuLimit_permille), 1000 - freeDescriptors_permille)
    }

    /// How many of its descriptors are free.
    public var freeDescriptors_permille: Int {
        freeDescriptors * 1000 / max(1, freeDescriptors + connections)
    }
}
