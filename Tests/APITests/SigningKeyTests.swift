import Core
import Crypto
import Domain
import HTTP
import Reconcilers
import Store
import Synchronization
import Testing
import Wire

@testable import API

/// Two control planes on one database, with the signing keys in it.
private struct Pair: Sendable {
    let one: Fixture
    let two: Fixture
    let follow: [Task<Void, Never>]

    var both: [Fixture] { [one, two] }

    init() async throws {
        let box = try SecretBox(keys: [SecureRandom.bytes(32)])
        one = try await Fixture(box: box)
        two = try await Fixture(url: one.url, box: box)
        follow = [one, two].map { $0.followChanges() }
        for fixture in [one, two] { await fixture.api.keys.reload() }
    }

    func end() { for task in follow { task.cancel() } }

    /// Starts a rotation; the new kid, once both know it.
    func publish() async throws -> String {
        let answer = try await one.call("POST", "/v1/ops/signing-keys", as: Fixture.operatorKey)
        try #require(answer.status == 201)
        let kid = try answer.text("kid")
        for fixture in both {
            try await eventually("the key is known") { fixture.api.keys.current?.keys[kid] != nil }
        }
        return kid
    }

    /// What the leader does when the wait is over.
    func sign(_ kid: String) async throws {
        let lease = try #require(
            try await one.store.holdLease(Lease.leader, holder: "test", length_s: 600))
        let steps = try await one.store.rotateSigningKeys(KeyRotation(publish_s: -10), as: lease)
        try #require(steps == [.sign(kid: kid)])
        for fixture in both {
            try await eventually("the key signs") { fixture.api.keys.current?.signing.kid == kid }
        }
    }
}

