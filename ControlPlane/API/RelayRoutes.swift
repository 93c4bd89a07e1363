import Core
import Crypto
import Domain
import HTTP
import IO
import Reconcilers
import Store
import Wire

/// What relays ask and tell.
enum RelayRoutes {
    static let all = [
        Route(
            "POST", "/v1/relay/registrations", .relays, limit: nil, takes: Schemas.registration,
            gives: .ok(.object(["relay": Schemas.registered, "keys": Schemas.keySet])),
            "A relay says who and where it is."
        ) {
            api, call in
            try await register(api, call)
        },
        Route(
            "GET", "/v1/relay/assignments", .relays, limit: nil,
            query: .object(
                ["region": Schemas.region],
                optional: ["since": .count(0), "epoch": .count(0), "wait": .integer(0...60, 0)]),
            gives: .ok(
                .object(["signed": .text("eyJhbGciOiJFZERTQSJ9.e30.c2ln", 1...AssignmentMessage.maxBytes)])),
            "What follows a revision of a region, signed; with wait, held until there is something."
        ) { api, call in try await assignments(api, call) },
        Route(
            "POST", "/v1/relay/links", .relays, maxBodyBytes: 1 << 20, limit: nil, takes: Schemas.links,
            gives: .nothing,
            "Which agents came and went."
        ) {
            api, call in try await links(api, call)
        },
        Route(
            "POST", "/v1/relay/load", .relays, limit: nil, takes: Schemas.load, gives: .nothing,
            "A relay's load, while Redis is away."
        ) {
            api, call in
            try await load(api, call)
        },
        Route(
            "POST", "/v1/relay/usage", .relays, maxBodyBytes: UsageReport.maxBytes, limit: nil,
            takes: Schemas.usageReport, gives: .nothing,
            "What passed through a relay; a report that comes again is added once."
        ) {
            api, call in
            try await usage(api, call)
        },
    ]

    private static func usage(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let relay = fields.word("relay")
        let report = fields.word("report")
        let from = fields.time("from")
        let to = fields.time("to")
        let rows = fields.usageRows("tunnels", maxCount: UsageReport.maxRows)
        if to < from { fields.reject("to", "must not be before from") }
        let bytes = rows.reduce(0) { $0 + $1.bytes_up + $1.bytes_down }
        let player_s = rows.reduce(0) { $0 + $1.player_s }
        if !RelayCapacity.allows(bytes: bytes, player_s: player_s, interval_s: to.seconds - from.seconds) {
            fields.reject("tunnels", "must not hold more than a relay can move between from and to")
        }
        try fields.finish()
        let over = try await api.store.addUsage(
            UsageReport(relay: relay, id: report, from: from, to: to, rows: rows), now: .now())
        await enforce(over, api)
        return .noContent
    }

    /// The report is added, whatever comes of this: the leader looks after what is left.
    private static func enforce(_ accounts: [AccountID], _ api: API) async {
        do throws(StoreError) {
            for account in accounts.prefix(maxEnforcedAtOnce) {
                try await api.store.enforceQuota(of: account)
            }
        } catch {
            Log("quota").warning("a used-up volume waits for the leader", ["reason": "\(error)"])
        }
    }

    /// A relay waits for its answer meanwhile.
    private static let maxEnforcedAtOnce = 20

    private static let maxWait_s: Int64 = 25
    static let maxLinks = 10_000

    private static func register(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let id = fields.word("id")
        let region = fields.text("region", length: 1...32)
        let endpoint = fields.endpoint("endpoint")
        let mesh = fields.optionalEndpoint("mesh_address")
        let fingerprint = fields.text("fingerprint", length: 64...64)
        let shared = fields.optionalBool("shared_entry") ?? false
        if !fingerprint.isEmpty, Hex.decode(fingerprint) == nil || fingerprint != fingerprint.lowercased() {
            fields.reject("fingerprint", "must be the SHA-256 of the certificate in 64 lower-case hex digits")
        }
        let run = fields.optionalWord("run")
        try fields.finish()
        let (relay, rev) = try await api.store.register(
            RelayInfo(
                id: id, region: region, endpoint: endpoint, meshAddress: mesh, fingerprint: fingerprint,
                sharedEntry: shared), run: run, actor: call.actor)
        return .json(
            200,
            [
                "relay": [
                    "id": .string(id), "state": .string(relay.state.rawValue), "rev": .integer(Int64(rev)),
                ],
                "keys": try api.keys.ring.keys.jwks,
            ])
    }

