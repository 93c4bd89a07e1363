import API
import Core
import Crypto
import DNS
import Domain
import HTTP
import IO
import Postgres
import Reconcilers
import Redis
import Store
import Stripe
import Synchronization

/// Where Stripe's API is, and the secret key to it.
struct StripeAccess: Sendable {
    var base: HTTPURL
    var key: String
}

/// What `minecart-control serve` is told by its environment. All problems are found before anything starts.
struct Configuration: Sendable {
    var databaseURL: String
    /// For LISTEN, which a transaction pooler would break.
    var unpooledDatabaseURL: String
    var redisURL: RedisURL
    var listenAddress: SocketAddress
    var api: APISettings
    var mail: MailDelivery
    var signing: KeySource
    /// Asked for the proofs of own domains.
    var nameServers: [SocketAddress]
    /// nil when nothing is sold here.
    var stripe: StripeAccess?
    /// How long a late payment is forgiven.
    var billingGrace_s: Int
    /// Regions that exist from the start; more come with relay keys.
    var regions: [(id: String, name: String)]

    static let defaultRegions = "eu=Europe,us=US East"

    init(_ settings: inout Settings) throws(SettingsError) {
        databaseURL = settings.databaseURL()
        unpooledDatabaseURL = settings.unpooledDatabaseURL(default: databaseURL)
        redisURL = settings.redisURL()
        let listenAddress = settings.listenAddress()
        let baseDomain = settings.baseDomain()
        let signing = settings.keySource()
        let operatorKey = settings.secret("OPERATOR_KEY")
        if let operatorKey, operatorKey.utf8.count < 16 {
            settings.reject("OPERATOR_KEY is too short: use at least 16 random characters")
        }
        let metricsToken = settings.secret("METRICS_TOKEN")
        if let metricsToken, metricsToken.utf8.count < 8 {
            settings.reject("METRICS_TOKEN is too short: use at least 8 random characters")
        }
        let proxies = settings.trustedProxies()
        let publicURL = settings.publicURL(default: "http://localhost:\(listenAddress?.port ?? 8080)")
        mail = settings.mail()
        nameServers = settings.nameServers()
        let signUp = settings.signUp(mail)
        let sendsMail = if case .none = mail { false } else { true }
        let webhookSecrets = (settings.secret("STRIPE_WEBHOOK_SECRET") ?? "").split(separator: ",")
        stripe = settings.stripe()
        let billingPage = settings.billingPage()
        billingGrace_s = settings.integer("BILLING_GRACE_HOURS", default: 168, in: 0...8760) * 3600
        let placements_per_s = settings.integer("PLACEMENTS_PER_S", default: 500, in: 1...100_000)
        regions = settings.regions(default: Self.defaultRegions)
        settings.logLevel()
        try settings.finish()
        // Both were rejected above when they are missing.
        guard let signing, let listenAddress else { throw SettingsError(problems: settings.problems) }
        self.listenAddress = listenAddress
        self.signing = signing
        api = APISettings(
            baseDomain: baseDomain, operatorKey: operatorKey, metricsToken: metricsToken,
            trustedProxies: proxies, publicURL: publicURL, signUp: signUp, sendsMail: sendsMail,
            stripeWebhookSecrets: webhookSecrets.map { String($0) }, billingPage: billingPage,
            placements: PlacementLine.Rules(per_s: placements_per_s))
    }
}

/// Where the signing keys are.
enum KeySource: Sendable {
    /// One that signs, perhaps others that are believed: what a restart changes.
    case environment(KeyRing)
    /// In Postgres, sealed by `box`; `first` is taken over from the environment.
    case database(box: SecretBox, first: SigningKey?, rotation: KeyRotation)

    func open(_ store: Store) -> SigningKeys {
        switch self {
        case .environment(let ring): SigningKeys(ring)
        case .database(let box, let first, let rotation):
            SigningKeys(vault: KeyVault(store: store, box: box, first: first, rotation: rotation))
        }
    }
}

/// What `minecart-control migrate` is told.
struct MigrateConfiguration: Sendable {
    var databaseURL: String
    var directory: String

    init(_ settings: inout Settings) throws(SettingsError) {
        databaseURL = settings.unpooledDatabaseURL(default: settings.databaseURL())
        directory = Migration.directory(setting: settings.optional("MIGRATIONS_DIR"))
        settings.logLevel()
        try settings.finish()
    }
}

