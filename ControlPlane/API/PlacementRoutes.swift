import Core
import Domain
import Reconcilers
import Store
import Wire

/// Where an agent gets its relay from.
enum PlacementRoutes {
    static let all = [
        Route(
            "POST", "/v1/tunnels/{id}/placements", .agents,
            takes: .body(
                ["session": Schemas.word],
                optional: ["exclude": .list(of: .text("relay-1", 1...64), max: 32)]),
            gives: .created(Schemas.placement),
            problems: [403: ["suspended"], 409: ["session-replaced"], 503: ["busy", "region-full"]],
            "Places a tunnel for an agent session. The same session gets the same placement with a fresh ticket."
        ) { api, call in try await place(api, call) }
    ]

    private static func place(_ api: API, _ call: Call) async throws -> Reply {
        guard case .agent(let key, let account, let hasPriority) = call.caller else {
            throw Problem.unauthenticated
        }
        let tunnel: TunnelID = try call.id()
        var fields = try call.body()
        let session = fields.word("session")
        let exclude = fields.texts("exclude", maxCount: 32, length: 1...64)
        try fields.finish()

        let placement = try await api.admission.run(hasPriority: hasPriority, isGone: call.isAbandoned) {
            try await api.counting {
                try await api.store.place(
                    tunnel: tunnel, account: account, agentKey: key, session: session,
                    excluding: Set(exclude)
                ) { api.loads.decide($0) }
            }
        }
        guard let placement else { throw Problem.notFound }
        let now = WallTime.now()
        let signing = try api.keys.ring.signing
        func ticket(_ role: Ticket.Role, at relay: RelayInfo) -> JSON {
            let ticket = Ticket(
                relay: relay.id, tunnel: tunnel.text, account: account.text, session: session,
                agentKey: key.text, generation: placement.generation, role: role, region: placement.region,
                hostnames: placement.hostnames, limits: placement.limits, issuedAt: now)
            return .string(ticket.signed(with: signing))
        }
        func entry(_ relay: RelayInfo) -> JSONObject {
            [
                "id": .string(relay.id), "endpoint": .string(relay.endpoint),
                "fingerprint": .string(relay.fingerprint),
            ]
        }
        var standby: JSON = .null
        if let relay = placement.standby {
            var object = entry(relay)
            object["ticket"] = ticket(.standby, at: relay)
            standby = .object(object)
        }
        return .json(
            201,
            [
                "generation": .integer(Int64(placement.generation)), "session": .string(session),
                "ticket": ticket(.owner, at: placement.relay),
                "expires_in_s": .integer(Ticket.lifetime_s), "relay": .object(entry(placement.relay)),
                "standby": standby,
            ])
    }
}

extension API {
    fileprivate func counting<Value>(_ work: () async throws -> Value) async throws -> Value {
        do {
            return try await work()
        } catch StoreError.regionFull(let region) {
            foundNoRoom.add()
            throw StoreError.regionFull(region)
        } catch StoreError.noRelay(let region) {
            foundNoRelay.add()
            throw StoreError.noRelay(region: region)
        }
    }
}
