import Core
import IO
import RelayCore
import Wire

/// What one loop's rooms, or one room, have for other relays: each row with the relay it is for.
struct LimitNews: Sendable {
    var presence: [(relay: String, row: PresenceReport.Row)] = []
    var shares: [(relay: String, row: ShareReport.Row)] = []

    var isEmpty: Bool { presence.isEmpty && shares.isEmpty }

    mutating func add(_ more: LimitNews) {
        presence += more.presence
        shares += more.shares
    }
}

/// Makes limits hold across relays: each second has every room say what others have to know about its tunnel's
/// players, sends it in as few frames as it fits in, and passes what others say on to the rooms. Lives with the mesh.
final class LimitExchange {
    private unowned let mesh: Mesh
    private var isGathering = false
    /// Rows taken since the last second, by connection.
    private var taken: [Int: Int] = [:]

    /// To and from one relay in a second: more tunnels than a relay has descriptors for.
    static let maxRows = 20_000

    private var loop: EventLoop { mesh.loop }
    private var context: RelayContext { mesh.context }

    init(_ mesh: Mesh) { self.mesh = mesh }

    func start() {
        tick()
        loop.schedule(after: context.patience.limits) { [weak self] in self?.start() }
    }

    private func tick() {
        taken = [:]
        // A loop that is busy for longer than a second is not asked twice.
        guard !isGathering else { return }
        isGathering = true
        // Whoever was let in by answers that came before now is counted by the rooms, which have them in their
        // mailboxes already.
        let heard = mesh.answersHeard
        context.gatherLimits(on: loop) { [weak self] news in
            self?.isGathering = false
            self?.send(news, heard: heard)
        }
    }

    // MARK: to other relays

    func send(_ news: LimitNews, heard: [Int: Int] = [:]) {
        let presence = Self.byRelay(news.presence)
        for relay in Set(presence.keys).union(mesh.relays) {
            guard let connection = mesh.connection(to: relay) else { continue }
            let answers = heard[connection.number] ?? 0
            var frames = Self.divide(presence[relay] ?? [], PresenceReport.maxRows)
            // Whoever was let in and has left before any report is waited for there, too.
            if frames.isEmpty, answers > connection.answersTold { frames = [[]] }
            for (index, rows) in frames.enumerated() {
                let isLast = index == frames.count - 1
                connection.send(.presence(PresenceReport(answersHeard: isLast ? answers : 0, rows: rows)))
            }
            connection.answersTold = max(connection.answersTold, answers)
        }
        for (relay, rows) in Self.byRelay(news.shares) {
            guard let connection = mesh.connection(to: relay) else { continue }
            for rows in Self.divide(rows, ShareReport.maxRows) {
                connection.send(.shares(ShareReport(rows: rows)))
            }
        }
    }

    /// In the order in which they came. Of too many each second brings others.
    private static func byRelay<Row>(_ rows: [(relay: String, row: Row)]) -> [String: [Row]] {
        var found: [String: [Row]] = [:]
        for (relay, row) in rows { found[relay, default: []].append(row) }
        return found.mapValues { $0.count > maxRows ? Array($0.shuffled().prefix(maxRows)) : $0 }
    }

    private static func divide<Row>(_ rows: [Row], _ most: Int) -> [[Row]] {
        stride(from: 0, to: rows.count, by: most).map { Array(rows[$0..<min($0 + most, rows.count)]) }
    }

    // MARK: from other relays

    func took(_ report: PresenceReport, on connection: MeshConnection) {
        guard isInBounds(report.rows.count, on: connection) else { return }
        let relay = connection.relay
        var settled = connection.settle(report.answersHeard)
        var loops: [UInt8: [(row: PresenceReport.Row, settled: [Nonce])]] = [:]
        for row in report.rows {
            guard let door = context.door(forTunnel: row.tunnel) else { continue }
            loops[door.number, default: []].append((row, settled.removeValue(forKey: row.tunnel) ?? []))
        }
        for (number, rows) in loops {
            context.door(number: number)?.post { relayLoop in
                for (row, settled) in rows {
                    relayLoop.existingRoom(row.tunnel)?.playersReported(row, settled: settled, at: relay)
                }
            }
        }
        for (tunnel, nonces) in settled {
            context.door(forTunnel: tunnel)?.post { relayLoop in
                relayLoop.existingRoom(tunnel)?.playersSettled(nonces, at: relay)
            }
        }
    }

    func took(_ report: ShareReport, on connection: MeshConnection) {
        guard isInBounds(report.rows.count, on: connection) else { return }
        let relay = connection.relay
        var loops: [UInt8: [ShareReport.Row]] = [:]
        for row in report.rows {
            guard let door = context.door(forTunnel: row.tunnel) else { continue }
            loops[door.number, default: []].append(row)
        }
        for (number, rows) in loops {
            context.door(number: number)?.post { relayLoop in
                for row in rows { relayLoop.existingRoom(row.tunnel)?.granted(row.bytes_per_s, by: relay) }
            }
        }
    }

    private func isInBounds(_ rows: Int, on connection: MeshConnection) -> Bool {
        // A frame without rows costs something, too.
        taken[connection.number, default: 0] += rows + 1
        return taken[connection.number, default: 0] <= 2 * Self.maxRows
    }

    /// No connection to that relay is left.
    func gone(_ relay: String) {
        context.forEachLoop { relayLoop in relayLoop.forEachRoom { $0.relayGone(relay) } }
    }
}
