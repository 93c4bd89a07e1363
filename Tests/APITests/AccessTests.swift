import Core
import Crypto
import Domain
import HTTP
import Reconcilers
import Testing

@testable import API

@Suite struct AccessTests {
    @Test func othersThingsDoNotExist() async throws {
        let fixture = try await Fixture()
        let mine = try await fixture.account()
        let other = try await fixture.account()
        let tunnel = try await fixture.tunnel(mine)
        let keys = try await fixture.call("GET", "/v1/agent-keys", as: mine.apiKey)
        let key = try #require(keys["data"]?.arrayValue?.first?["id"]?.stringValue)
        for (method, path, bearer) in [
            ("GET", "/v1/tunnels/\(tunnel)", other.apiKey), ("DELETE", "/v1/tunnels/\(tunnel)", other.apiKey),
            ("DELETE", "/v1/agent-keys/\(key)", other.apiKey), ("GET", "/v1/tunnels/tun_x", mine.apiKey),
        ] {
            let answer = try await fixture.call(method, path, as: bearer)
            #expect(answer.status == 404, "\(method) \(path)")
        }
        #expect(try await fixture.place(tunnel, "ses_1", other).status == 404)
        #expect(try await fixture.call("GET", "/v1/tunnels", as: other.apiKey)["data"] == [])
    }

    @Test func metricsAreForLoopbackOrTheToken() async throws {
        let fixture = try await Fixture()
        #expect(try await fixture.call("GET", "/metrics").status == 200)
        #expect(
            try await fixture.call("GET", "/metrics", headers: ["X-Forwarded-For": "127.0.0.1"]).status == 401
        )
        #expect(try await fixture.call("GET", "/metrics", peer: "203.0.113.5:1").status == 401)
        #expect(try await fixture.call("GET", "/metrics", as: "wrong", peer: "203.0.113.5:1").status == 401)
        let token = try await fixture.call("GET", "/metrics", as: Fixture.metricsToken, peer: "203.0.113.5:1")
        #expect(token.status == 200)
        #expect(token.headers["content-type"] == Metrics.contentType)
    }

    @Test func theOperatorKeyIsNotAnAccount() async throws {
        let fixture = try await Fixture()
        #expect(try await fixture.call("GET", "/v1/tunnels", as: Fixture.operatorKey).status == 403)
    }

    @Test func aRevokedAgentKeyIsUnknownAtOnce() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let made = try await fixture.call("POST", "/v1/agent-keys", ["name": "x"], as: account.apiKey)
        let key = try made.text("key")
        #expect(try await fixture.call("GET", "/v1/regions", as: key).status == 200)
        #expect(
            try await fixture.call("DELETE", "/v1/agent-keys/\(try made.text("id"))", as: account.apiKey)
                .status == 204)
        #expect(try await fixture.call("GET", "/v1/regions", as: key).status == 401)
        let list = try await fixture.call("GET", "/v1/agent-keys", as: account.apiKey)
        #expect(!list.text.contains(key))
        #expect(list["data"]?.arrayValue?.count == 1)
    }

    @Test func tooManyBadCredentialsAreTurnedAway() async throws {
        let start = Instant.now()
        let fixture = try await Fixture(limiter: RateLimiter { start })
        for _ in 0..<RateLimit.badCredentials.quota {
            _ = try? fixture.api.limiter.take(.badCredentials, caller: "203.0.113.9")
        }
        let answer = try await fixture.call("GET", "/v1/tunnels", as: "x", peer: "203.0.113.9:1")
        #expect(answer.status == 429)
        #expect(answer.headers["ratelimit-policy"] == "\"bad-credentials\";q=300;w=60")
        #expect(try await fixture.call("GET", "/v1/tunnels", as: "x", peer: "203.0.113.10:1").status == 401)
    }
}

