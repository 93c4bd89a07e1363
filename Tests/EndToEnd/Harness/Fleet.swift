import CLinux
import Core
import Crypto
import Redis
import Support
import Synchronization

/// A whole Minecart of real programs on loopback: a database and a Redis of its own, one control plane, relays.
final class Fleet: Sendable {
    /// What only the parts may know.
    struct Secrets: Sendable {
        let signingKey = Base64URL.encode(SecureRandom.bytes(32))
        let signingKeysSecret = Base64URL.encode(SecureRandom.bytes(32))
        let operatorKey = TypedKey.generate(prefix: .operator).text
        let databasePassword = Fleet.password()
        let controlRedisPassword = Fleet.password()
        let relayRedisPassword = Fleet.password()
        let stripeWebhookSecret = "whsec_" + Fleet.password()
    }

    let folder: String
    let secrets = Secrets()
    let redis: PrivateRedis
    /// What relays listen at where it is not the control planes' own Redis, and what carries over to it.
    let relayRedis: PrivateRedis?
    let bridge: LossyBridge?
    let controlPort: Int
    let databaseURL: String
    /// What proofs of own domains are looked up at.
    private let nameServer: PrivateNameServer?
    private let keysInDatabase: Bool
    private let state: Mutex<State>
    /// Removes the folder when this process ends, however it ends.
    private let folderKeeper: ChildProcess

    private struct State: Sendable {
        var control: Part?
        var controls = 0
        var relays: [Relay] = []
        var parts: [Part] = []
        var accounts: [Account] = []
        var homes: [HomeServer] = []
    }

    struct Relay: Sendable {
        let id: String
        let region: String
        let key: String
        let stateFolder: String
        /// Where players and agents come in.
        let port: Int
        let httpPort: Int
        /// What it was told beyond the usual.
        let environment: [String: String]
        let part: Part
    }

    static let baseDomain = "play.test"

    /// Without `postgres` the database is one on the server that all tests share. With `splitsRedis` the relays of
    /// "eu" have a Redis of their own behind `bridge`. `databasePort` leads to `postgres`.
    init(
        relays: [String] = ["eu"], postgres: PrivatePostgres? = nil, nameServer: PrivateNameServer? = nil,
        keysInDatabase: Bool = false, splitsRedis: Bool = false, databasePort: Int? = nil
    ) async throws {
        self.nameServer = nameServer
        self.keysInDatabase = keysInDatabase
        folder = try Files.temporaryFolder("fleet")
        folderKeeper = try ChildProcess(
            command: "sleep infinity", endSignal: "TERM", log: "/dev/null", remove: folder)
        let plainURL =
            if let postgres { try await postgres.createDatabase() } else {
                try await PrivatePostgres.createDatabase()
            }
        var databaseURL = plainURL.replacing("minecart@", with: "minecart:\(secrets.databasePassword)@")
        if let postgres, let databasePort {
            databaseURL = databaseURL.replacing(":\(postgres.port)/", with: ":\(databasePort)/")
        }
        self.databaseURL = databaseURL
        redis = try Self.redis(secrets, folder)
        relayRedis = splitsRedis ? try Self.redis(secrets, folder) : nil
        bridge = try relayRedis.map { [redis, secrets] relayRedis in
            func url(_ redis: PrivateRedis) -> RedisURL {
                RedisURL(
                    host: "127.0.0.1", port: redis.port, user: "control",
                    password: secrets.controlRedisPassword)
            }
            return try LossyBridge(from: url(redis), to: url(relayRedis), region: "eu")
        }
        controlPort = try Files.freePort()
        state = Mutex(State())
        // Applied already where the database is a copy of the tests' template; saying so again must be harmless.
        let migrate = try Part(
            "migrate", program: "minecart-control", ["migrate"], environment: controlEnvironment,
            folder: folder)
        guard try migrate.waitForEnd() == .code(0) else { throw Trouble("migrate failed:\n\(migrate.log)") }
        try startControl()
        for region in relays { try addRelay(region) }
    }

