import Core
import Domain
import HTTP
import HTTPCalls
import IO
import Postgres
import Store
import Support
import Synchronization
import Testing

@testable import Reconcilers

@Suite("Mails on their way out", .timeLimit(.minutes(3)))
struct MailSenderTests {
    private let pool: Pool
    private let store: Store

    init() async throws {
        pool = Pool(
            url: try await PrivatePostgres.createDatabase(), maxConnections: 4, timeouts: Fixture.patient)
        store = Store(pool: pool)
    }

    private static let mail = Mail(
        to: "anna@mail.example", subject: "Hello", text: "token-in-the-text", kind: "test")

    private func sender(
        _ double: MailProviderDouble, _ shape: MailService.Shape = .postmark
    ) throws -> MailSender {
        let service = try #require(
            MailService(shape, base: double.url, token: "a-server-token", from: "Minecart <m@mine.example>"))
        return MailSender(
            store: store, delivery: .service(service), http: HTTPCaller(on: double.mailbox),
            metrics: Metrics())
    }

    /// What the one mail's row says: state, tries, whether its text is there, problem.
    private func row() async throws -> String {
        try await pool.transaction { tx in
            try tx.row(
                """
                SELECT concat_ws(' ', state, attempts, CASE body WHEN '' THEN 'empty' ELSE 'kept' END,
                    coalesce(problem, '-')) AS line
                FROM mail_outbox
                """)["line"]
        }
    }

    /// The time of every waiting mail has come.
    private func makeMailsDue() async throws {
        try await pool.transaction { tx in
            _ = try tx.query("UPDATE mail_outbox SET next_try_at = now() WHERE state = 'waiting'")
        }
    }

    @Test func postmarkGetsItsOwnForm() async throws {
        let double = try MailProviderDouble()
        try await store.post(Self.mail)
        #expect(try await sender(double).turn() == 1)
        let request = try #require(double.requests.first)
        #expect(request.method == "POST" && request.path == "/email")
        #expect(request.headers["x-postmark-server-token"] == "a-server-token")
        #expect(request.headers["content-type"] == "application/json")
        let body = try JSON.parse(request.body)
        #expect(body["From"] == "Minecart <m@mine.example>")
        #expect(body["To"] == "anna@mail.example")
        #expect(body["Subject"] == "Hello")
        #expect(body["TextBody"] == "token-in-the-text")
        #expect(body["TrackLinks"] == "None")
        #expect(try await row() == "sent 1 empty -")
        #expect(try await sender(double).turn() == 0)
        #expect(double.requests.count == 1)
    }

    @Test func resendGetsItsOwnFormAndTheSameKeyForEachTry() async throws {
        let double = try MailProviderDouble(
            [.json(429, ["name": "rate_limit_exceeded"], [("Retry-After", "0")])], otherwise: .resendYes)
        try await store.post(Self.mail)
        let sender = try sender(double, .resend)
        #expect(await sender.turn() == 1)
        #expect(try await row() == "waiting 1 kept it answered 429 (rate_limit_exceeded)")
        try await makeMailsDue()
        #expect(await sender.turn() == 1)
        #expect(try await row() == "sent 2 empty -")
        let requests = double.requests
        #expect(requests.map(\.path) == ["/emails", "/emails"])
        #expect(requests[0].headers["authorization"] == "Bearer a-server-token")
        let keys = Set(requests.map { $0.headers["idempotency-key"] })
        #expect(keys.count == 1 && keys != [nil])
        let body = try JSON.parse(requests[0].body)
        #expect(body["to"] == ["anna@mail.example"])
        #expect(body["text"] == "token-in-the-text")
    }

    @Test(arguments: [
        (
            MailProviderDouble.Answer.json(500, ["Message": "a-server-token token-in-the-text"], []),
            "it answered 500"
        ),
        (.json(503, nil, []), "it answered 503"),
        (.json(429, nil, [("Retry-After", "30")]), "it answered 429"),
        (.json(401, ["ErrorCode": 10], []), "it answered 401 (code 10)"),
        (.json(422, ["ErrorCode": 405], []), "it answered 422 (code 405)"),
        (.nonsense, "it answered 200 with nonsense"), (.json(200, ["ErrorCode": "0"], []), "it answered 200"),
        (.hangUp, "127.0.0.1:"),
    ])
    func whateverGoesWrongForNowIsTriedAgain(answer: MailProviderDouble.Answer, problem: String) async throws
    {
        let double = try MailProviderDouble([answer])
        try await store.post(Self.mail)
        let sender = try sender(double)
        #expect(await sender.turn() == 1)
        let failed = try await row()
        #expect(failed.hasPrefix("waiting 1 kept \(problem)"))
        #expect(!failed.contains("token"))
        // Not before its time.
        #expect(await sender.turn() == 0)
        try await makeMailsDue()
        #expect(await sender.turn() == 1)
        #expect(try await row() == "sent 2 empty -")
    }

    @Test func aMailThatIsRefusedForGoodIsGivenUp() async throws {
        let double = try MailProviderDouble([.json(422, ["ErrorCode": 406, "Message": "inactive"], [])])
        try await store.post(Self.mail)
        let sender = try sender(double)
        #expect(await sender.turn() == 1)
        #expect(try await row() == "given_up 1 empty it answered 422 (code 406)")
        try await makeMailsDue()
        #expect(await sender.turn() == 0)
    }

    @Test func aProviderThatNeverWorksIsGivenUpInTheEnd() async throws {
        let double = try MailProviderDouble(otherwise: .json(500, nil, []))
        try await store.post(Self.mail)
        let sender = try sender(double)
        while await sender.turn() == 1 { try await makeMailsDue() }
        #expect(try await row() == "given_up 13 empty it answered 500")
        #expect(double.requests.count == 13)
    }

    @Test func nobodyAtTheProvidersAddressIsNoLoss() async throws {
        let double = try MailProviderDouble()
        let service = try #require(MailService(.postmark, base: "http://127.0.0.1:1", token: "t", from: "f"))
        try await store.post(Self.mail)
        let sender = MailSender(
            store: store, delivery: .service(service), http: HTTPCaller(on: double.mailbox),
            metrics: Metrics())
        #expect(await sender.turn() == 1)
        #expect(try await row() == "waiting 1 kept nothing answers at 127.0.0.1:1 (connection refused)")
    }

    @Test func twoSendersSendEachMailOnce() async throws {
        let double = try MailProviderDouble()
        for _ in 0..<30 { try await store.post(Self.mail) }
        let senders = [try sender(double), try sender(double), try sender(double)]
        await withDiscardingTaskGroup { group in
            for sender in senders { group.addTask { while await sender.turn() > 0 {} } }
        }
        #expect(double.requests.count == 30)
    }

    @Test func aSenderThatDiesBetweenSendingAndNotingItCostsOneDuplicate() async throws {
        let double = try MailProviderDouble()
        try await store.post(Self.mail)
        // The dead one: it claimed, the provider took the mail, nothing more.
        let claim = try #require(try await store.claimMails(limit: 1, lease_s: 60).first)
        let service = try #require(MailService(.postmark, base: double.url, token: "t", from: "f"))
        let caller = HTTPCaller(on: double.mailbox)
        let answer = try await caller.send(
            service.request(for: claim.mail, id: claim.id), deadline: .seconds(30))
        #expect(service.outcome(of: answer) == .sent)
        let sender = try sender(double)
        #expect(await sender.turn() == 0)
        try await makeMailsDue()
        #expect(await sender.turn() == 1)
        #expect(await sender.turn() == 0)
        #expect(double.requests.count == 2)
    }

    @Test func aLoggedMailCanBeReadThere() async throws {
        let path = try Files.temporaryFolder("mail") + "/mail.log"
        try await store.post(Self.mail)
        let double = try MailProviderDouble()
        let sender = MailSender(
            store: store, delivery: .log(MailLog(path: path)), http: HTTPCaller(on: double.mailbox),
            metrics: Metrics())
        #expect(await sender.turn() == 1)
        let text = try #require(Settings.read(path))
        #expect(text.contains("To: anna@mail.example\nSubject: Hello\n\ntoken-in-the-text\n"))
        #expect(try await row() == "sent 1 empty -")
    }
}
