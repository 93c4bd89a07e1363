import Core
import Domain
import Store

/// As leader, sees to it that whoever has used up the month's volume is slowed down, and nobody else: what reports
/// bring about at once, months, changed plans and lost processes bring about here.
public struct QuotaKeeper: Sendable {
    private let store: Store
    private let leadership: Leadership
    private let log = Log("quota")
    private static let interval = Milliseconds.seconds(10)

    public init(store: Store, leadership: Leadership) {
        self.store = store
        self.leadership = leadership
    }

    /// Runs until the task is cancelled.
    public func run() async {
        while await Task.pause(Self.interval) {
            if let lease = leadership.current { await turn(as: lease) }
        }
    }

    /// One account that cannot be dealt with does not keep the others waiting.
    func turn(as lease: Lease) async {
        do throws(StoreError) {
            for account in try await store.accountsBesideTheirQuota(as: lease) where !Task.isCancelled {
                do throws(StoreError) {
                    try await store.enforceQuota(of: account)
                } catch .unavailable(let reason) {
                    throw .unavailable(reason)
                } catch {
                    log.error(
                        "an account's volume cannot be enforced",
                        ["account": account.text, "reason": "\(error)"])
                }
            }
        } catch .unavailable(let reason) {
            log.debug("volumes cannot be looked at now: \(reason)")
        } catch .leaseLost {
            log.debug("another process leads")
        } catch {
            log.error("volumes cannot be looked at", ["reason": "\(error)"])
        }
    }
}
