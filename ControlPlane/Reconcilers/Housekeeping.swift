import Core
import Store

/// As leader, has the store forget what nobody asks for any more.
public struct Housekeeping: Sendable {
    private let store: Store
    private let leadership: Leadership
    private let log = Log("housekeeping")
    private static let interval = Milliseconds.minutes(1)

    public init(store: Store, leadership: Leadership) {
        self.store = store
        self.leadership = leadership
    }

    /// Runs until the task is cancelled.
    public func run() async {
        while await Task.pause(Self.interval) {
            guard let lease = leadership.current else { continue }
            do throws(StoreError) {
                try await store.tidy(as: lease)
            } catch {
                log.debug("cannot tidy up now: \(error)")
            }
        }
    }
}
