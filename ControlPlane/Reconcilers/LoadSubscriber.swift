import Core
import IO
import Redis
import Wire

/// Follows the relays' reports on Redis, on a loop, and keeps the load board.
public final class LoadSubscriber {
    private let connection: RedisConnection
    private let board: LoadBoard
    private let log = Log("loads")
    private var regions: Set<String> = []
    private var last = RedisState.connecting

    /// `onStateChange` hears whether Redis is there.
    public init(
        loop: EventLoop, url: RedisURL, board: LoadBoard, onStateChange: @escaping (RedisState) -> Void
    ) {
        self.board = board
        connection = RedisConnection(loop: loop, url: url)
        connection.onStateChange = { [weak self] state in
            self?.note(state)
            onStateChange(state)
        }
        connection.start()
    }

    /// Listens to these regions too.
    public func follow(_ more: [String]) {
        let board = board
        for region in more where regions.insert(region).inserted {
            connection.subscribe([LoadReport.channel(region: region)]) { _, payload in
                guard payload.count <= LoadReport.maxBytes, let json = try? JSON.parse(payload, maxDepth: 4),
                    let report = try? LoadReport(json: json), report.region == region
                else { return }
                board.report(report)
            }
        }
    }

    public func close() { connection.close() }

    /// One line when Redis goes and one when it comes back, not one for each attempt.
    private func note(_ state: RedisState) {
        switch (last, state) {
        case (.ready, .away(let reason)), (.connecting, .away(let reason)):
            log.warning("Redis is away: relays are told over HTTP until it is back", ["reason": reason])
        case (.away, .ready): log.info("Redis is back")
        default: break
        }
        if state != .connecting { last = state }
    }
}
