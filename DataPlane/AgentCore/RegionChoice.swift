import Core

/// One region's shortest time to connect; nil when none of its probes answered.
public struct RegionTime: Sendable, Hashable {
    public var region: String
    public var time: Milliseconds?

    public init(region: String, time: Milliseconds?) {
        self.region = region
        self.time = time
    }

    /// The nearest first, those without an answer last, otherwise in the given order.
    public static func sorted(_ times: [RegionTime]) -> [RegionTime] {
        times.enumerated().sorted { left, right in
            switch (left.element.time, right.element.time) {
            case (let one?, let two?) where one != two: one < two
            case (_?, nil): true
            case (nil, _?): false
            default: left.offset < right.offset
            }
        }.map { $0.element }
    }
}