    deinit {
        for part in parts { part.kill() }
        redis.end()
        relayRedis?.end()
        folderKeeper.end()
    }

    /// Users as in production: relays may read assignments and write their load, nothing else.
    private static func redis(_ secrets: Secrets, _ folder: String) throws -> PrivateRedis {
        try Files.write(
            """
            user default off
            user control on >\(secrets.controlRedisPassword) ~* &* +@all
            user relay on >\(secrets.relayRedisPassword) resetkeys resetchannels -@all \
            %R~snapshot:* ~load:* ~heartbeat:* &assignments:* \
            +ping +hello +auth +select +client +quit +get +set +expire +zadd +zrem +del +subscribe +unsubscribe \
            (resetkeys resetchannels -@all &load:* +publish)

            """, to: folder + "/redis.acl")
        return try PrivateRedis(arguments: ["--aclfile", folder + "/redis.acl"])
    }

    static func password() -> String {
        String(decoding: (0..<24).map { _ in Base62.alphabet[SecureRandom.below(62)] }, as: UTF8.self)
    }

    // MARK: the control plane

    private var controlEnvironment: [String: String] { controlEnvironment(port: controlPort) }

    private func controlEnvironment(port: Int) -> [String: String] {
        var environment = [
            "DATABASE_URL": databaseURL,
            "REDIS_URL": "redis://control:\(secrets.controlRedisPassword)@127.0.0.1:\(redis.port)",
            "HTTP_HOST": "127.0.0.1", "PORT": "\(port)", "CONTROL_URL": controlURL,
            "BASE_DOMAIN": Self.baseDomain,
            "OPERATOR_KEY": secrets.operatorKey, "MIGRATIONS_DIR": Files.root + "/migrations",
            "MAIL_LOG": folder + "/mail.log", "LOG_LEVEL": "debug",
            "DNS_SERVERS": nameServer?.address ?? "127.0.0.1:9",
            "STRIPE_WEBHOOK_SECRET": secrets.stripeWebhookSecret,
        ]
        if keysInDatabase {
            environment["SIGNING_KEYS_SECRET"] = secrets.signingKeysSecret
            environment["SIGNING_KEY_PUBLISH_S"] = "1"
        } else {
            environment["SIGNING_KEY"] = secrets.signingKey
        }
        return environment
    }

    var controlURL: String { "http://127.0.0.1:\(controlPort)" }

    var control: Part {
        get throws {
            guard let part = state.withLock({ $0.control }) else { throw Trouble("no control plane runs") }
            return part
        }
    }

    func startControl() throws {
        let number = state.withLock { state in
            state.controls += 1
            return state.controls
        }
        let part = try Part(
            "control-\(number)", program: "minecart-control", ["serve"], environment: controlEnvironment,
            folder: folder)
        state.withLock { $0.control = part }
        try eventuallyWorks("the control plane is ready") {
            if let end = part.end { throw Trouble("it ended (\(end)):\n\(part.log)") }
            guard try ask("GET", "/readyz", within: .seconds(5)).status == 200 else {
                throw Trouble("/readyz says no")
            }
        }
    }

    /// A control plane beside the first one: which port it has, and the process.
    func addControl() throws -> (port: Int, part: Part) {
        let port = try Files.freePort()
        let number = state.withLock { state in
            state.controls += 1
            return state.controls
        }
        let part = try Part(
            "control-\(number)", program: "minecart-control", ["serve"],
            environment: controlEnvironment(port: port), folder: folder)
        state.withLock { $0.parts.append(part) }
        try eventuallyWorks("another control plane is ready") {
            guard try WebAnswer.ask(port: port, "GET", "/readyz", within: .seconds(5)).status == 200 else {
                throw Trouble("/readyz says no")
            }
        }
        return (port, part)
    }