extension Settings {
    fileprivate mutating func databaseURL() -> String {
        let url = requiredSecret(
            "DATABASE_URL", "the Postgres to use, postgres://user:password@host:port/database")
        checkDatabaseURL("DATABASE_URL", url)
        return url
    }

    fileprivate mutating func unpooledDatabaseURL(default standard: String) -> String {
        guard let url = secret("DATABASE_UNPOOLED_URL") else { return standard }
        checkDatabaseURL("DATABASE_UNPOOLED_URL", url)
        return url
    }

    private mutating func checkDatabaseURL(_ name: String, _ url: String) {
        guard !url.isEmpty, !url.hasPrefix("postgres://"), !url.hasPrefix("postgresql://") else { return }
        reject("\(name) must begin with postgres:// or postgresql://")
    }

    fileprivate mutating func redisURL() -> RedisURL {
        let text = requiredSecret("REDIS_URL", "the Redis to use, redis://user:password@host:port")
        if let url = RedisURL(text) { return url }
        if !text.isEmpty {
            reject("REDIS_URL is not of the form redis[s]://[user[:password]@]host[:port][/database]")
        }
        return RedisURL(host: "localhost")
    }

    fileprivate mutating func listenAddress() -> SocketAddress? {
        let port = integer("PORT", default: 8080, in: 0...65_535)
        let host = string("HTTP_HOST", default: "::")
        if let address = SocketAddress(host: host, port: port) { return address }
        reject("HTTP_HOST is \"\(host)\": it must be an IP address to listen at, such as 127.0.0.1 or ::")
        return nil
    }

    fileprivate mutating func baseDomain() -> String {
        let domain = required(
            "BASE_DOMAIN", "the domain under which tunnels get their names, such as dvv.one"
        ).lowercased()
        let labels = domain.split(separator: ".", omittingEmptySubsequences: false)
        let isGood = labels.allSatisfy { label in
            (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
                && label.utf8.allSatisfy { Base62.contains($0) || $0 == UInt8(ascii: "-") }
        }
        if !domain.isEmpty, !isGood || domain.utf8.count > 200 {
            reject("BASE_DOMAIN is \"\(domain)\", which is no domain name")
        }
        return domain
    }

    /// nil after a problem was noted.
    fileprivate mutating func keySource() -> KeySource? {
        let before = problems.count
        let keys = signingKeys()
        let box = secretBox()
        let publish_s = integer(
            "SIGNING_KEY_PUBLISH_S", default: Int(KeyRotation.standardPublish_s), in: 0...86_400)
        guard problems.count == before else { return nil }
        if let box {
            return .database(
                box: box, first: keys.first, rotation: KeyRotation(publish_s: Int64(publish_s)))
        }
        guard let first = keys.first else {
            reject(
                """
                SIGNING_KEY (or SIGNING_KEY_FILE) is not set: 32 random bytes in base64url, 43 characters: \
                head -c 32 /dev/urandom | basenc --base64url | tr -d = ; or set SIGNING_KEYS_SECRET, made \
                likewise, and keys are made, kept and rotated in Postgres
                """)
            return nil
        }
        return .environment(KeyRing(signing: first, others: keys.dropFirst().map(\.publicKey)))
    }

    /// The first signs, the others are only believed.
    private mutating func signingKeys() -> [SigningKey] {
        guard let text = secret("SIGNING_KEY") else { return [] }
        do throws(CryptoError) {
            var keys: [SigningKey] = []
            for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                keys.append(try SigningKey(text: String(part)))
            }
            if keys.count > VerificationKeys.maxKeys { reject("SIGNING_KEY holds too many keys") }
            return keys
        } catch {
            reject("SIGNING_KEY cannot be used: \(error)")
            return []
        }
    }

    private mutating func secretBox() -> SecretBox? {
        guard let text = secret("SIGNING_KEYS_SECRET") else { return nil }
        let keys = text.split(separator: ",", omittingEmptySubsequences: false)
            .map { Base64URL.decode($0) ?? [] }
        if let box = try? SecretBox(keys: keys) { return box }
        reject(
            "SIGNING_KEYS_SECRET cannot be used: it takes 32 bytes in base64url without padding, 43 characters"
        )
        return nil
    }

