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
            problems: [403: ["suspended"], 409: ["session-replaced"]],
            "Places a tunnel for an agent session. The same session gets the same placement with a fresh ticket."
        ) { api, call in try await place(api, call) }
    ]

    private static func place(_ api: API, _ call: Call) async throws -> Reply {
        guard case .agent(let key, let account) = call.caller else { throw Problem.unauthenticated }
        let tunnel: TunnelID = try call.id()
        var fields = try call.body()
        let session = fields.word("session")
        let exclude = fields.texts("exclude", maxCount: 32, length: 1...64)
        try fields.finish()

        let placement = try await api.store.place(
            tunnel: tunnel, account: account, agentKey: key, session: session, excluding: Set(exclude)
        ) { candidates in
            api.loads.place(among: candidates, avoiding: Set(exclude))
        }
        guard let placement else { throw Problem.notFound }
        let now = WallTime.now()
        let ticket = Ticket(
            relay: placement.relay.id, tunnel: tunnel.text, account: account.text, session: session,
            agentKey: key.text, generation: placement.generation, region: placement.region,
            hostnames: placement.hostnames,
            limits: placement.limits, issuedAt: now)
        return .json(
            201,
            [
                "generation": .integer(Int64(placement.generation)), "session": .string(session),
                "ticket": .string(ticket.signed(with: try api.keys.ring.signing)),
                "expires_in_s": .integer(Ticket.lifetime_s),
                "relay": [
                    "id": .string(placement.relay.id), "endpoint": .string(placement.relay.endpoint),
                    "fingerprint": .string(placement.relay.fingerprint),
                ],
                "standby": .null,
            ])
    }
}
