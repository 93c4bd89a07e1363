import Core

/// An hour of an account on a plan that sells more volume than it includes.
public struct MeteredHour: Sendable, Hashable {
    /// Its beginning.
    public var hour: WallTime
    /// What its tunnels moved, as far as is known now: relays may report late.
    public var bytes: Int
    /// How much of that was told to Stripe before, in how many parts.
    public var metered: Int
    public var parts: Int

    public init(hour: WallTime, bytes: Int, metered: Int = 0, parts: Int = 0) {
        self.hour = hour
        self.bytes = bytes
        self.metered = metered
        self.parts = parts
    }
}

/// A part of an hour's overage that Stripe is to be told of.
public struct MeterPart: Sendable, Hashable {
    public var hour: WallTime
    /// 1 for an hour's first event, more for what came late.
    public var number: Int
    public var bytes: Int

    public init(hour: WallTime, number: Int, bytes: Int) {
        self.hour = hour
        self.number = number
        self.bytes = bytes
    }

    /// Under which Stripe counts it once: the account, the hour in hours since 1970, and the part after the first.
    public func identifier(of account: AccountID) -> String {
        let name = "\(account.text):\(hour.seconds / 3600)"
        return number == 1 ? name : "\(name):\(number)"
    }
}

/// How much beyond its plan's monthly volume an account moved, hour by hour.
public enum Overage {
    /// What is still to be told of a calendar month. `hours` are in order and all on a plan that includes `included`
    /// bytes a month; `earlier` bytes of the month were moved before, on another plan: they use up what is included,
    /// but are never sold. Volume that arrives late adds parts; nothing is ever taken back.
    public static func due(_ hours: [MeteredHour], earlier: Int = 0, included: Int) -> [MeterPart] {
        var total = min(earlier, included)
        let overs = hours.map { hour in
            let before = max(0, total - included)
            total += hour.bytes
            return max(0, total - included) - before
        }
        var open = max(0, total - included) - hours.reduce(0) { $0 + $1.metered }
        var parts: [MeterPart] = []
        for (hour, over) in zip(hours, overs) {
            let bytes = min(over - hour.metered, open)
            guard bytes > 0 else { continue }
            parts.append(MeterPart(hour: hour.hour, number: hour.parts + 1, bytes: bytes))
            open -= bytes
        }
        return parts
    }
}
