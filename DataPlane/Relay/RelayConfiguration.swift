import CLinux
import Core
import Crypto
import HTTP
import IO
import Redis
import RelayCore
import Synchronization
import TLS

/// What the relay is told by its environment, checked as a whole.
struct RelayConfiguration {
    let relayID: String?
    let relayKey: String
    let region: String
    let listen: [SocketAddress]
    /// nil: the address that was bound.
    let publicEndpoint: String?
    /// nil: the public endpoint.
    let meshAddress: String?
    /// Other relays take connections at the same public endpoint.
    let sharedEntry: Bool
    let controlURL: HTTPURL
    let redisURL: RedisURL?
    let httpAddress: SocketAddress
    let metricsToken: String?
    let stateDirectory: String?
    let ticketKeys: VerificationKeys?
    let tlsCertificateFile: String?
    let tlsKeyFile: String?
    let loops: Int
    /// Data connections of one tunnel that are kept ready.
    let parked: Int
    let drain_s: Int
    /// From the end of readiness to the end of the relay, at least.
    let drainNotice_s: Int
    /// Between two usage reports.
    let usage_s: Int

    static func read(_ environment: Settings) throws(SettingsError) -> RelayConfiguration {
        var settings = environment
        let key = settings.requiredSecret(
            "RELAY_KEY", "the operator makes one with POST /v1/ops/relay-keys")
        let region = settings.required("REGION", "the region this relay serves, for example eu")
        let control = url(&settings)
        let listen = addresses(&settings)
        let http = httpAddress(&settings)
        let redis = redis(&settings)
        let keys = ticketKeys(&settings)
        let certificate = settings.optional("TLS_CERTIFICATE_FILE")
        let tlsKey = settings.optional("TLS_KEY_FILE")
        if (certificate == nil) != (tlsKey == nil) {
            settings.reject("TLS_CERTIFICATE_FILE and TLS_KEY_FILE belong together: set both or neither")
        }
        let endpoint = settings.optional("RELAY_PUBLIC_ENDPOINT")
        if let endpoint, Endpoint(endpoint) == nil {
            settings.reject(
                "RELAY_PUBLIC_ENDPOINT is \"\(endpoint)\": it must be HOST:PORT as agents and players dial it"
            )
        }
        let sharedEntry = settings.integer("RELAY_SHARED_ENTRY", default: 0, in: 0...1) == 1
        if sharedEntry, endpoint == nil {
            settings.reject(
                "RELAY_PUBLIC_ENDPOINT is not set: with RELAY_SHARED_ENTRY it is the entry's HOST:PORT")
        }
        let mesh = meshAddress(&settings, listen: listen)
        if sharedEntry, mesh == nil {
            settings.reject(
                "RELAY_MESH_ADDRESS is not set: with RELAY_SHARED_ENTRY it is this relay's own HOST:PORT, or auto:PORT"
            )
        }
        let id = settings.optional("RELAY_ID")
        if let id,
            id.utf8.count > 64 || !id.utf8.allSatisfy({ Base62.contains($0) || $0 == 0x5F || $0 == 0x2D })
        {
            settings.reject("RELAY_ID is \"\(id)\": at most 64 letters, digits, _ and -")
        }
        let loops = settings.integer(
            "RELAY_LOOPS", default: max(1, min(64, sysconf(Int32(_SC_NPROCESSORS_ONLN)))), in: 1...64)
        let parked = settings.integer(
            "RELAY_PARKED", default: TunnelDesk.usualParked, in: 0...TunnelDesk.usualParked)
        let drain = settings.integer("RELAY_DRAIN_S", default: 300, in: 0...86_400)
        let notice = settings.integer("RELAY_DRAIN_NOTICE_S", default: 5, in: 0...3600)
        let usage = settings.integer("RELAY_USAGE_S", default: 10, in: 1...3600)
        let token = settings.secret("METRICS_TOKEN")
        let level = settings.string("LOG_LEVEL", default: "info")
        if let level = Log.Level(name: level) {
            Log.threshold.store(level.rawValue, ordering: .relaxed)
        } else {
            settings.reject("LOG_LEVEL is \"\(level)\": it must be debug, info, warning or error")
        }
        try settings.finish()
        guard let control, let http else { throw SettingsError(problems: ["CONTROL_URL or PORT is wrong"]) }
        return RelayConfiguration(
            relayID: id, relayKey: key, region: region, listen: listen, publicEndpoint: endpoint,
            meshAddress: mesh, sharedEntry: sharedEntry, controlURL: control, redisURL: redis,
            httpAddress: http, metricsToken: token, stateDirectory: settings.optional("STATE_DIR"),
            ticketKeys: keys, tlsCertificateFile: certificate, tlsKeyFile: tlsKey, loops: loops,
            parked: parked, drain_s: drain, drainNotice_s: notice, usage_s: usage)
    }

