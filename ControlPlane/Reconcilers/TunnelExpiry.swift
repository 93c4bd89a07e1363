import Core
import Domain
import Store

/// As leader, lets tunnels go that nobody uses, on plans that say so; their owners hear of it two weeks before.
public struct TunnelExpiry: Sendable {
    private let store: Store
    private let rounds: Rounds
    private let expired: Counter
    private let log = Log("expiry")
    private static let interval = Milliseconds.minutes(1)
    private static let batch = 100

    public init(store: Store, leadership: Leadership, metrics: Metrics) {
        self.store = store
        rounds = Rounds("expiry", leadership: leadership, metrics: metrics, interval: Self.interval)
        expired = metrics.counter("minecart_tunnels_expired_total", "Tunnels that nobody used and that went.")
    }

    /// Runs until the task is cancelled.
    public func run() async {
        await rounds.run { lease in
            try await turn(as: lease)
            return nil
        }
    }

    /// One account that cannot be dealt with does not keep the others waiting.
    func turn(as lease: Lease) async throws {
        while try await store.noteLinkedTunnels(limit: Self.batch, as: lease) == Self.batch {
            try Task.checkCancellation()
        }
        var last: AccountID?
        while true {
            let accounts = try await store.accountsWithUnusedTunnels(
                after: last, limit: Self.batch, as: lease)
            for account in accounts { try await expire(account, lease) }
            guard accounts.count == Self.batch else { return }
            last = accounts.last
        }
    }

    private func expire(_ account: AccountID, _ lease: Lease) async throws {
        try Task.checkCancellation()
        do throws(StoreError) {
            for tunnel in try await store.expireTunnels(of: account, as: lease) {
                expired.add()
                log.info("a tunnel was not used and is gone", ["tunnel": tunnel.text])
            }
        } catch {
            switch error {
            case .leaseLost, .unavailable: throw error
            default:
                log.error(
                    "an account's unused tunnels cannot be dealt with",
                    ["account": account.text, "reason": "\(error)"])
            }
        }
    }
}
