import Core
import Crypto
import DNS
import Domain
import HTTP
import IO
import Postgres
import Reconcilers
import Store
import Stripe
import Support
import Testing
import Wire

@testable import API

/// A control plane without sockets: requests go in as values, a database of its own is behind it.
struct Fixture: Sendable {
    let api: API
    let store: Store
    let watch = RegionWatch()
    /// Time stands still on it.
    let loads: LoadBoard
    let key: SigningKey
    let url: String

    static let operatorKey = "operator-key-for-tests-only"
    static let metricsToken = "metrics-token-for-tests"
    static let password = "correct horse battery"
    static let baseDomain = "mine.example"
    static let publicURL = "https://api.mine.example"

    /// A busy machine may take its time, except where a test is about that.
    static let patient = PostgresTimeouts(connect: .seconds(30), work: .seconds(30))

    /// Where own domains are proven when a test is not about them.
    struct NoNameServer: TXTResolver {
        func txt(_ name: String) async -> TXTAnswer { .unavailable("there is no name server here") }
    }

    /// With a `box` the signing keys are in the database.
    init(
        url: String? = nil, timeouts: PostgresTimeouts = patient, box: SecretBox? = nil,
        signUp: SignUpMode = .open, sendsMail: Bool = true, names: any TXTResolver = NoNameServer(),
        stripeWebhookSecrets: [String] = ["whsec_old", "whsec_new"], stripe: StripeClient? = nil,
        limiter: RateLimiter = RateLimiter(), signIns: SignInThrottle = SignInThrottle(policies: .pausesLong),
        admission: PlacementAdmission? = nil
    ) async throws {
        self.url = if let url { url } else { try await PrivatePostgres.createDatabase() }
        key = try SigningKey.generate()
        let start = Instant.now()
        loads = LoadBoard { start }
        store = Store(pool: Pool(url: self.url, maxConnections: 4, timeouts: timeouts))
        let keys =
            if let box { SigningKeys(vault: KeyVault(store: store, box: box)) { start } } else {
                SigningKeys(KeyRing(signing: key))
            }
        let proxies = try #require(TrustedProxies("10.0.0.0/8"))
        api = API(
            settings: APISettings(
                baseDomain: Self.baseDomain, operatorKey: Self.operatorKey,
                metricsToken: Self.metricsToken, trustedProxies: proxies, publicURL: Self.publicURL,
                signUp: signUp, sendsMail: sendsMail, stripeWebhookSecrets: stripeWebhookSecrets),
            keys: keys, store: store, loads: loads, watch: watch,
            domains: DomainChecker(store: store, resolver: names), metrics: Metrics(), stripe: stripe,
            limiter: limiter, signIns: signIns, admission: admission)
        try await store.ensureRegion("eu", name: "Europe")
        try await store.ensureRegion("us", name: "US East")
    }

    struct Answer: Sendable {
        let status: Int
        let headers: HTTPHeaders
        let json: JSON
        let text: String

        subscript(name: String) -> JSON? { json[name] }
        func text(_ name: String) throws -> String { try #require(json[name]?.stringValue) }
        var code: String? {
            json["type"]?.stringValue.map { String($0.split(separator: ":").last ?? "") }
        }
        var pointers: [String] {
            (json["errors"]?.arrayValue ?? []).compactMap { $0["pointer"]?.stringValue }
        }
    }

    func call(
        _ method: String, _ target: String, _ body: JSON? = nil, as bearer: String? = nil,
        headers: HTTPHeaders = [:], peer: String = "127.0.0.1:4000"
    ) async throws -> Answer {
        try await call(method, target, bytes: body?.bytes ?? [], as: bearer, headers: headers, peer: peer)
    }

    /// With a body that need not be JSON.
    func call(
        _ method: String, _ target: String, bytes body: [UInt8], as bearer: String? = nil,
        headers: HTTPHeaders = [:], peer: String = "127.0.0.1:4000"
    ) async throws -> Answer {
        var headers = headers
        if let bearer { headers.add("Authorization", "Bearer \(bearer)") }
        let request = try HTTPRequest(
            method: method, target: target, headers: headers, body: body,
            peer: try #require(SocketAddress(peer)))
        let response = await api.response(to: request)
        for misfit in Contract.misfits(request, response, in: api.table) {
            Issue.record(
                "\(method) \(request.path) answered \(response.status), not as its Route says: \(misfit)")
        }
        return Answer(
            status: response.status, headers: response.headers,
            json: (try? JSON.parse(response.body)) ?? .null,
            text: String(decoding: response.body, as: UTF8.self))
    }

    struct Account: Sendable {
        let id: String
        let apiKey: String
        let agentKey: String
    }

    /// Made without the API, which would spend a fifth of a second on the password.
    func account(plan: String = "unlimited") async throws -> Account {
        let apiKey = TypedKey.generate(prefix: .account)
        let agentKey = TypedKey.generate(prefix: .agent)
        let id = try await store.createAccount(
            email: "\(Hex.encode(SecureRandom.bytes(8)))@mail.example", passwordHash: Scrypt.dummyHash,
            plan: plan,
            apiKeyHash: apiKey.hash, agentKeyHash: agentKey.hash, actor: "test")
        return Account(id: id.text, apiKey: apiKey.text, agentKey: agentKey.text)
    }

    func tunnel(_ account: Account, region: String = "eu") async throws -> String {
        let answer = try await call("POST", "/v1/tunnels", ["region": .string(region)], as: account.apiKey)
        try #require(answer.status == 201)
        return try answer.text("id")
    }

    func relayKey() async throws -> String {
        let answer = try await call("POST", "/v1/ops/relay-keys", ["region": "eu"], as: Self.operatorKey)
        try #require(answer.status == 201)
        return try answer.text("key")
    }

    static func registration(_ id: String, region: String = "eu") -> JSON {
        [
            "id": .string(id), "region": .string(region), "endpoint": .string("\(id).example:7000"),
            "fingerprint": .string(String(repeating: "a", count: 64)), "shared_entry": false,
        ]
    }

    /// Registers a relay; its key.
    @discardableResult
    func relay(_ id: String, region: String = "eu") async throws -> String {
        let key = try await relayKey()
        let answer = try await call(
            "POST", "/v1/relay/registrations", Self.registration(id, region: region), as: key)
        try #require(answer.status == 200)
        return key
    }

    func place(_ tunnel: String, _ session: String, _ account: Account, exclude: [String] = []) async throws
        -> Answer
    {
        try await call(
            "POST", "/v1/tunnels/\(tunnel)/placements",
            ["session": .string(session), "exclude": .array(exclude.map { .string($0) })],
            as: account.agentKey)
    }

    /// Passes on the database's notifications until the task ends, as the program does.
    func followChanges() -> Task<Void, Never> {
        let listener = Postgres.Listener(
            url: url, channels: [AssignmentsChannel.name, SigningKeysChannel.name])
        return Task { [watch, keys = api.keys] in
            for await event in listener.events {
                switch event {
                case .listening:
                    watch.wakeAll()
                    await keys.reload()
                case .notification(let note) where note.channel == SigningKeysChannel.name:
                    await keys.reload()
                    watch.wakeAll()
                case .notification(let note):
                    if let change = AssignmentsChannel.parse(note.payload) {
                        watch.advance(change.region, to: change.rev)
                    }
                case .lost: break
                }
            }
        }
    }
}