private func kid(of token: String) throws -> String {
    let head = try #require(token.split(separator: ".").first)
    let json = try JSON.parse(try #require(Base64URL.decode(head)))
    return try #require(json["kid"]?.stringValue)
}

@Suite struct SigningKeyRotationTests {
    /// What a steady customer, agent and relay do, on both control planes in turn. Every answer that is not as it
    /// should be is noted.
    private final class Steady: Sendable {
        let wrong = Mutex<[String]>([])
        let rounds = Mutex(0)
        let kids = Mutex<Set<String>>([])
        private let isOver = Atomic<Bool>(false)

        func stop() { isOver.store(true, ordering: .releasing) }

        func expect(_ answer: Fixture.Answer, _ status: Int, _ what: String) {
            if answer.status != status {
                wrong.withLock { $0.append("\(what): \(answer.status) \(answer.text)") }
            }
        }

        func note(_ token: String) throws {
            let kid = try kid(of: token)
            kids.withLock { _ = $0.insert(kid) }
        }

        func run(
            _ pair: Pair, _ person: JSON, _ account: Fixture.Account, _ tunnel: String, _ relayKey: String
        )
            async throws
        {
            var session = try await pair.one.call("POST", "/v1/sessions", person)
            // A relay that learns keys by registering and by what beacons tell.
            var keys = try VerificationKeys(
                jwks: try #require(
                    try await pair.one.call(
                        "POST", "/v1/relay/registrations", Fixture.registration("r1"), as: relayKey)["keys"]))
            var round = 0
            while !isOver.load(ordering: .acquiring) {
                round += 1
                let here = pair.both[round % 2]
                let there = pair.both[(round + 1) % 2]
                let token = try session.text("access_token")
                try note(token)
                expect(try await there.call("GET", "/v1/tunnels", as: token), 200, "access token")
                session = try await here.call(
                    "POST", "/v1/sessions/refresh",
                    ["refresh_token": .string(try session.text("refresh_token"))])
                expect(session, 200, "refresh")
                expect(
                    try await there.call("GET", "/v1/account", as: try session.text("access_token")), 200,
                    "renewed access token")

                let placed = try await here.place(tunnel, "ses_1", account)
                expect(placed, 201, "placement")
                let ticket = try placed.text("ticket")
                try note(ticket)
                if (try? Ticket.verify(ticket, relay: "r1", keys: keys, now: .now())) == nil {
                    wrong.withLock { $0.append("ticket refused") }
                }

                let assignments = try await there.call(
                    "GET", "/v1/relay/assignments?region=eu", as: relayKey)
                expect(assignments, 200, "assignments")
                let text = try assignments.text("signed")
                guard
                    case .snapshot(let snapshot)? = try? AssignmentMessage.verify(
                        text, region: "eu", keys: keys)
                else {
                    wrong.withLock { $0.append("assignments are not believed") }
                    continue
                }
                let beacon = try await here.call(
                    "GET", "/v1/relay/assignments?region=eu&since=\(snapshot.rev)&epoch=\(snapshot.epoch)",
                    as: relayKey)
                if case .beacon(let beacon) = try AssignmentMessage.verify(
                    try beacon.text("signed"), region: "eu", keys: keys), beacon.keys != keys.fingerprint
                {
                    keys = try VerificationKeys(
                        jwks: try await here.call("GET", "/.well-known/jwks.json").json)
                }
                rounds.withLock { $0 += 1 }
            }
        }
    }

    @Test func noRequestFailsWhileKeysRotateUnderLoad() async throws {
        let pair = try await Pair()
        defer { pair.end() }
        let account = try await pair.one.account()
        let tunnel = try await pair.one.tunnel(account)
        let relayKey = try await pair.one.relay("r1")
        let person: JSON = ["email": "anna@mail.example", "password": .string(Fixture.password)]
        try #require(try await pair.one.call("POST", "/v1/users", person).status == 202)
        let first = try #require(pair.one.api.keys.current?.signing.kid)

        let steady = Steady()
        try await withThrowingTaskGroup { group in
            group.addTask { try await steady.run(pair, person, account, tunnel, relayKey) }
            group.addTask {
                defer { steady.stop() }
                func more() async throws {
                    let before = steady.rounds.withLock { $0 }
                    try await eventually("the calls go on") { steady.rounds.withLock { $0 } >= before + 3 }
                }
                try await more()
                for _ in 0..<2 {
                    let kid = try await pair.publish()
                    try await more()
                    try await pair.sign(kid)
                    try await more()
                }
            }
            try await group.waitForAll()
        }
        #expect(steady.wrong.withLock { $0 } == [])
        let kids = steady.kids.withLock { $0 }
        #expect(kids.count == 3)
        #expect(kids.contains(first))
        #expect(try await pair.one.store.signingKeys().map(\.view.state) == [.retired, .retired, .signing])
    }

    @Test func aTokenOfAKeyThatIsGoneIsRefusedEverywhere() async throws {
        let pair = try await Pair()
        defer { pair.end() }
        let person: JSON = ["email": "anna@mail.example", "password": .string(Fixture.password)]
        try #require(try await pair.one.call("POST", "/v1/users", person).status == 202)
        let session = try await pair.one.call("POST", "/v1/sessions", person)
        let token = try session.text("access_token")
        for fixture in pair.both {
            #expect(try await fixture.call("GET", "/v1/tunnels", as: token).status == 200)
        }
        let stolen = try kid(of: token)
        #expect(
            try await pair.one.call("DELETE", "/v1/ops/signing-keys/\(stolen)", as: Fixture.operatorKey)
                .status == 204)
        #expect(try await pair.one.call("GET", "/v1/tunnels", as: token).status == 401)
        try await eventually("the other one refuses") {
            try await pair.two.call("GET", "/v1/tunnels", as: token).status == 401
        }
        // The session itself goes on.
        let renewed = try await pair.two.call(
            "POST", "/v1/sessions/refresh",
            ["refresh_token": .string(try session.text("refresh_token"))])
        #expect(renewed.status == 200)
        let fresh = try renewed.text("access_token")
        #expect(try kid(of: fresh) != stolen)
        #expect(try await pair.one.call("GET", "/v1/tunnels", as: fresh).status == 200)
        let jwks = try await pair.one.call("GET", "/.well-known/jwks.json")
        #expect(!jwks.text.contains(stolen))
    }

    /// Nobody notified it, and its timer has not come.
    @Test func aControlPlaneThatMeetsAnUnknownKeyLooksOnceAMinute() async throws {
        let box = try SecretBox(keys: [SecureRandom.bytes(32)])
        let one = try await Fixture(box: box)
        let deaf = try await Fixture(url: one.url, box: box)
        for fixture in [one, deaf] { await fixture.api.keys.reload() }
        let person: JSON = ["email": "anna@mail.example", "password": .string(Fixture.password)]
        try #require(try await one.call("POST", "/v1/users", person).status == 202)
        func replaceKey() async throws -> String {
            let kid = try #require(one.api.keys.current?.signing.kid)
            let answer = try await one.call(
                "DELETE", "/v1/ops/signing-keys/\(kid)", as: Fixture.operatorKey)
            try #require(answer.status == 204)
            return try await one.call("POST", "/v1/sessions", person).text("access_token")
        }
        let first = try await replaceKey()
        #expect(try await deaf.call("GET", "/v1/tunnels", as: first).status == 200)
        let second = try await replaceKey()
        #expect(try await deaf.call("GET", "/v1/tunnels", as: second).status == 401)
    }
}

