import Core
import HTTP
import Stripe
import Synchronization
import Testing

@Suite struct FormTests {
    @Test func whatIsInsideGetsBrackets() {
        let form = StripeForm.encode([
            "mode": "subscription", "line_items": [["price": "price_1", "quantity": 1]],
            "subscription_data": ["metadata": ["account": "acc_1"]], "expand": ["data.latest_invoice"],
        ])
        #expect(
            form
                == "mode=subscription&line_items%5B0%5D%5Bprice%5D=price_1&line_items%5B0%5D%5Bquantity%5D=1"
                + "&subscription_data%5Bmetadata%5D%5Baccount%5D=acc_1&expand%5B0%5D=data.latest_invoice")
    }

    @Test func everyByteArrives() {
        #expect(StripeForm.encode(["a&b": "c=d é+%"]) == "a%26b=c%3Dd%20%C3%A9%2B%25")
        #expect(StripeForm.encode(["a": true, "b": nil, "c": -5]) == "a=true&b=&c=-5")
        #expect(StripeForm.encode(["a": [], "b": [:]]) == "")
    }
}

@Suite struct RetryTests {
    private let long = Milliseconds.seconds(60)

    private func pause(
        _ outcome: StripeRetry.Outcome, retries: Int = 0, chance: Double = 0, left: Milliseconds? = nil
    ) -> Int? {
        StripeRetry(maxRetries: 10).pause(
            after: outcome, retries: retries, left: left ?? long, chance: chance)?.count
    }

    @Test func pausesGrowWithTheSquareUpToFiveSeconds() {
        let pauses = (0...5).map { pause(.noAnswer, retries: $0) }
        #expect(pauses == [500, 1000, 2500, 5000, 5000, 5000])
    }

    @Test func chanceTakesUpToAQuarterAndNeverGoesBelowTheShortest() {
        #expect(pause(.noAnswer, retries: 3, chance: 0.999_999) == 3751)
        #expect(pause(.noAnswer, retries: 0, chance: 0.9) == 500)
    }

    @Test func answersThatMayChangeAreTriedAgain() {
        for status in [409, 500, 502, 503, 504] {
            #expect(pause(.answer(status: status, shouldRetry: nil, code: nil)) != nil, "\(status)")
        }
        for status in [200, 400, 401, 402, 403, 404, 429] {
            #expect(pause(.answer(status: status, shouldRetry: nil, code: nil)) == nil, "\(status)")
        }
        #expect(pause(.answer(status: 429, shouldRetry: nil, code: "lock_timeout")) != nil)
    }

    @Test func stripesOwnWordCountsMost() {
        #expect(pause(.answer(status: 500, shouldRetry: false, code: nil)) == nil)
        #expect(pause(.answer(status: 409, shouldRetry: false, code: nil)) == nil)
        #expect(pause(.answer(status: 400, shouldRetry: true, code: nil)) != nil)
    }

    @Test func itEndsWithTheTriesAndWithTheTime() {
        #expect(StripeRetry().pause(after: .noAnswer, retries: 2, left: long, chance: 0) == nil)
        #expect(pause(.noAnswer, left: Milliseconds(500)) == nil)
        #expect(pause(.noAnswer, left: Milliseconds(501)) == 500)
    }
}

/// Answers in the order they were given, and remembers what was asked.
final class ScriptedTransport: StripeTransport {
    struct Broken: Error {}
    private let state: Mutex<(answers: [HTTPResponse?], asked: [HTTPClientRequest])>

    /// nil breaks the connection.
    init(_ answers: [HTTPResponse?]) { state = Mutex((answers, [])) }

    var asked: [HTTPClientRequest] { state.withLock { $0.asked } }

    func send(_ request: HTTPClientRequest, deadline: Milliseconds) async throws -> HTTPResponse {
        let answer = state.withLock { state in
            state.asked.append(request)
            return state.answers.isEmpty ? nil : state.answers.removeFirst()
        }
        guard let answer else { throw Broken() }
        return answer
    }
}

