import Core
import Domain
import Store

/// As leader, moves signing keys on when their time has come: a published one signs, a retired one is forgotten.
public struct KeyRotator: Sendable {
    private let store: Store
    private let rotation: KeyRotation
    private let leadership: Leadership
    private let log = Log("keys")
    private static let interval = Milliseconds.seconds(2)

    public init(store: Store, rotation: KeyRotation, leadership: Leadership) {
        self.store = store
        self.rotation = rotation
        self.leadership = leadership
    }

    /// Runs until the task is cancelled.
    public func run() async {
        while await Task.pause(Self.interval) {
            guard let lease = leadership.current else { continue }
            do throws(StoreError) {
                for step in try await store.rotateSigningKeys(rotation, as: lease) {
                    switch step {
                    case .sign(let kid): log.info("a signing key takes over", ["kid": kid])
                    case .forget(let kid): log.info("a signing key is gone", ["kid": kid])
                    }
                }
            } catch {
                log.debug("cannot look after the signing keys now: \(error)")
            }
        }
    }
}
