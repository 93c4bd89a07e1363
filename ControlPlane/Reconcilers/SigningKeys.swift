import Core
import Crypto
import Domain
import Store
import Synchronization

/// The installation's signing keys as this process knows them now. With the keys in Postgres it follows what
/// operators and the leader do there; with one from the environment it never changes.
public final class SigningKeys: Sendable {
    private struct State {
        var ring: KeyRing?
        /// Of readings that overlap the one that began last counts.
        var readings = 0
        var newest = 0
        var lastSurprise: Instant?
        var trouble: String?
    }

    /// nil when the keys come from the environment.
    public let vault: KeyVault?
    private let state: Mutex<State>
    private let clock: @Sendable () -> Instant
    private let log = Log("keys")
    /// Changes are told by the database; this finds those whose notification was lost.
    private static let interval = Milliseconds.seconds(5)
    /// Until the database was read once nothing can be signed.
    private static let firstInterval = Milliseconds(250)
    /// Strangers may send what names keys that do not exist: so often at most it makes us look.
    private static let surpriseInterval = Milliseconds.minutes(1)

    /// Keys that stay as they are.
    public init(_ ring: KeyRing) {
        vault = nil
        clock = { .now() }
        state = Mutex(State(ring: ring))
    }

    /// Keys in Postgres: there are none until `reload` has found some.
    public init(vault: KeyVault, clock: @escaping @Sendable () -> Instant = { .now() }) {
        self.vault = vault
        self.clock = clock
        state = Mutex(State())
    }

    /// nil until the database was read.
    public var current: KeyRing? { state.withLock { $0.ring } }

    /// Throws while the database was never read.
    public var ring: KeyRing {
        get throws(StoreError) {
            guard let current else { throw .unavailable("the signing keys were not read yet") }
            return current
        }
    }

    /// How long others may keep the key set.
    public var cache_s: Int64 { (vault?.rotation ?? KeyRotation()).cache_s }

    /// The keys after something came that none of them signed: read again, at most once a minute.
    public func ringAfterSurprise() async throws(StoreError) -> KeyRing {
        let isDue = state.withLock { state in
            let now = clock()
            if let last = state.lastSurprise, now.since(last) < Self.surpriseInterval { return false }
            state.lastSurprise = now
            return true
        }
        if isDue { await reload() }
        return try ring
    }

    /// Reads the keys. When that fails the last known stay.
    public func reload() async {
        guard let vault else { return }
        let number = state.withLock { state in
            state.readings += 1
            return state.readings
        }
        do throws(KeyVault.Problem) {
            let ring = try await vault.load()
            let before = state.withLock { state -> KeyRing? in
                let before = state.ring
                guard number > state.newest else { return ring }
                state.newest = number
                state.ring = ring
                state.trouble = nil
                return before
            }
            if before?.fingerprint != ring.fingerprint || before?.signing.kid != ring.signing.kid {
                log.info("signing keys", ["signs": ring.signing.kid, "keys": String(ring.keys.keys.count)])
            }
        } catch {
            complain(error)
        }
    }

    /// Reads the keys now and then until the task is cancelled.
    public func run() async {
        guard vault != nil else { return }
        repeat { await reload() } while await Task.pause(current == nil ? Self.firstInterval : Self.interval)
    }

    /// An outage of the database is told by others; what will not mend by itself is told once.
    private func complain(_ problem: KeyVault.Problem) {
        if case .store(.unavailable(let reason)) = problem {
            return log.debug("the signing keys cannot be read now: \(reason)")
        }
        let isNews = state.withLock { state in
            defer { state.trouble = problem.description }
            return state.trouble != problem.description
        }
        if isNews { log.error("the signing keys cannot be used", ["reason": problem.description]) }
    }
}
