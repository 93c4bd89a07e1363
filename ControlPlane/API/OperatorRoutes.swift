import Core
import Crypto
import Domain
import Reconcilers
import Store
import Wire

/// What only operators may do.
enum OperatorRoutes {
    static let all = [
        Route(
            "POST", "/v1/ops/accounts", .operators(.operator),
            takes: .body(
                ["email": Schemas.email, "password": Schemas.newPassword], optional: ["plan": Schemas.plan]),
            gives: .created(
                .object([
                    "account_id": .id(AccountID.self), "api_key": Schemas.secret("mck_"),
                    "agent_key": Schemas.secret("mca_"),
                ])), problems: [409: ["email-taken"]],
            "Makes an account with a user, an API key and an agent key."
        ) {
            api, call in try await createAccount(api, call)
        },
        Route(
            "POST", "/v1/ops/relay-keys", .operators(.operator),
            takes: .body(["region": Schemas.region], optional: ["name": Schemas.keyName]),
            gives: .created(.object(["id": .id(RelayKeyID.self), "key": Schemas.secret("mcr_")])),
            "Makes a key for relays; a new region begins to exist."
        ) {
            api, call in try await createRelayKey(api, call)
        },
        Route(
            "GET", "/v1/ops/relays", .operators(.readOnly), gives: .list(of: Schemas.relay),
            "Lists the relays with their load."
        ) { api, call in
            try await relays(api, call)
        },
        Route(
            "POST", "/v1/ops/relays/{id}/drain", .operators(.operator), gives: .ok(Schemas.relay),
            problems: [409: ["relay-lost"]],
            "Empties a relay: its tunnels move to others, players stay until they leave, then it ends."
        ) { api, call in
            try await drain(api, call)
        },
        Route(
            "GET", "/v1/ops/tunnels", .operators(.readOnly),
            query: Schemas.page(["hostname": Schemas.hostname]),
            gives: .list(of: Schemas.operatorTunnel), "Lists all tunnels with their places."
        ) { api, call in
            try await tunnels(api, call)
        },
    ]

    private static func createAccount(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let email = fields.email("email")
        let password = fields.newPassword("password", email: email)
        let plan = fields.optionalText("plan", length: 1...32) ?? "free"
        try fields.finish()
        let hash = try await api.passwords.hash(password)
        let apiKey = TypedKey.generate(prefix: .account)
        let agentKey = TypedKey.generate(prefix: .agent)
        let account = try await api.store.createAccount(
            email: email, passwordHash: hash, plan: plan, apiKeyHash: apiKey.hash,
            agentKeyHash: agentKey.hash,
            actor: call.actor)
        return .json(
            201,
            [
                "account_id": .string(account.text), "api_key": .string(apiKey.text),
                "agent_key": .string(agentKey.text),
            ])
    }

    private static func createRelayKey(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let region = fields.text("region", length: 1...15)
        if !region.isEmpty, !RegionName.isValid(region) {
            fields.reject(
                "region",
                "must be small letters, digits and dashes, beginning with a letter, such as eu or us-east")
        }
        let name = fields.optionalText("name", length: 1...100)
        try fields.finish()
        let key = TypedKey.generate(prefix: .relay)
        let id = RelayKeyID.new()
        try await api.store.ensureRegion(region, name: region, actor: call.actor)
        try await api.store.createRelayKey(
            id, name: name ?? "relays of \(region)", hash: key.hash, actor: call.actor)
        return .json(201, ["id": .string(id.text), "key": .string(key.text)])
    }

    private static func relays(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        let relays = try await api.store.allRelays()
        let loads = api.loads.current
        let now = Instant.now()
        return .list(relays.map { $0.json(loads, now: now) }, nextCursor: nil)
    }

    private static func drain(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        guard let relay = try await api.store.drainRelay(call.parameters["id"] ?? "", actor: call.actor)
        else {
            throw Problem.notFound
        }
        return .json(200, relay.json(api.loads.current, now: .now()))
    }

    private static func tunnels(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.query()
        let page = fields.page()
        let hostname = fields.optionalText("hostname", length: 1...253)
        try fields.finish()
        let tunnels = try await api.store.allTunnels(page, hostname: hostname)
        return .list(tunnels.items.map(\.operatorJSON), nextCursor: tunnels.nextCursor)
    }
}
