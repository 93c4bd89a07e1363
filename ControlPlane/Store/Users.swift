import Core
import Crypto
import Domain
import Postgres

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
    /// Makes a user with an account of its own on the free plan. Does nothing, and does not tell, when the address
    /// is known already. `address` is where the request came from.
    public func signUp(
        email: String, passwordHash: String, address: String? = nil
    ) async throws(StoreError) {
        try await transaction { tx in
            guard let (user, account) = try Self.addUser(&tx, email, passwordHash, plan: "free") else {
                return
            }
            try tx.audit(
                "user.sign_up", actor: Actor(user.text, address: address), account: account,
                subject: user.text, after: ["plan": "free"])
        }
    }

    /// What an operator makes in one step: user, account, API key and agent key.
    public func createAccount(
        email: String, passwordHash: String, plan: String, apiKeyHash: [UInt8], agentKeyHash: [UInt8],
        actor: Actor
    ) async throws(StoreError) -> AccountID {
        try await transaction { tx in
            guard try tx.query("SELECT 1 FROM plans WHERE id = $1", plan).first != nil else {
                throw StoreError.unknownPlan(plan)
            }
            guard let (user, account) = try Self.addUser(&tx, email, passwordHash, plan: plan) else {
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
        try await transaction { tx in
            try tx.query(
                """
                SELECT u.id AS user_id, u.password_hash, m.account_id
                FROM users u JOIN members m ON m.user_id = u.id
                WHERE lower(u.email) = lower($1)
                ORDER BY m.created_at, m.account_id
                LIMIT 1
                """, email
            ).first.map { row in
                Credentials(
                    user: try row["user_id"], account: try row["account_id"],
                    passwordHash: try row["password_hash"])
            }
        }
    }

    /// nil when the address is taken.
    private static func addUser(
        _ tx: inout Transaction, _ email: String, _ passwordHash: String, plan: String
    ) throws -> (UserID, AccountID)? {
        let user = UserID.random()
        let account = AccountID.random()
        let added = try tx.query(
            """
            INSERT INTO users (id, email, password_hash) VALUES ($1, $2, $3)
            ON CONFLICT (lower(email)) DO NOTHING
            """, user, email, passwordHash)
        guard added.affected == 1 else { return nil }
        try tx.query("INSERT INTO accounts (id, plan_id) VALUES ($1, $2)", account, plan)
        try tx.query(
            "INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, 'owner')", account, user)
        return (user, account)
    }
}

extension Identifier {
    static func random() -> Identifier { Identifier(entropy: SecureRandom.bytes(entropyBytes)) }
}
