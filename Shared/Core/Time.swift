import CLinux

/// A reading of the monotonic clock, for deadlines and durations. State machines are given it, they never ask.
public struct Instant: Sendable, Hashable, Comparable {
    public var nanoseconds: UInt64

    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    public static func now() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }

    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Whole milliseconds later.
    public static func + (instant: Instant, milliseconds: Milliseconds) -> Instant {
        Instant(nanoseconds: instant.nanoseconds &+ UInt64(max(0, milliseconds.count)) &* 1_000_000)
    }

    /// Milliseconds from `earlier` to here, 0 when `earlier` is not earlier.
    public func since(_ earlier: Instant) -> Milliseconds {
        nanoseconds <= earlier.nanoseconds
            ? Milliseconds(0) : Milliseconds(Int((nanoseconds - earlier.nanoseconds) / 1_000_000))
    }
}

/// A span of time with its unit in its name.
public struct Milliseconds: Sendable, Hashable, Comparable {
    public var count: Int

    public init(_ count: Int) { self.count = count }
    public static func seconds(_ seconds: Int) -> Milliseconds { Milliseconds(seconds * 1000) }
    public static func minutes(_ minutes: Int) -> Milliseconds { Milliseconds(minutes * 60_000) }
    public static func < (left: Milliseconds, right: Milliseconds) -> Bool { left.count < right.count }
}

/// Seconds since 1970 by the wall clock: what tokens and rows carry.
public struct WallTime: Sendable, Hashable, Comparable {
    public var seconds: Int64

    public init(seconds: Int64) { self.seconds = seconds }

    public static func now() -> WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(seconds: Int64(time.tv_sec))
    }

    public static func < (left: WallTime, right: WallTime) -> Bool { left.seconds < right.seconds }
    public static func + (time: WallTime, seconds: Int64) -> WallTime {
        WallTime(seconds: time.seconds + seconds)
    }

    /// RFC 3339 in UTC with whole seconds: `2026-11-21T09:30:00Z`.
    public var rfc3339: String {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        func padded(_ value: Int32, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return
            "\(padded(parts.tm_year + 1900, 4))-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2))T"
            + "\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))Z"
    }
}