    private static func assignments(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.query()
        let region = fields.text("region", length: 1...32)
        let since = Int(fields.optionalInteger("since", in: 0...Int64.max) ?? 0)
        let epoch = Int(fields.optionalInteger("epoch", in: 0...Int64.max) ?? 0)
        let wait_s = Int(fields.optionalInteger("wait", in: 0...60) ?? 0)
        try fields.finish()

        let deadline = Instant.now() + .seconds(min(wait_s, Int(maxWait_s)))
        let known = try api.keys.ring.fingerprint
        while true {
            let changes = try await api.store.changes(region: region, since: since, epoch: epoch)
            let left = deadline.since(.now())
            if case .beacon(let beacon) = changes, beacon.epoch == epoch, left.count > 0, !api.draining,
                try api.keys.ring.fingerprint == known
            {
                // Bounded naps, in case the notification was lost with the database's connection.
                await api.watch.wait(region, beyond: since, timeout: min(left, .seconds(2)))
                continue
            }
            let ring = try api.keys.ring
            let told = changes.telling(keys: ring.fingerprint)
            return .json(200, ["signed": .string(told.signed(with: ring.signing))])
        }
    }

    private static func links(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let relay = fields.word("relay")
        let up = fields.links("up", maxCount: maxLinks)
        let down = fields.links("down", maxCount: maxLinks)
        try fields.finish()
        try await api.store.reportLinks(relay: relay, up: up, down: down)
        return .noContent
    }

    private static func load(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        for name in ["relay", "region", "digest"] { _ = fields.optionalText(name, length: 0...256) }
        try fields.finishLeniently()
        guard let json = try? JSON.parse(call.request.body), let report = try? LoadReport(json: json) else {
            throw Problem(422, "invalid", "The body is no load report.")
        }
        api.loads.report(report)
        return .noContent
    }
}

extension Fields {
    /// An id that another program chose: letters, digits, dot, dash, underscore.
    mutating func word(_ name: String) -> String { word(name, text(name, length: 1...64)) }

    mutating func optionalWord(_ name: String) -> String? {
        optionalText(name, length: 1...64).map { word(name, $0) }
    }

    private mutating func word(_ name: String, _ text: String) -> String {
        guard text.utf8.allSatisfy({ Base62.contains($0) || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F }),
            text.isEmpty || text.utf8.first.map(Base62.contains) == true
        else {
            reject(name, "must be 1 to 64 letters, digits, dots, dashes or underscores")
            return ""
        }
        return text
    }

    mutating func time(_ name: String) -> WallTime { time(text(name, length: 10...40), name) }

    mutating func optionalTime(_ name: String) -> WallTime? {
        optionalText(name, length: 10...40).map { time($0, name) }
    }

    private mutating func time(_ text: String, _ name: String) -> WallTime {
        if let time = WallTime(rfc3339: text) { return time }
        if !text.isEmpty { reject(name, "must be a time such as 2026-11-21T12:00:00Z") }
        return WallTime(seconds: 0)
    }

    /// Each count is small enough that all of them together fit into an integer.
    mutating func usageRows(_ name: String, maxCount: Int) -> [UsageReport.Row] {
        let limit: Int64 = 1 << 48
        return objects(name, maxCount: maxCount).compactMap { object in
            guard object.count == 4, let tunnel = object["tunnel"]?.stringValue.flatMap({ TunnelID($0) }),
                let up = object["bytes_up"]?.integerValue, (0...limit).contains(up),
                let down = object["bytes_down"]?.integerValue, (0...limit).contains(down),
                let player_s = object["player_s"]?.integerValue, (0...limit).contains(player_s)
            else {
                reject(name, "must hold objects of tunnel, bytes_up, bytes_down and player_s")
                return nil
            }
            return UsageReport.Row(
                tunnel: tunnel.text, bytes_up: Int(up), bytes_down: Int(down), player_s: Int(player_s))
        }
    }

    mutating func endpoint(_ name: String) -> String {
        let text = text(name, length: 3...300)
        if !text.isEmpty { checkEndpoint(name, text) }
        return text
    }

    mutating func optionalEndpoint(_ name: String) -> String? {
        guard let text = optionalText(name, length: 3...300) else { return nil }
        checkEndpoint(name, text)
        return text
    }

    private mutating func checkEndpoint(_ name: String, _ text: String) {
        guard let endpoint = Endpoint(text), (1...65_535).contains(endpoint.port),
            endpoint.host.utf8.allSatisfy({ Base62.contains($0) || ".-:".utf8.contains($0) }),
            endpoint.host.contains(":") || endpoint.host.utf8.first.map(Base62.contains) == true,
            text == endpoint.description
        else { return reject(name, "must be host:port, with a name or a number as host") }
    }

    mutating func links(_ name: String, maxCount: Int) -> [(tunnel: TunnelID, generation: Int)] {
        objects(name, maxCount: maxCount).compactMap { object in
            guard object.count == 2, let tunnel = object["tunnel"]?.stringValue.flatMap({ TunnelID($0) }),
                let generation = object["generation"]?.integerValue, generation > 0
            else {
                reject(name, "must hold objects of tunnel and generation")
                return nil
            }
            return (tunnel, Int(generation))
        }
    }
}