@Suite struct MannersTests {
    @Test func anotherMethodIsToldWhatIsAllowed() async throws {
        let fixture = try await Fixture()
        let answer = try await fixture.call("PUT", "/v1/tunnels")
        #expect(answer.status == 405)
        #expect(answer.headers["allow"] == "POST, GET, HEAD")
    }

    @Test func theRequestIdComesBack() async throws {
        let fixture = try await Fixture()
        let answer = try await fixture.call("GET", "/nothing", headers: ["X-Request-Id": "abc-1"])
        #expect(answer.headers["x-request-id"] == "abc-1")
        #expect(answer["request_id"] == "abc-1")
        let own = try await fixture.call("GET", "/nothing", headers: ["X-Request-Id": "bad id\u{7F}"])
        #expect(try own.text("request_id").hasPrefix("req_"))
    }

    @Test func unknownFieldsAndQueriesAreRefused() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let body = try await fixture.call(
            "POST", "/v1/tunnels", ["region": "eu", "naem": "x"], as: account.apiKey)
        #expect(body.status == 422)
        #expect(body.pointers == ["/naem"])
        let query = try await fixture.call("GET", "/v1/tunnels?limt=1", as: account.apiKey)
        #expect(query.pointers == ["?limt"])
    }

    @Test func aBodyThatIsNoJSONIsMalformed() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let answer = try await fixture.call("POST", "/v1/tunnels", "text", as: account.apiKey)
        #expect(answer.status == 400)
        #expect(answer.code == "malformed")
    }

    @Test func listsComeInPages() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        var made: [String] = []
        for _ in 0..<5 { made.append(try await fixture.tunnel(account)) }
        var seen: [String] = []
        var cursor: String?
        repeat {
            let answer = try await fixture.call(
                "GET", "/v1/tunnels?limit=2" + (cursor.map { "&cursor=\($0)" } ?? ""), as: account.apiKey)
            seen += (answer["data"]?.arrayValue ?? []).compactMap { $0["id"]?.stringValue }
            cursor = answer["next_cursor"]?.stringValue
        } while cursor != nil
        #expect(seen == made)
        #expect(
            try await fixture.call("GET", "/v1/tunnels?cursor=x", as: account.apiKey).pointers == ["?cursor"])
    }

    @Test func theSameIdempotencyKeyMakesOneTunnel() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        func make(_ region: JSON) async throws -> Fixture.Answer {
            try await fixture.call(
                "POST", "/v1/tunnels", ["region": region], as: account.apiKey,
                headers: ["Idempotency-Key": "\"k1\""])
        }
        let first = try await make("eu")
        let again = try await make("eu")
        #expect(again.status == 201)
        #expect(first.json == again.json)
        #expect(try await make("us").status == 422)
        #expect(
            try await fixture.call("GET", "/v1/tunnels", as: account.apiKey)["data"]?.arrayValue?.count == 1)
    }

    @Test func aReplyWithASecretIsNotReplayed() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        func make() async throws -> Fixture.Answer {
            try await fixture.call(
                "POST", "/v1/agent-keys", ["name": "x"], as: account.apiKey,
                headers: ["Idempotency-Key": "k2"])
        }
        let first = try await make()
        let again = try await make()
        #expect(again.status == 409)
        #expect(again["id"] == first["id"])
    }

    @Test func aFailedRequestLeavesItsIdempotencyKeyFree() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        func make(_ region: JSON) async throws -> Int {
            try await fixture.call(
                "POST", "/v1/tunnels", ["region": region], as: account.apiKey,
                headers: ["Idempotency-Key": "k3"]
            ).status
        }
        #expect(try await make("nowhere") == 422)
        #expect(try await make("eu") == 201)
    }

    @Test func theOpenAPIDocumentNamesEveryRoute() async throws {
        let fixture = try await Fixture()
        let document = try await fixture.call("GET", "/openapi.json")
        for route in RouteTable.standard.routes {
            #expect(document["paths"]?[route.path.description]?[route.method.lowercased()] != nil)
        }
    }
}
