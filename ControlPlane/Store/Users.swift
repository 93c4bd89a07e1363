import Core
import Crypto
import Domain
import Postgres

/// Whom a sign-in may be of, before the password is checked.
public enum SignInCandidate: Sendable {
    case user(Credentials)
    /// Signed up, but the link in the mail was not followed yet.
    case unverified(passwordHash: String)

    public var passwordHash: String {
        switch self {
        case .user(let credentials): credentials.passwordHash
        case .unverified(let passwordHash): passwordHash
        }
    }
}

/// What a sign-in is checked against.
public struct Credentials: Sendable {
    public var user: UserID
    public var account: AccountID
    public var passwordHash: String

    public init(user: UserID, account: AccountID, passwordHash: String) {
        self.user = user
        self.account = account
        self.passwordHash = passwordHash
    }
}

extension Store {
    /// What an operator makes in one step: user, account, API key and agent key.
    public func createAccount(
        email: String, passwordHash: String, plan: String, apiKeyHash: [UInt8], agentKeyHash: [UInt8],
        actor: Actor
    ) async throws(StoreError) -> AccountID {
        try await transaction { tx in
            guard try tx.query("SELECT 1 FROM plans WHERE id = $1", plan).first != nil else {
                throw StoreError.unknownPlan(plan)
            }
            guard let (user, account) = try tx.addUser(email, passwordHash, plan: plan, isVerified: true)
            else {
                throw StoreError.emailTaken
            }
            try tx.query(
                "INSERT INTO api_keys (id, account_id, name, hash) VALUES ($1, $2, 'first', $3)",
                APIKeyID.random(), account, apiKeyHash)
            try tx.query(
                "INSERT INTO agent_keys (id, account_id, name, hash) VALUES ($1, $2, 'first', $3)",
                AgentKeyID.random(), account, agentKeyHash)
            try tx.audit(
                "account.create", actor: actor, account: account, subject: user.text,
                after: ["plan": .string(plan)])
            return account
        }
    }

    /// nil when nobody has this address; case does not count.
    public func credentials(email: String) async throws(StoreError) -> Credentials? {
        try await transaction { tx in try tx.credentials(email: email) }
    }

    /// nil when nobody has signed up with this address; case does not count. Of several sign-ups that wait for their
    /// verification the newest counts.
    public func signInCandidate(email: String) async throws(StoreError) -> SignInCandidate? {
        try await transaction { tx in
            let user = try tx.credentials(email: email)
            let waiting: String? = try tx.query(
                """
                SELECT password_hash FROM mail_tokens
                WHERE lower(email) = lower($1) AND purpose = 'verify' AND expires_at > now()
                ORDER BY created_at DESC LIMIT 1
                """, email
            ).first?["password_hash"]
            return user.map { .user($0) } ?? waiting.map { .unverified(passwordHash: $0) }
        }
    }
}

extension Transaction {
    fileprivate mutating func credentials(email: String) throws(PostgresError) -> Credentials? {
        guard
            let row = try query(
                """
                SELECT u.id AS user_id, u.password_hash, m.account_id
                FROM users u JOIN members m ON m.user_id = u.id
                WHERE lower(u.email) = lower($1)
                ORDER BY m.created_at, m.account_id
                LIMIT 1
                """, email
            ).first
        else { return nil }
        return Credentials(
            user: try row["user_id"], account: try row["account_id"],
            passwordHash: try row["password_hash"])
    }

    /// A user with an account of its own; nil when the address is taken.
    mutating func addUser(
        _ email: String, _ passwordHash: String, plan: String, isVerified: Bool
    ) throws(PostgresError) -> (UserID, AccountID)? {
        let user = UserID.random()
        let account = AccountID.random()
        let added = try query(
            """
            INSERT INTO users (id, email, password_hash, verified_at)
            VALUES ($1, $2, $3, CASE WHEN $4 THEN now() END)
            ON CONFLICT (lower(email)) DO NOTHING
            """, user, email, passwordHash, isVerified)
        guard added.affected == 1 else { return nil }
        try query("INSERT INTO accounts (id, plan_id) VALUES ($1, $2)", account, plan)
        try query("INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, 'owner')", account, user)
        return (user, account)
    }
}

extension Identifier {
    static func random() -> Identifier { Identifier(entropy: SecureRandom.bytes(entropyBytes)) }
}
