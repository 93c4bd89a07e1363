import CLinux
import Core

/// The Date field's line, made once a second (RFC 9110 section 5.6.7).
public struct HTTPDateLine: Sendable {
    private var made: WallTime?
    private(set) var bytes: [UInt8] = []

    public init() {}

    /// `Date: Sat, 21 Nov 2026 09:30:00 GMT` and its line end.
    public mutating func line(at now: WallTime) -> [UInt8] {
        if made != now {
            made = now
            bytes = Array("Date: \(Self.text(now))\r\n".utf8)
        }
        return bytes
    }

    static func text(_ time: WallTime) -> String {
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        var seconds = time_t(time.seconds)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) "
            + "\(parts.tm_year + 1900) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
    }
}