    /// `auto:PORT` is the machine's own address in the private network, with a port that it listens at.
    private static func meshAddress(_ settings: inout Settings, listen: [SocketAddress]) -> String? {
        guard let text = settings.optional("RELAY_MESH_ADDRESS") else { return nil }
        guard let endpoint = Endpoint(text) else {
            settings.reject(
                "RELAY_MESH_ADDRESS is \"\(text)\": it must be HOST:PORT as the region's other relays dial it"
            )
            return text
        }
        guard endpoint.host == "auto" else { return text }
        if !listen.contains(where: { $0.port == endpoint.port }) {
            settings.reject(
                "RELAY_MESH_ADDRESS is \"\(text)\", and RELAY_LISTEN has no address with that port")
        }
        guard let own = OwnAddress.find(port: endpoint.port) else {
            settings.reject("RELAY_MESH_ADDRESS is \"\(text)\", and this machine has no address but loopback")
            return text
        }
        return own.description
    }

    private static func url(_ settings: inout Settings) -> HTTPURL? {
        let text = settings.required(
            "CONTROL_URL", "where the control plane answers, for example https://api.example.com")
        guard !text.isEmpty else { return nil }
        let trimmed = text.hasSuffix("/") ? String(text.dropLast()) : text
        guard let url = HTTPURL(trimmed) else {
            settings.reject("CONTROL_URL is \"\(text)\": it must be an http:// or https:// address")
            return nil
        }
        return url
    }

    private static func addresses(_ settings: inout Settings) -> [SocketAddress] {
        let text = settings.string("RELAY_LISTEN", default: "[::]:25565,[::]:7000")
        var addresses: [SocketAddress] = []
        for part in text.split(separator: ",") {
            if let address = SocketAddress(String(part)) {
                addresses.append(address)
            } else {
                settings.reject(
                    "RELAY_LISTEN has \"\(part)\": each part must be IP:PORT, for example [::]:25565")
            }
        }
        if addresses.isEmpty { settings.reject("RELAY_LISTEN names no address: give at least one IP:PORT") }
        return addresses
    }

    private static func httpAddress(_ settings: inout Settings) -> SocketAddress? {
        let host = settings.string("HTTP_HOST", default: "::")
        let port = settings.integer("PORT", default: 8081, in: 0...65535)
        guard let address = SocketAddress(host: host, port: port) else {
            settings.reject("HTTP_HOST is \"\(host)\": it must be an IP address")
            return nil
        }
        return address
    }

    private static func redis(_ settings: inout Settings) -> RedisURL? {
        guard let text = settings.secret("REDIS_URL") else { return nil }
        guard let url = RedisURL(text) else {
            settings.reject("REDIS_URL is not an address like redis://user:password@host:6379")
            return nil
        }
        return url
    }

    private static func ticketKeys(_ settings: inout Settings) -> VerificationKeys? {
        guard let text = settings.optional("TICKET_PUBLIC_KEYS") else { return nil }
        guard let json = try? JSON.parse(text), let keys = try? VerificationKeys(jwks: json) else {
            settings.reject(
                "TICKET_PUBLIC_KEYS is not a JWK set: copy the control plane's /.well-known/jwks.json")
            return nil
        }
        return keys
    }
}
