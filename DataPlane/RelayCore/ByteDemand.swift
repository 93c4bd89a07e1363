import Core

/// What the players of one tunnel at one relay could use, from what passed: a little more than they use, and all
/// there is when they are held back. It rises at once and falls over some seconds, so that shares do not swing with
/// every burst.
public struct ByteDemand: Sendable {
    /// In bytes a second; nil before the first measurement, when players who just came load their world.
    public private(set) var bytes_per_s: Int?
    private var last: (bytes: Int, at: Instant)?

    public init() {}

    /// `bytes` passed in all, `isHeldBack` when anybody had to wait since the last measurement, `limit` for the whole
    /// tunnel.
    public mutating func measure(bytes: Int, isHeldBack: Bool, limit: Int, now: Instant) {
        let before = last
        if let before, now.since(before.at).count == 0 { return }
        last = (bytes, now)
        guard let before else {
            bytes_per_s = limit
            return
        }
        let elapsed_s = Double(now.since(before.at).count) / 1000
        let used = Double(max(0, bytes - before.bytes)) / elapsed_s
        let wanted = isHeldBack ? Double(limit) : used * Self.headRoom
        let faded = Double(bytes_per_s ?? limit) * Self.fade
        bytes_per_s = Int(min(max(wanted, faded), Double(limit)))
    }

    private static let headRoom = 1.25
    private static let fade = 0.7
}
