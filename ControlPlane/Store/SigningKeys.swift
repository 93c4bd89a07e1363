import Core
import Crypto
import Domain
import Postgres

/// The channel on which commits tell that the signing keys changed; its payload says nothing.
public enum SigningKeysChannel {
    public static let name = "signing_keys"
}

/// A signing key as it is kept: the private half encrypted.
public struct SealedSigningKey: Sendable, Hashable {
    public var publicKey: Ed25519PublicKey
    public var sealed: [UInt8]

    public init(publicKey: Ed25519PublicKey, sealed: [UInt8]) {
        self.publicKey = publicKey
        self.sealed = sealed
    }
}

/// A row of signing_keys.
public struct StoredSigningKey: Sendable, Hashable {
    public var view: SigningKeyView
    public var sealed: [UInt8]

    init(_ row: Row) throws {
        let state: String = try row["state"]
        let kid: String = try row["kid"]
        guard let state = SigningKeyState(rawValue: state),
            let publicKey = try? Ed25519PublicKey(rawValue: row["public_key"]), publicKey.kid == kid
        else { throw PostgresError.unexpectedValue("the signing key \(kid) is damaged") }
        view = SigningKeyView(
            state: state, publicKey: publicKey, createdAt: try row["created_at"],
            signsSince: try row["signs_since"], retiredAt: try row["retired_at"])
        sealed = try row["sealed"]
    }
}

extension Store {
    /// Every key that is not gone, oldest first.
    public func signingKeys() async throws(StoreError) -> [StoredSigningKey] {
        try await transaction { tx in try tx.signingKeys() }
    }

    /// Makes `key` sign when no key does yet: an installation's first. Answers the keys there are now.
    @discardableResult
    public func ensureSigningKey(_ key: SealedSigningKey, actor: Actor) async throws(StoreError)
        -> [StoredSigningKey]
    {
        try await transaction { tx in
            try tx.lockSigningKeys()
            guard try !tx.signingKeys().contains(where: { $0.view.state == .signing }) else {
                return try tx.signingKeys()
            }
            try tx.add(key, signs: true)
            try tx.audit(key.publicKey.kid, from: nil, to: .signing, actor: actor)
            return try tx.signingKeys()
        }
    }

    /// Publishes the key that is to sign next. `StoreError.rotationUnderWay` when one is published already.
    public func publishSigningKey(_ key: SealedSigningKey, actor: Actor) async throws(StoreError)
        -> SigningKeyView
    {
        try await transaction { tx in
            try tx.lockSigningKeys()
            let before = try tx.signingKeys()
            if let next = before.first(where: { $0.view.state == .published }) {
                throw StoreError.rotationUnderWay(kid: next.view.kid)
            }
            guard before.count < VerificationKeys.maxKeys else { throw StoreError.tooManySigningKeys }
            try tx.add(key, signs: false)
            try tx.audit(key.publicKey.kid, from: nil, to: .published, actor: actor)
            return try tx.signingKey(key.publicKey.kid).view
        }
    }

    /// As leader, does what has come due by the database's clock. Answers what was done.
    @discardableResult
    public func rotateSigningKeys(_ rotation: KeyRotation, as lease: Lease) async throws(StoreError)
        -> [KeyRotation.Step]
    {
        try await transaction { tx in
            try tx.check(lease)
            let now: WallTime = try tx.row("SELECT floor(extract(epoch FROM now()))::bigint AS now")["now"]
            guard try !rotation.due(tx.signingKeys().map(\.view), now: now).isEmpty else { return [] }
            try tx.lockSigningKeys()
            // An operator may have been faster.
            let steps = try rotation.due(tx.signingKeys().map(\.view), now: now)
            for step in steps {
                switch step {
                case .sign(let kid):
                    try tx.retireSigner(actor: .system("keys"))
                    try tx.letSign(kid, actor: .system("keys"))
                case .forget(let kid):
                    try tx.query("DELETE FROM signing_keys WHERE kid = $1", kid)
                    try tx.audit(kid, from: .retired, to: nil, actor: .system("keys"))
                }
            }
            try tx.tellOfSigningKeys()
            return steps
        }
    }

