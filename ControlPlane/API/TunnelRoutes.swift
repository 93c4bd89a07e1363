import Core
import Domain
import Store
import Wire

/// Tunnels and the regions they can be in.
enum TunnelRoutes {
    static let all = [
        Route(
            "GET", "/v1/regions", .accountOrAgents(.tunnelsRead), gives: .list(of: Schemas.regionEntry),
            "Lists the regions, each with the endpoints to measure it by."
        ) {
            api, call in try await regions(api, call)
        },
        Route(
            "POST", "/v1/tunnels", .accountOrAgents(.tunnelsWrite), idempotency: .replayed,
            takes: .body(["region": Schemas.region], optional: ["name": Schemas.label]),
            gives: .created(Schemas.tunnel, headers: ["Location"]),
            problems: [403: ["plan-limit", "suspended"], 409: ["name-taken"]],
            "Makes a tunnel; without a name one is made up."
        ) {
            api, call in
            try await create(api, call)
        },
        Route(
            "GET", "/v1/tunnels", .accountOrAgents(.tunnelsRead), query: Schemas.page(),
            gives: .list(of: Schemas.tunnel),
            "Lists the account's tunnels."
        ) { api, call in
            try await list(api, call)
        },
        Route(
            "GET", "/v1/tunnels/{id}", .accountOrAgents(.tunnelsRead), gives: .ok(Schemas.tunnel),
            "Shows one tunnel."
        ) {
            api, call in
            try call.refuseInput()
            return .json(200, try await find(api, call).json)
        },
        Route(
            "DELETE", "/v1/tunnels/{id}", .account(.tunnelsWrite), gives: .nothing,
            "Deletes a tunnel; its name becomes free."
        ) {
            api, call in
            try await delete(api, call)
        },
    ]

    private static func regions(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        let regions = try await api.store.regions()
        return .list(
            regions.map { region in
                [
                    "id": .string(region.id), "name": .string(region.name),
                    "endpoints": .array(region.endpoints.map { .string($0) }),
                ]
            }, nextCursor: nil)
    }

    private static func create(_ api: API, _ call: Call) async throws -> Reply {
        let account = try call.account
        var fields = try call.body()
        let region = fields.text("region", length: 1...32)
        let name = fields.optionalText("name", length: 1...63)
        try fields.finish()
        let tunnel = try await api.store.createTunnel(
            account: account, region: region, label: name, baseDomain: api.settings.baseDomain,
            actor: call.actor)
        return .json(201, tunnel.json)
    }

    private static func list(_ api: API, _ call: Call) async throws -> Reply {
        let account = try call.account
        var fields = try call.query()
        let page = fields.page()
        try fields.finish()
        let tunnels = try await api.store.tunnels(of: account, page)
        return .list(tunnels.items.map(\.json), nextCursor: tunnels.nextCursor)
    }

    private static func find(_ api: API, _ call: Call) async throws -> TunnelView {
        guard let tunnel = try await api.store.tunnel(try call.id(), account: try call.account) else {
            throw Problem.notFound
        }
        return tunnel
    }

    private static func delete(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        guard
            try await api.store.deleteTunnel(
                try call.id(), account: try call.account, actor: call.actor)
        else { throw Problem.notFound }
        return .noContent
    }
}