    /// Ends it as a deploy does, and waits until it has ended.
    func stopControl() throws {
        guard let part = state.withLock({ $0.control.take() }) else { return }
        state.withLock { $0.parts.append(part) }
        let end = try part.stop()
        guard end == .code(0) else { throw Trouble("the control plane ended with \(end):\n\(part.log)") }
    }

    func ask(
        _ method: String, _ path: String, key: String? = nil, _ json: JSON? = nil,
        within limit: Milliseconds = patience
    ) throws -> WebAnswer {
        try WebAnswer.ask(port: controlPort, method, path, key: key, json, within: limit)
    }

    /// An answer of another status throws with what the answer says.
    func call(
        _ method: String, _ path: String, key: String?, _ json: JSON? = nil, expect status: Int
    ) throws -> JSON {
        let answer = try ask(method, path, key: key, json)
        guard answer.status == status else {
            throw Trouble("\(method) \(path) answered \(answer.status) instead of \(status): \(answer.text)")
        }
        return answer.json
    }

    /// All mails that were sent, as MAIL_LOG has them.
    var mails: String { Settings.read(folder + "/mail.log") ?? "" }

    // MARK: relays

    var relays: [Relay] { state.withLock { $0.relays } }

    func relay(_ id: String) throws -> Relay {
        guard let relay = relays.first(where: { $0.id == id }) else {
            throw Trouble("no relay \(id) was started")
        }
        return relay
    }

    /// `environment` goes before the usual.
    @discardableResult
    func addRelay(_ region: String, environment: [String: String] = [:]) throws -> Relay {
        let number = relays.count + 1
        let key = try call(
            "POST", "/v1/ops/relay-keys", key: secrets.operatorKey, ["region": .string(region)], expect: 201)
        guard let key = key["key"]?.stringValue else { throw Trouble("no relay key came") }
        let id = "rly_" + Self.password().prefix(22)
        let stateFolder = "\(folder)/relay-\(number)"
        guard mkdir(stateFolder, 0o700) == 0 else { throw Trouble("mkdir \(stateFolder) failed") }
        let relay = try startRelay(
            "relay-\(number)", id: id, region, key: key, stateFolder, port: 0, environment)
        state.withLock { $0.relays.append(relay) }
        try waitUntilReady(relay)
        return relay
    }

    /// Kills a relay and starts it again where it was; waits until it is ready.
    func restart(_ relay: Relay) throws -> Relay {
        relay.part.kill()
        let again = try startRelay(
            relay.part.name + "-again", id: relay.id, relay.region, key: relay.key, relay.stateFolder,
            port: relay.port, relay.environment)
        state.withLock { state in
            state.parts.append(relay.part)
            state.relays = state.relays.map { $0.id == relay.id ? again : $0 }
        }
        try waitUntilReady(again)
        return again
    }

    private func startRelay(
        _ name: String, id: String, _ region: String, key: String, _ stateFolder: String, port: Int,
        _ environment: [String: String]
    ) throws -> Relay {
        let part = try Part(
            name, program: "minecart-relay", [],
            environment: environment.merging([
                "RELAY_ID": id, "RELAY_KEY": key, "REGION": region, "RELAY_LISTEN": "127.0.0.1:\(port)",
                "HTTP_HOST": "127.0.0.1", "PORT": "0", "CONTROL_URL": controlURL,
                "REDIS_URL":
                    "redis://relay:\(secrets.relayRedisPassword)@127.0.0.1:\((relayRedis ?? redis).port)",
                "BASE_DOMAIN": Self.baseDomain, "STATE_DIR": stateFolder, "LOG_LEVEL": "debug",
                "RELAY_USAGE_S": "1", "RELAY_DRAIN_NOTICE_S": "1",
            ]) { given, _ in given }, folder: folder)
        func logged(_ mark: String) throws -> Int {
            guard let port = Endpoint(try part.logged(mark))?.port else {
                throw Trouble("\(mark) has no port")
            }
            return port
        }
        return Relay(
            id: id, region: region, key: key, stateFolder: stateFolder, port: try logged(" listen="),
            httpPort: try logged(" http="), environment: environment, part: part)
    }