@Suite struct ClientTests {
    private static let key = "sk_test_never_tell"

    private func client(_ transport: ScriptedTransport, maxRetries: Int = 1) throws -> StripeClient {
        StripeClient(
            base: try #require(HTTPURL("http://127.0.0.1:12111")), key: Self.key, transport: transport,
            retry: StripeRetry(maxRetries: maxRetries))
    }

    private func failure(_ answer: HTTPResponse?) async throws -> StripeError? {
        let client = try client(ScriptedTransport([answer]), maxRetries: 0)
        do throws(StripeError) {
            _ = try await client.get("/v1/x")
            return nil
        } catch {
            return error
        }
    }

    @Test func everyRequestSaysWhoAsksAndUnderWhichVersion() async throws {
        let transport = ScriptedTransport([.json(200, ["id": "sub_1"]), .json(200, ["id": "cs_1"])])
        let client = try client(transport)
        #expect(try await client.get("/v1/subscriptions", ["customer": "cus_1"])["id"] == "sub_1")
        #expect(
            try await client.post("/v1/checkout/sessions", ["mode": "subscription"], idempotencyKey: "k")[
                "id"]
                == "cs_1")
        let asked = transport.asked
        for request in asked {
            #expect(request.headers["authorization"] == "Bearer \(Self.key)")
            #expect(request.headers["stripe-version"] == "2026-07-29.dahlia")
        }
        #expect(asked[0].url.description == "http://127.0.0.1:12111/v1/subscriptions?customer=cus_1")
        #expect(asked[0].headers["idempotency-key"] == nil)
        #expect(asked[1].headers["idempotency-key"] == "k")
        #expect(asked[1].headers["content-type"] == "application/x-www-form-urlencoded")
        #expect(asked[1].body == Array("mode=subscription".utf8))
    }

    @Test func aPostIsTriedAgainUnderTheSameIdempotencyKey() async throws {
        let transport = ScriptedTransport([nil, .json(200, ["id": "cs_1"])])
        _ = try await client(transport).post("/v1/checkout/sessions", [:])
        let keys = transport.asked.map { $0.headers["idempotency-key"] }
        #expect(keys.count == 2)
        #expect(keys[0] == keys[1])
        #expect(keys[0]?.count == 32)
    }

    @Test func noAnswerIsUnreachable() async throws {
        let error = try #require(try await failure(nil))
        guard case .unreachable = error else { return #expect(Bool(false), "\(error)") }
        #expect(error.isPassing)
    }

    @Test(arguments: ["", "<html>", "[]", "{\"a\":"]) func anAnswerThatIsNoObjectIsNonsense(_ text: String)
        async throws
    {
        let error = try #require(try await failure(HTTPResponse(status: 200, body: Array(text.utf8))))
        guard case .nonsense = error else { return #expect(Bool(false), "\(error)") }
        #expect(error.isPassing)
    }

    @Test func aRefusalTellsWhatStripeSaidWithoutTheKey() async throws {
        var answer = HTTPResponse.json(
            401,
            [
                "error": [
                    "type": "invalid_request_error", "message": .string("Invalid key: \(Self.key)\nsorry"),
                ]
            ])
        answer.headers["Request-Id"] = "req_1"
        let error = try #require(try await failure(answer))
        #expect(
            error
                == .refused(
                    status: 401, code: "invalid_request_error", message: "Invalid key: *** sorry",
                    requestID: "req_1"))
        #expect(!"\(error)".contains(Self.key))
        #expect(error.isPassing)
    }

    @Test func whatIsMissingIsToldApart() async throws {
        let missing = try await failure(
            .json(404, ["error": ["code": "resource_missing", "message": "No such subscription"]]))
        #expect(missing?.isMissing == true)
        #expect(missing?.isPassing == false)
        #expect(try await failure(.json(400, ["error": ["code": "parameter_unknown"]]))?.isMissing == false)
        #expect(try await failure(.json(500, [:]))?.isPassing == true)
    }
}
