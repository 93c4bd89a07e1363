import Core
import Crypto
import Domain
import Postgres
import Store
import Testing

@testable import API

/// Somebody who is signed in, made without the work that passwords take.
struct Person: Sendable {
    let user: UserID
    let account: AccountID
    let email: String
    /// For the own account.
    let bearer: String
    let refreshToken: String
    /// Of the own account, with every scope.
    let apiKey: String
}

extension Fixture {
    private static let passwordHash = Scrypt.hash(password: password)

    /// With `Fixture.password` and an account on the plan.
    func person(_ name: String, plan: String = "team") async throws -> Person {
        let apiKey = TypedKey.generate(prefix: .account)
        let email = "\(name)@mail.example"
        let account = try await store.createAccount(
            email: email, passwordHash: Self.passwordHash, plan: plan, apiKeyHash: apiKey.hash,
            agentKeyHash: TypedKey.generate(prefix: .agent).hash, actor: "test")
        let (user, bearer, refresh) = try await signIn(email, account: account)
        return Person(
            user: user, account: account, email: email, bearer: bearer, refreshToken: refresh,
            apiKey: apiKey.text)
    }

    func signIn(_ email: String, account: AccountID) async throws -> (
        user: UserID, bearer: String, refresh: String
    ) {
        var credentials = try #require(try await store.credentials(email: email))
        credentials.account = account
        let id = SignInID.new()
        try await store.openSession(id, user: credentials, refreshKey: [1, 2, 3], lifetime_s: 3600)
        return (
            credentials.user,
            try api.tokens.issue(user: credentials.user, account: account, signIn: id, now: .now()),
            RefreshToken(signIn: id, counter: 0).text(key: [1, 2, 3])
        )
    }

    /// Makes one person a member of another's account; a sign-in for it.
    @discardableResult
    func join(_ person: Person, _ owner: Person, as role: Role) async throws -> String {
        try await sql(
            "INSERT INTO members (account_id, user_id, role) VALUES ($1, $2, $3)", owner.account.text,
            person.user.text, role.rawValue)
        return try await signIn(person.email, account: owner.account).bearer
    }

    /// The column `v` of the rows; up to three binds.
    @discardableResult
    func sql(_ text: String, _ binds: String...) async throws -> [String] {
        let pool = Pool(url: url, maxConnections: 1, timeouts: Self.patient)
        return try await pool.transaction { tx in
            let rows =
                switch binds.count {
                case 0: try tx.query(text)
                case 1: try tx.query(text, binds[0])
                case 2: try tx.query(text, binds[0], binds[1])
                default: try tx.query(text, binds[0], binds[1], binds[2])
                }
            return try rows.map { row in try row["v"] as String }
        }
    }

    /// What the newest mail to an address has behind `token=`.
    func mailedToken(_ email: String) async throws -> String {
        let bodies = try await sql(
            """
            SELECT body AS v FROM mail_outbox WHERE recipient = $1 AND body LIKE '%#token=%'
            ORDER BY created_at DESC
            """, email)
        let rest = try #require(bodies.first?.split(separator: "#token=").last)
        return String(rest.prefix { !$0.isWhitespace })
    }
}
