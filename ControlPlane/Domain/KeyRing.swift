import Core
import Crypto
import Wire

/// The installation's signing keys at one moment: the one that signs, and all whose signatures are believed.
public struct KeyRing: Sendable {
    public let signing: SigningKey
    /// The signing key's, those that will sign, and those that did.
    public let keys: VerificationKeys

    public init(signing: SigningKey, others: [Ed25519PublicKey] = []) {
        self.signing = signing
        keys = VerificationKeys([signing.publicKey] + others.filter { $0 != signing.publicKey })
    }

    /// Told in beacons, so that relays notice when other keys count.
    public var fingerprint: String { keys.fingerprint }
}

/// What a signing key is good for. It goes from one to the next, then it is gone.
public enum SigningKeyState: String, Sendable, Hashable {
    /// In the key set, so that everybody has it before the first signature comes.
    case published
    case signing
    /// Its signatures count until the last token of its time has expired.
    case retired
}

/// A signing key without its secret.
public struct SigningKeyView: Sendable, Hashable {
    public var state: SigningKeyState
    public var publicKey: Ed25519PublicKey
    public var createdAt: WallTime
    /// When it began to sign.
    public var signsSince: WallTime?
    public var retiredAt: WallTime?

    public init(
        state: SigningKeyState, publicKey: Ed25519PublicKey, createdAt: WallTime, signsSince: WallTime?,
        retiredAt: WallTime?
    ) {
        self.state = state
        self.publicKey = publicKey
        self.createdAt = createdAt
        self.signsSince = signsSince
        self.retiredAt = retiredAt
    }

    public var kid: String { publicKey.kid }
}

/// How long a signing key stays what it is, and what is to be done next.
public struct KeyRotation: Sendable, Hashable {
    public enum Step: Sendable, Hashable {
        /// This key signs from now on, the one before is retired.
        case sign(kid: String)
        case forget(kid: String)
    }

    /// From the key set to the first signature.
    public var publish_s: Int64
    /// From the last signature to the end of its trust: a ticket's life and grace (no token lives longer), and an
    /// hour for clocks.
    public var retire_s: Int64

    public static let standardPublish_s: Int64 = 360
    public static let standardRetire_s: Int64 = Ticket.lifetime_s + Ticket.grace_s + 3600
    private static let longestCache_s: Int64 = 300

    public init(publish_s: Int64 = standardPublish_s, retire_s: Int64 = standardRetire_s) {
        self.publish_s = publish_s
        self.retire_s = retire_s
    }

    /// How long others may keep the key set: they must ask again a minute before a new key signs.
    public var cache_s: Int64 { min(Self.longestCache_s, max(0, publish_s - 60)) }

    /// When a key becomes something else by itself; nil while it signs and nobody follows.
    public func nextChange(of key: SigningKeyView) -> WallTime? {
        switch key.state {
        case .published: key.createdAt + publish_s
        case .signing: nil
        case .retired: key.retiredAt.map { $0 + retire_s }
        }
    }

    public func due(_ keys: [SigningKeyView], now: WallTime) -> [Step] {
        keys.compactMap { key in
            guard let change = nextChange(of: key), change <= now else { return nil }
            return key.state == .published ? .sign(kid: key.kid) : .forget(kid: key.kid)
        }
    }
}
