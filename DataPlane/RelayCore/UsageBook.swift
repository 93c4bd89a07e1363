import Core
import Wire

/// What passed through a tunnel.
public struct UsageCount: Sendable, Hashable {
    /// From players to the home server.
    public var bytes_up: Int
    /// From the home server to players.
    public var bytes_down: Int
    public var player_ms: Int

    public static let zero = UsageCount(bytes_up: 0, bytes_down: 0, player_ms: 0)

    public init(bytes_up: Int, bytes_down: Int, player_ms: Int) {
        self.bytes_up = bytes_up
        self.bytes_down = bytes_down
        self.player_ms = player_ms
    }

    public static func += (left: inout UsageCount, right: UsageCount) {
        left.bytes_up += right.bytes_up
        left.bytes_down += right.bytes_down
        left.player_ms += right.player_ms
    }
}

/// What this relay has counted and the control plane has not acknowledged: the open page, pages of earlier hours,
/// and the one report that is out. A report that was sent never changes, whatever its answer, until it is
/// acknowledged; what is counted meanwhile goes into the next. So nothing is lost while this process lives and
/// nothing is told under two ids.
public struct UsageBook: Sendable {
    public struct Caps: Sendable {
        /// Tunnels in one report.
        public var rows = UsageReport.maxRows
        /// Hours that are kept apart while the control plane is away; older ones are merged.
        public var pages = 24
        /// Tunnels in all pages together. Beyond it, tunnels that are not counted yet are not counted at all.
        public var tunnels = 50_000

        public init() {}
    }

    /// One hour's counts, or what is left of it.
    private struct Page: Sendable {
        var from: WallTime
        var to: WallTime
        var counts: [String: UsageCount] = [:]

        var hour: Int64 { UsageBook.hour(of: from) }
    }

    private let relay: String
    private let run: String
    private let caps: Caps
    private var open: Page
    /// Oldest first.
    private var earlier: [Page] = []
    private var out: UsageReport?
    private var isAwaited = false
    private var lastNumber = 0
    /// Bytes that were not counted because of `caps.tunnels`.
    public private(set) var lostBytes = 0

    /// `run` names this run of the relay: no other one may have the same.
    public init(relay: String, run: String, now: WallTime, caps: Caps = Caps()) {
        self.relay = relay
        self.run = run
        self.caps = caps
        open = Page(from: now, to: now)
    }

    /// Nothing that is worth a report waits to be told or acknowledged.
    public var isEmpty: Bool {
        out == nil && earlier.isEmpty && !open.counts.values.contains { Self.isWorthTelling($0) }
    }

    /// Pages of earlier hours, or what one report does not hold, wait to be told.
    public var isBehind: Bool { !earlier.isEmpty || open.counts.count > caps.rows }

    private var tunnels: Int { earlier.reduce(open.counts.count) { $0 + $1.counts.count } }

    public mutating func add(_ count: UsageCount, to tunnel: String, now: WallTime) {
        turnPage(now)
        if open.counts[tunnel] == nil {
            if tunnels >= caps.tunnels { merge(downTo: 1) }
            guard tunnels < caps.tunnels else {
                lostBytes += count.bytes_up + count.bytes_down
                return
            }
        }
        open.counts[tunnel, default: .zero] += count
    }

    /// What to send now: first the report that is out, as it was. nil while its answer is awaited, and when there
    /// is nothing to tell.
    public mutating func next(now: WallTime) -> UsageReport? {
        guard !isAwaited else { return nil }
        turnPage(now)
        if out == nil { out = write(now) }
        isAwaited = out != nil
        return out
    }

    /// It was added, now or before. An answer about an earlier report changes nothing.
    public mutating func acknowledged(_ id: String) {
        guard out?.id == id else { return }
        out = nil
        isAwaited = false
    }

    /// No answer, or one that asks to try again: the same report is due again.
    public mutating func failed(_ id: String) {
        if out?.id == id { isAwaited = false }
    }

    /// The control plane will never take it: it is let go. Answers what is lost.
    public mutating func refused(_ id: String) -> UsageReport? {
        guard let report = out, report.id == id else { return nil }
        acknowledged(id)
        return report
    }

    // MARK: pages

    private static func hour(of time: WallTime) -> Int64 { time.seconds / 3600 }

    /// A report lies within one hour. A clock that was set back turns the page too.
    private mutating func turnPage(_ now: WallTime) {
        guard Self.hour(of: now) != open.hour else {
            open.to = max(open.to, now)
            return
        }
        var full = open
        open = Page(from: now, to: now)
        full.counts = full.counts.filter { Self.isWorthTelling($0.value) }
        guard !full.counts.isEmpty else { return }
        earlier.append(full)
        merge(downTo: caps.pages)
    }

    /// Adds the oldest pages together, under the oldest hour.
    private mutating func merge(downTo count: Int) {
        while earlier.count > max(1, count) {
            let younger = earlier.remove(at: 1)
            earlier[0].to = max(earlier[0].to, younger.to)
            earlier[0].counts.merge(younger.counts) { one, other in
                var sum = one
                sum += other
                return sum
            }
        }
    }

    private mutating func write(_ now: WallTime) -> UsageReport? {
        let page: Page
        let rows: [UsageReport.Row]
        if var oldest = earlier.first {
            page = oldest
            rows = Self.tearOut(&oldest, atMost: caps.rows)
            oldest.counts = oldest.counts.filter { Self.isWorthTelling($0.value) }
            if oldest.counts.isEmpty { earlier.removeFirst() } else { earlier[0] = oldest }
        } else {
            page = open
            rows = Self.tearOut(&open, atMost: caps.rows)
            // The next report begins where this one ends.
            if !open.counts.contains(where: { Self.isWorthTelling($0.value) }) { open.from = now }
        }
        guard !rows.isEmpty else { return nil }
        lastNumber += 1
        return UsageReport(
            relay: relay, id: "\(run).\(lastNumber)", from: page.from, to: page.to, rows: rows)
    }

    /// Whole seconds are told, the rest stays.
    private static func tearOut(_ page: inout Page, atMost limit: Int) -> [UsageReport.Row] {
        var rows: [UsageReport.Row] = []
        for (tunnel, count) in page.counts.lazy.filter({ isWorthTelling($0.value) }).prefix(limit) {
            rows.append(
                UsageReport.Row(
                    tunnel: tunnel, bytes_up: count.bytes_up, bytes_down: count.bytes_down,
                    player_s: count.player_ms / 1000))
        }
        for row in rows {
            let rest_ms = (page.counts[row.tunnel]?.player_ms ?? 0) % 1000
            page.counts[row.tunnel] =
                rest_ms == 0 ? nil : UsageCount(bytes_up: 0, bytes_down: 0, player_ms: rest_ms)
        }
        return rows.sorted { $0.tunnel < $1.tunnel }
    }

    private static func isWorthTelling(_ count: UsageCount) -> Bool {
        count.bytes_up > 0 || count.bytes_down > 0 || count.player_ms >= 1000
    }
}