    /// What stands between a relay and everybody else, so that it can be cut off.
    struct Wires: Sendable {
        let control: FaultyProxy
        let redis: FaultyProxy
        /// Where agents and other relays come in; players of a test may still use the relay's own port.
        let entry: FaultyProxy

        func cutOff() {
            control.silence()
            redis.silence()
        }

        func heal() {
            control.heal()
            redis.heal()
        }
    }

    func addRelayBehindWires(_ region: String) throws -> (relay: Relay, wires: Wires) {
        let port = try Files.freePort()
        let wires = Wires(
            control: try FaultyProxy(to: controlPort), redis: try FaultyProxy(to: (relayRedis ?? redis).port),
            entry: try FaultyProxy(to: port))
        let relay = try addRelay(
            region,
            environment: [
                "RELAY_LISTEN": "127.0.0.1:\(port)", "RELAY_PUBLIC_ENDPOINT": wires.entry.address,
                "CONTROL_URL": "http://\(wires.control.address)",
                "REDIS_URL": "redis://relay:\(secrets.relayRedisPassword)@\(wires.redis.address)",
            ])
        return (relay, wires)
    }

    private func waitUntilReady(_ relay: Relay) throws {
        try eventuallyWorks("\(relay.part.name) is ready") {
            guard try WebAnswer.ask(port: relay.httpPort, "GET", "/readyz").status == 200 else {
                throw Trouble("/readyz says no")
            }
        }
    }

    /// What the control plane thinks of it.
    func operatorsView(of relay: Relay) throws -> JSON {
        let list = try call("GET", "/v1/ops/relays", key: secrets.operatorKey, expect: 200)
        guard let row = list["data"]?.arrayValue?.first(where: { $0["id"]?.stringValue == relay.id }) else {
            throw Trouble("the control plane does not list relay \(relay.id)")
        }
        return row
    }

    /// A number from a relay's /metrics.
    func metric(_ name: String, of relay: Relay) throws -> Int {
        let text = try WebAnswer.ask(port: relay.httpPort, "GET", "/metrics").text
        let line = text.split(separator: "\n").first { $0.hasPrefix(name + " ") || $0.hasPrefix(name + "{") }
        guard let value = line?.split(separator: " ").last.flatMap({ Int($0) }) else {
            throw Trouble("there is no metric \(name):\n\(text)")
        }
        return value
    }

    // MARK: Redis

    /// Runs a command as the control plane's user and gives back the raw answer's first line.
    @discardableResult
    func askRedis(_ command: String) throws -> String { try redisAnswer(command)[0] }

    /// What the key holds: text of one line.
    func redisText(_ key: String) throws -> String {
        let lines = try redisAnswer("GET \(key)")
        guard lines.count >= 2, lines[0].hasPrefix("$") else { throw Trouble("\(key) is not in Redis") }
        return lines[1]
    }

    private func redisAnswer(_ command: String) throws -> [String] {
        let connection = try Connection(to: redis.port)
        try connection.send(
            Array("AUTH control \(secrets.controlRedisPassword)\r\n\(command)\r\nQUIT\r\n".utf8))
        let lines = String(decoding: try connection.receiveToEnd(), as: UTF8.self).split(separator: "\r\n")
        guard lines.count >= 2, lines[0] == "+OK" else { throw Trouble("Redis answered \(lines)") }
        return lines.dropFirst().map(String.init)
    }

    // MARK: accounts