    /// Ends the trust in a key at once. When it was the one that signs, the published key takes its place, else
    /// `replacement`. False when there is no such key.
    public func removeSigningKey(
        _ kid: String, replacement: SealedSigningKey, actor: Actor
    ) async throws(StoreError) -> Bool {
        try await transaction { tx in
            try tx.lockSigningKeys()
            let keys = try tx.signingKeys()
            guard let removed = keys.first(where: { $0.view.kid == kid }) else { return false }
            try tx.query("DELETE FROM signing_keys WHERE kid = $1", kid)
            try tx.audit(
                "signing_key.remove", actor: actor, account: nil, subject: kid,
                before: ["state": .string(removed.view.state.rawValue)])
            if removed.view.state == .signing {
                if let next = keys.first(where: { $0.view.state == .published }) {
                    try tx.letSign(next.view.kid, actor: actor)
                } else {
                    try tx.add(replacement, signs: true)
                    try tx.audit(replacement.publicKey.kid, from: nil, to: .signing, actor: actor)
                }
            }
            try tx.tellOfSigningKeys()
            return true
        }
    }
}

extension Transaction {
    /// One change of the keys at a time; reading goes on.
    fileprivate mutating func lockSigningKeys() throws {
        try query("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE")
    }

    fileprivate mutating func tellOfSigningKeys() throws {
        try query("SELECT pg_notify($1, '')", SigningKeysChannel.name)
    }

    fileprivate mutating func signingKeys() throws -> [StoredSigningKey] {
        try query(
            """
            SELECT kid, state, public_key, sealed, ceil(extract(epoch FROM created_at))::bigint AS created_at,
                floor(extract(epoch FROM signs_since))::bigint AS signs_since,
                ceil(extract(epoch FROM retired_at))::bigint AS retired_at
            FROM signing_keys ORDER BY signing_keys.created_at, kid
            """
        ).map { try StoredSigningKey($0) }
    }

    fileprivate mutating func signingKey(_ kid: String) throws -> StoredSigningKey {
        guard let key = try signingKeys().first(where: { $0.view.kid == kid }) else {
            throw PostgresError.unexpectedValue("the signing key \(kid) is gone")
        }
        return key
    }

    fileprivate mutating func add(_ key: SealedSigningKey, signs: Bool) throws {
        try query(
            """
            INSERT INTO signing_keys (kid, state, public_key, sealed, signs_since)
            VALUES ($1, $2, $3, $4, CASE WHEN $2 = 'signing' THEN now() END)
            """, key.publicKey.kid,
            (signs ? SigningKeyState.signing : .published).rawValue, key.publicKey.rawValue, key.sealed)
        try tellOfSigningKeys()
    }

    fileprivate mutating func retireSigner(actor: Actor) throws {
        for row in try query(
            """
            UPDATE signing_keys SET state = 'retired', retired_at = now() WHERE state = 'signing'
            RETURNING kid
            """)
        {
            try audit(try row["kid"], from: .signing, to: .retired, actor: actor)
        }
    }

    fileprivate mutating func letSign(_ kid: String, actor: Actor) throws {
        try query(
            "UPDATE signing_keys SET state = 'signing', signs_since = now() WHERE kid = $1", kid)
        try audit(kid, from: .published, to: .signing, actor: actor)
    }

    fileprivate mutating func audit(
        _ kid: String, from before: SigningKeyState?, to after: SigningKeyState?, actor: Actor
    ) throws(PostgresError) {
        let action =
            switch after {
            case .published: "publish"
            case .signing: before == nil ? "create" : "sign"
            case .retired: "retire"
            case nil: "forget"
            }
        try audit(
            "signing_key.\(action)", actor: actor, account: nil, subject: kid,
            before: before.map { ["state": .string($0.rawValue)] },
            after: after.map { ["state": .string($0.rawValue)] })
    }
}
