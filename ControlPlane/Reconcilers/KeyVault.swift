import Core
import Crypto
import Domain
import Store

/// The signing keys in Postgres, opened and sealed with the installation's own secret.
public struct KeyVault: Sendable {
    /// Why the keys cannot be used.
    public enum Problem: Error, Sendable, CustomStringConvertible {
        case store(StoreError)
        case sealed(kid: String)
        case crypto(CryptoError)

        public var description: String {
            switch self {
            case .store(let error): error.description
            case .sealed(let kid): "SIGNING_KEYS_SECRET does not open the signing key \(kid)"
            case .crypto(let error): error.description
            }
        }
    }

    public let rotation: KeyRotation
    private let store: Store
    private let box: SecretBox
    /// What signed before the keys were in Postgres: it goes on as the first.
    private let first: SigningKey?

    public init(store: Store, box: SecretBox, first: SigningKey? = nil, rotation: KeyRotation = KeyRotation())
    {
        self.store = store
        self.box = box
        self.first = first
        self.rotation = rotation
    }

    /// Every key, oldest first.
    public func keys() async throws(StoreError) -> [SigningKeyView] {
        try await store.signingKeys().map(\.view)
    }

    /// The keys as they are now; makes the first one.
    public func load() async throws(Problem) -> KeyRing {
        do {
            var rows = try await store.signingKeys()
            if !rows.contains(where: { $0.view.state == .signing }) {
                let key = try first ?? SigningKey.generate()
                rows = try await store.ensureSigningKey(try seal(key), actor: .system("keys"))
            }
            guard let signer = rows.first(where: { $0.view.state == .signing }) else {
                throw Problem.store(.unavailable("no key signs"))
            }
            return KeyRing(
                signing: try open(signer),
                others: rows.filter { $0.view.state != .signing }.map(\.view.publicKey))
        } catch let error as StoreError {
            throw .store(error)
        } catch let error as CryptoError {
            throw .crypto(error)
        } catch let error as Problem {
            throw error
        } catch {
            throw .store(.unavailable("\(error)"))
        }
    }

    /// Publishes a new key, which will sign after `rotation.publish_s`.
    public func startRotation(actor: Actor) async throws -> SigningKeyView {
        try await store.publishSigningKey(try seal(try SigningKey.generate()), actor: actor)
    }

    /// False when there is no such key.
    public func remove(_ kid: String, actor: Actor) async throws -> Bool {
        try await store.removeSigningKey(
            kid, replacement: try seal(try SigningKey.generate()), actor: actor)
    }

    private func seal(_ key: SigningKey) throws(CryptoError) -> SealedSigningKey {
        SealedSigningKey(publicKey: key.publicKey, sealed: try box.seal(key.seed, name: key.kid))
    }

    private func open(_ row: StoredSigningKey) throws -> SigningKey {
        guard let seed = try box.open(row.sealed, name: row.view.kid) else {
            throw Problem.sealed(kid: row.view.kid)
        }
        let key = try SigningKey(seed: seed)
        guard key.publicKey == row.view.publicKey else { throw Problem.sealed(kid: row.view.kid) }
        return key
    }
}
