import Core
import Domain
import HTTP
import Postgres
import Testing

@testable import API

/// A control plane with people: what they do over the API, and the mails that they get.
struct People: Sendable {
    let fixture: Fixture
    private let pool: Pool

    static let anna = "anna@mail.example"
    static let other = "another long password"

    init(signUp: SignUpMode = .open, sendsMail: Bool = true) async throws {
        fixture = try await Fixture(signUp: signUp, sendsMail: sendsMail)
        pool = Pool(url: fixture.url, maxConnections: 2, timeouts: Fixture.patient)
    }

    /// How many passwords were hashed so far.
    var hashes: Int { fixture.api.passwords.done.total }

    @discardableResult
    func call(_ method: String, _ path: String, _ body: JSON? = nil, as bearer: String? = nil) async throws
        -> Fixture.Answer
    {
        try await fixture.call(
            method, path, body, as: bearer, headers: ["User-Agent": "tests/1"], peer: "203.0.113.7:4000")
    }

    @discardableResult
    func signUp(_ email: String = anna, _ password: String = Fixture.password) async throws -> Fixture.Answer
    {
        try await call(
            "POST", "/v1/users", ["email": .string(email), "password": .string(password)])
    }

    func signIn(_ email: String = anna, _ password: String = Fixture.password) async throws -> Fixture.Answer
    {
        try await call(
            "POST", "/v1/sessions", ["email": .string(email), "password": .string(password)])
    }

    /// The access token of one who signs in now.
    func bearer(_ email: String = anna, _ password: String = Fixture.password) async throws -> String {
        try await signIn(email, password).text("access_token")
    }

    func askForReset(_ email: String = anna) async throws -> Fixture.Answer {
        try await call("POST", "/v1/password-resets", ["email": .string(email)])
    }

    func verify(_ token: String) async throws -> Fixture.Answer {
        try await call("POST", "/v1/users/verify", ["token": .string(token)])
    }

    func reset(_ token: String, to password: String) async throws -> Fixture.Answer {
        try await call(
            "POST", "/v1/password-resets/confirm",
            ["token": .string(token), "password": .string(password)])
    }

    func confirmEmail(_ token: String) async throws -> Fixture.Answer {
        try await call("POST", "/v1/email-changes/confirm", ["token": .string(token)])
    }

    /// Every mail so far, the oldest first, optionally of one kind only.
    func mails(_ kind: String? = nil, to recipient: String? = nil) async throws -> [Mail] {
        try await pool.transaction { tx in
            try tx.query(
                "SELECT recipient, subject, body, kind FROM mail_outbox ORDER BY created_at, id"
            ).map { row in
                Mail(
                    to: try row["recipient"], subject: try row["subject"], text: try row["body"],
                    kind: try row["kind"])
            }
        }.filter { (kind == nil || $0.kind == kind) && (recipient == nil || $0.to == recipient) }
    }

    /// The token in the newest mail of a kind; its link leads to `page`.
    func token(_ kind: String, page: String, to recipient: String? = nil) async throws -> String {
        let mail = try #require(try await mails(kind, to: recipient).last)
        return try Self.token(in: mail, page: page)
    }

    static func token(in mail: Mail, page: String) throws -> String {
        let start = "\(Fixture.publicURL)/v1/pages/\(page)#token="
        let link = try #require(mail.text.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix(start) })
        return String(link.dropFirst(start.count))
    }

    /// Lets time pass for what waits in the database.
    func age(links_h: Int = 0, mails_h: Int = 0) async throws {
        try await pool.transaction { tx in
            try tx.query(
                "UPDATE mail_tokens SET expires_at = expires_at - make_interval(hours => $1)", links_h)
            _ = try tx.query(
                "UPDATE mail_outbox SET created_at = created_at - make_interval(hours => $1)", mails_h)
        }
    }

    /// What has no route, or none in these tests.
    func run(_ statement: String) async throws {
        try await pool.transaction { tx in _ = try tx.query(statement) }
    }

    /// What accounts' audit logs tell, the oldest first.
    func audited() async throws -> [String] {
        try await pool.transaction { tx in
            try tx.query("SELECT action FROM audit_log WHERE account_id IS NOT NULL ORDER BY id")
                .map { try $0["action"] }
        }
    }

    func count(_ table: String) async throws -> Int {
        try await pool.transaction { tx in try tx.row("SELECT count(*) AS n FROM \(table)")["n"] }
    }
}