    fileprivate mutating func mail() -> MailDelivery {
        let log = optional("MAIL_LOG")
        let provider = optional("MAIL_PROVIDER") ?? (log == nil ? nil : "log")
        let token = secret("MAIL_TOKEN")
        let from = optional("MAIL_FROM")
        let base = optional("MAIL_API_BASE")
        if provider == nil { return .none }
        if provider == "log" {
            if let log { return .log(MailLog(path: log)) }
            reject("MAIL_PROVIDER is log, but MAIL_LOG does not name the file that mails are written to")
            return .none
        }
        guard let shape = provider.flatMap({ MailService.Shape(rawValue: $0) }) else {
            reject("MAIL_PROVIDER is \"\(provider ?? "")\": it must be postmark, resend or log")
            return .none
        }
        if token == nil {
            reject(
                "MAIL_TOKEN (or MAIL_TOKEN_FILE) is not set: the key of your account with the mail provider")
        }
        if from == nil {
            reject("MAIL_FROM is not set: whom mails come from, such as Minecart <hello@dvv.one>")
        }
        guard
            let service = MailService(
                shape, base: base ?? shape.standardBase, token: token ?? "", from: from ?? "")
        else {
            reject("MAIL_API_BASE must be a URL such as \(shape.standardBase)")
            return .none
        }
        return .service(service)
    }

    fileprivate mutating func nameServers() -> [SocketAddress] {
        guard let text = optional("DNS_SERVERS") else {
            return DNSServers.resolvConf(Settings.read("/etc/resolv.conf") ?? "")
        }
        if let servers = DNSServers.list(text) { return servers }
        reject("DNS_SERVERS must list name servers by IP address, such as 9.9.9.9,[2620:fe::fe]:53")
        return []
    }

    /// Accounts begin by mail where mails are sent to people, else at once.
    fileprivate mutating func signUp(_ mail: MailDelivery) -> SignUpMode {
        let standard = if case .service = mail { SignUpMode.verified } else { SignUpMode.open }
        guard let name = optional("SIGN_UP") else { return standard }
        guard let mode = SignUpMode(rawValue: name) else {
            reject("SIGN_UP is \"\(name)\": it must be verified or open")
            return standard
        }
        if case .none = mail, mode == .verified {
            reject("SIGN_UP is verified, but no mail is sent: set MAIL_PROVIDER too")
        }
        return mode
    }

    fileprivate mutating func stripe() -> StripeAccess? {
        let key = secret("STRIPE_SECRET_KEY")
        let text = string("STRIPE_API_BASE", default: StripeClient.standardBase)
        guard let base = HTTPURL(text), !text.contains("?") else {
            reject("STRIPE_API_BASE must be a URL such as \(StripeClient.standardBase)")
            return nil
        }
        return key.map { StripeAccess(base: base, key: $0) }
    }

    fileprivate mutating func billingPage() -> String? {
        guard let text = optional("BILLING_PAGE") else { return nil }
        if let url = HTTPURL(text), ReturnURLs([url]).allows(text) { return text }
        reject(
            "BILLING_PAGE must be your page that people come back to from Stripe, such as https://dvv.one/billing"
        )
        return nil
    }

    fileprivate mutating func publicURL(default standard: String) -> String {
        guard let text = optional("PUBLIC_URL") else { return standard }
        let trimmed = text.hasSuffix("/") ? String(text.dropLast()) : text
        guard HTTPURL(trimmed) != nil, !trimmed.contains("?") else {
            reject("PUBLIC_URL must be where people reach this API, such as https://api.dvv.one")
            return standard
        }
        return trimmed
    }

    fileprivate mutating func trustedProxies() -> TrustedProxies {
        guard let text = optional("TRUSTED_PROXIES") else { return .none }
        if let proxies = TrustedProxies(text) { return proxies }
        reject("TRUSTED_PROXIES must list IP addresses and ranges, such as 10.0.0.0/8,fd00::/8")
        return .none
    }

    fileprivate mutating func regions(default standard: String) -> [(id: String, name: String)] {
        var regions: [(id: String, name: String)] = []
        for part in string("REGIONS", default: standard).split(separator: ",") {
            let pieces = part.split(separator: "=", maxSplits: 1)
            let id = pieces.first.map(String.init) ?? ""
            let name = pieces.count == 2 ? String(pieces[1]) : id
            guard RegionName.isValid(id), !regions.contains(where: { $0.id == id }) else {
                reject("REGIONS must list regions as id=Name, such as \(standard); \"\(part)\" is none")
                continue
            }
            regions.append((id, name))
        }
        return regions
    }

    fileprivate mutating func logLevel() {
        guard let name = optional("LOG_LEVEL") else { return }
        guard let level = Log.Level(name: name) else {
            reject("LOG_LEVEL is \"\(name)\": it must be debug, info, warning or error")
            return
        }
        Log.threshold.store(level.rawValue, ordering: .relaxed)
    }
}
