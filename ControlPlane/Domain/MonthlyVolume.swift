/// What an account may move in a calendar month and what of it is used: whether its tunnels are slowed down, and
/// what its owners are told.
public struct MonthlyVolume: Sendable, Hashable {
    /// Bytes that the plan or the account's exception includes; nil is no limit.
    public var included: Int?
    /// Bytes that were moved this month, both ways together.
    public var used: Int
    /// What goes beyond is billed: nothing is slowed down and nobody is warned.
    public var isSoldBeyond: Bool

    public init(included: Int?, used: Int, isSoldBeyond: Bool = false) {
        self.included = included
        self.used = used
        self.isSoldBeyond = isSoldBeyond
    }

    public enum Level: Int, Sendable, Comparable {
        case within = 0
        case nearlyUsed = 80
        case usedUp = 100

        public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    public var level: Level {
        guard let included, !isSoldBeyond else { return .within }
        if used >= included { return .usedUp }
        return used >= Self.warned(of: included) ? .nearlyUsed : .within
    }

    public var isUsedUp: Bool { level == .usedUp }

    /// From how many bytes on owners are warned: 80 % of what is included.
    public static func warned(of included: Int) -> Int { included - included / 5 }

    /// What the owners are to be told now, beside what they were told of the same month. Each level is told once;
    /// again only of a larger volume.
    public func warning(after told: VolumeWarning?) -> VolumeWarning? {
        guard let included, level > .within else { return nil }
        if let told, told.included >= included, told.level >= level { return nil }
        return VolumeWarning(level: level, included: included)
    }

    /// Whether something is to be done about an account that is throttled or not, and was told or not.
    public func asksForMore(isThrottled: Bool, told: VolumeWarning?) -> Bool {
        isUsedUp != isThrottled || warning(after: told) != nil
    }
}

/// That most or all of a month's volume is used.
public struct VolumeWarning: Sendable, Hashable {
    public var level: MonthlyVolume.Level
    /// Of how many bytes a month.
    public var included: Int

    public init(level: MonthlyVolume.Level, included: Int) {
        self.level = level
        self.included = included
    }
}