    /// As a person does it: sign up, sign in, make an agent key.
    func signUp() throws -> Account {
        let email = "\(Self.password().lowercased())@example.com"
        let person: JSON = ["email": .string(email), "password": .string(Self.password())]
        _ = try call("POST", "/v1/users", key: nil, person, expect: 202)
        let session = try call("POST", "/v1/sessions", key: nil, person, expect: 201)
        guard let token = session["access_token"]?.stringValue else { throw Trouble("no access token came") }
        let made = try call("POST", "/v1/agent-keys", key: token, ["name": "home"], expect: 201)
        guard let id = made["id"]?.stringValue, let agentKey = made["key"]?.stringValue else {
            throw Trouble("no agent key came")
        }
        let account = Account(
            email: email, password: person["password"]?.stringValue ?? "", key: token,
            refreshToken: session["refresh_token"]?.stringValue ?? "", agentKey: agentKey, agentKeyID: id)
        state.withLock { $0.accounts.append(account) }
        return account
    }

    /// The link in the newest mail to this address.
    func mailedLink(to email: String) throws -> String {
        try eventuallyWorks("a mail with a link goes to \(email)", within: patience) {
            let mails = (Files.read(folder + "/mail.log") ?? "").split(separator: "\nTo: ")
            guard let mail = mails.last(where: { $0.hasPrefix(email) }),
                let link = mail.split(whereSeparator: \.isWhitespace).last(where: { $0.contains("#token=") })
            else { throw Trouble("there is none") }
            return String(link)
        }
    }

    /// Everybody who signed up, oldest first.
    var accounts: [Account] { state.withLock { $0.accounts } }

    // MARK: agents

    /// Starts an agent in front of `home`; more arguments behind.
    func startAgent(_ account: Account, home: Int, _ arguments: [String] = []) throws -> Agent {
        try startAgent(
            ["--local", "127.0.0.1:\(home)"] + arguments, environment: ["MINECART_KEY": account.agentKey])
    }

    func startAgent(_ arguments: [String], environment: [String: String]) throws -> Agent {
        let number = state.withLock { $0.parts.count + 1 }
        let part = try Part(
            "agent-\(number)", program: "minecart", ["up", "--json", "--control", controlURL] + arguments,
            environment: environment, folder: folder)
        state.withLock { $0.parts.append(part) }
        return Agent(part: part, fleet: self)
    }

    /// A new account with a tunnel in `region` that an agent serves.
    func newTunnel(
        home: HomeServer, region: String = "eu", _ arguments: [String] = []
    ) throws -> (account: Account, agent: Agent, tunnel: Tunnel) {
        // It stays open as long as the fleet, whatever the test keeps of it.
        state.withLock { $0.homes.append(home) }
        let account = try signUp()
        let agent = try startAgent(account, home: home.port, ["--region", region] + arguments)
        return (account, agent, try agent.waitForTunnel(status: home.status))
    }

    /// Tunnels on two relays of a region that has exactly two.
    func tunnelsOnTwoRelays(
        home: HomeServer
    ) throws -> [(account: Account, agent: Agent, tunnel: Tunnel)] {
        let first = try newTunnel(home: home)
        // Placement goes by load, which is the relays' own word: a few tries are fair.
        for _ in 0..<8 {
            let second = try newTunnel(home: home)
            if second.tunnel.relay.id != first.tunnel.relay.id { return [first, second] }
        }
        throw Trouble("nine tunnels went to the same relay of two")
    }

    // MARK: when something fails

    /// Every program that was started here, ended ones included.
    var parts: [Part] {
        state.withLock { state in
            (state.control.map { [$0] } ?? []) + state.relays.map(\.part) + state.parts
        }
    }

    /// Every part's last words.
    var lastWords: String {
        parts.map { part in
            let lines = (part.output + part.log).split(separator: "\n").suffix(40).joined(separator: "\n")
            return "--- \(part.name) (\(part.end.map { "\($0)" } ?? "runs"))\n\(lines)"
        }.joined(separator: "\n")
    }
}

/// Someone who signed up.
struct Account: Sendable {
    let email: String
    let password: String
    /// The access token.
    let key: String
    let refreshToken: String
    let agentKey: String
    let agentKeyID: String
}

/// Where a tunnel's players are brought in.
struct Tunnel: Sendable {
    let hostname: String
    let relay: Fleet.Relay

    var port: Int { relay.port }
}
