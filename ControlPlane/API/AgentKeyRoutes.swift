import Core
import Crypto
import Domain
import Store

/// The keys that agents identify themselves with.
enum AgentKeyRoutes {
    static let all = [
        Route(
            "POST", "/v1/agent-keys", .account(.keysWrite), idempotency: .holdsSecret,
            takes: .body([:], optional: ["name": Schemas.keyName]), gives: .created(Schemas.newAgentKey),
            problems: [409: ["too-many-keys"]],
            "Makes an agent key, which reads and writes tunnels: its maker may, too. The key is shown once."
        ) { api, call in
            try await create(api, call)
        },
        Route(
            "GET", "/v1/agent-keys", .account(.keysRead), query: Schemas.page(),
            gives: .list(of: Schemas.agentKey),
            "Lists the account's agent keys."
        ) { api, call in
            try await list(api, call)
        },
        Route(
            "DELETE", "/v1/agent-keys/{id}", .account(.keysWrite), gives: .nothing,
            "Revokes an agent key: its tunnels go offline."
        ) {
            api, call in
            try await revoke(api, call)
        },
    ]

    private static func create(_ api: API, _ call: Call) async throws -> Reply {
        let account = try call.account
        var fields = try call.body()
        let name = fields.optionalText("name", length: 1...100) ?? "agent"
        try fields.finish()
        let excess = Scope.words(Scope.ofAgents.subtracting(call.caller.scopes))
        guard excess.isEmpty else {
            throw Problem.forbidden(
                """
                An agent key cannot do more than its maker, and you lack \(excess.joined(separator: ", ")): ask \
                someone who has that.
                """)
        }
        let key = TypedKey.generate(prefix: .agent)
        let made = try await api.store.createAgentKey(
            AgentKeyID.new(), account: account, name: name, hash: key.hash, actor: call.actor)
        return .json(
            201,
            [
                "id": .string(made.id.text), "name": .string(made.name), "key": .string(key.text),
                "created_at": .string(made.createdAt.rfc3339),
            ])
    }

    private static func list(_ api: API, _ call: Call) async throws -> Reply {
        let account = try call.account
        var fields = try call.query()
        let page = fields.page()
        try fields.finish()
        let keys = try await api.store.agentKeys(of: account, page)
        return .list(keys.items.map(\.json), nextCursor: keys.nextCursor)
    }

    private static func revoke(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        guard
            try await api.store.revokeAgentKey(
                try call.id(), account: try call.account, actor: call.actor)
        else { throw Problem.notFound }
        return .noContent
    }
}