@Suite struct SigningKeyRouteTests {
    @Test func operatorsSeeWhatEachKeyIsAndWhenItChanges() async throws {
        let fixture = try await Fixture(box: try SecretBox(keys: [SecureRandom.bytes(32)]))
        await fixture.api.keys.reload()
        let made = try await fixture.call("POST", "/v1/ops/signing-keys", as: Fixture.operatorKey)
        #expect(made.status == 201)
        #expect(made["state"] == "published")
        #expect(made["signs_at"]?.stringValue != nil)
        let list = try await fixture.call("GET", "/v1/ops/signing-keys", as: Fixture.operatorKey)
        #expect(
            list["data"]?.arrayValue?.compactMap { $0["state"]?.stringValue } == ["signing", "published"])
        // The published key is in the set before it signs.
        let jwks = try await fixture.call("GET", "/.well-known/jwks.json")
        #expect(jwks["keys"]?.arrayValue?.count == 2)
        #expect(jwks.headers["cache-control"] == "public, max-age=300")
        #expect(!jwks.text.contains("\"d\""))

        let again = try await fixture.call("POST", "/v1/ops/signing-keys", as: Fixture.operatorKey)
        #expect(again.status == 409)
        #expect(again.code == "rotation-under-way")
        let unknown = try await fixture.call(
            "DELETE", "/v1/ops/signing-keys/nobody", as: Fixture.operatorKey)
        #expect(unknown.status == 404)
    }

    @Test func aKeyFromTheEnvironmentIsShownAndChangedThere() async throws {
        let fixture = try await Fixture()
        let list = try await fixture.call("GET", "/v1/ops/signing-keys", as: Fixture.operatorKey)
        #expect(list["data"]?.arrayValue?.compactMap { $0["kid"]?.stringValue } == [fixture.key.kid])
        for (method, path) in [("POST", ""), ("DELETE", "/\(fixture.key.kid)")] {
            let answer = try await fixture.call(
                method, "/v1/ops/signing-keys\(path)", as: Fixture.operatorKey)
            #expect(answer.code == "keys-from-environment")
        }
    }

    @Test func theKeyFromTheEnvironmentBecomesTheFirstInPostgres() async throws {
        let plain = try await Fixture()
        let vault = KeyVault(
            store: plain.store, box: try SecretBox(keys: [SecureRandom.bytes(32)]), first: plain.key)
        #expect(try await vault.load().signing.kid == plain.key.kid)
    }

    @Test func aWrongSecretOpensNothingAndNothingIsServed() async throws {
        let first = try await Fixture(box: try SecretBox(keys: [SecureRandom.bytes(32)]))
        await first.api.keys.reload()
        let other = try await Fixture(url: first.url, box: try SecretBox(keys: [SecureRandom.bytes(32)]))
        await other.api.keys.reload()
        #expect(other.api.keys.current == nil)
        #expect(try await other.call("GET", "/readyz").status == 503)
        let jwks = try await other.call("GET", "/.well-known/jwks.json")
        #expect(jwks.status == 503)
        #expect(jwks.headers["retry-after"] != nil)
        #expect(try await first.call("GET", "/readyz").status == 200)
    }

    @Test func noSeedIsReadableInTheDatabase() async throws {
        let fixture = try await Fixture(box: try SecretBox(keys: [SecureRandom.bytes(32)]))
        await fixture.api.keys.reload()
        let seed = try #require(fixture.api.keys.current?.signing.seed)
        let row = try #require(try await fixture.store.signingKeys().first)
        #expect(!Hex.encode(row.sealed).contains(Hex.encode(seed)))
    }
}
