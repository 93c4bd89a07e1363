import Core
import Crypto
import Domain
import Store

/// The keys of an account's own programs. None can do more than the one who made it.
enum APIKeyRoutes {
    static let all = [
        Route(
            "POST", "/v1/api-keys", .account(.keysWrite), idempotency: .holdsSecret,
            takes: .body([:], optional: ["name": Schemas.keyName, "scopes": Schemas.scopes]),
            gives: .created(Schemas.newAPIKey), problems: [409: ["too-many-keys"]],
            "Makes an API key; without scopes it may do what its maker may. The key is shown once."
        ) { api, call in
            try await create(api, call)
        },
        Route(
            "GET", "/v1/api-keys", .account(.keysRead), query: Schemas.page(),
            gives: .list(of: Schemas.apiKey),
            "Lists the account's API keys."
        ) { api, call in
            try await list(api, call)
        },
        Route(
            "DELETE", "/v1/api-keys/{id}", .account(.keysWrite), gives: .nothing,
            "Revokes an API key: it opens nothing any more."
        ) { api, call in
            try await revoke(api, call)
        },
    ]

    private static func create(_ api: API, _ call: Call) async throws -> Reply {
        let account = try call.account
        var fields = try call.body()
        let name = fields.optionalText("name", length: 1...100) ?? "program"
        let scopes = fields.words("scopes", of: Scope.self) ?? call.caller.scopes
        try fields.finish()
        let excess = Scope.words(scopes.subtracting(call.caller.scopes))
        guard excess.isEmpty else {
            throw Problem.forbidden(
                """
                A key cannot do more than its maker: leave out \(excess.joined(separator: ", ")), or ask someone \
                who has that.
                """)
        }
        let key = TypedKey.generate(prefix: .account)
        let made = try await api.store.createAPIKey(
            APIKeyID.new(), account: account, name: name, scopes: scopes, hash: key.hash, actor: call.actor)
        return .json(
            201,
            [
                "id": .string(made.id.text), "name": .string(made.name), "scopes": made.scopesJSON,
                "key": .string(key.text), "created_at": .string(made.createdAt.rfc3339),
            ])
    }

    private static func list(_ api: API, _ call: Call) async throws -> Reply {
        let account = try call.account
        var fields = try call.query()
        let page = fields.page()
        try fields.finish()
        let keys = try await api.store.apiKeys(of: account, page)
        return .list(keys.items.map(\.json), nextCursor: keys.nextCursor)
    }

    private static func revoke(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        guard
            try await api.store.revokeAPIKey(try call.id(), account: try call.account, actor: call.actor)
        else { throw Problem.notFound }
        return .noContent
    }
}

extension APIKeyView {
    fileprivate var scopesJSON: JSON { .array(Scope.words(scopes).map { .string($0) }) }

    fileprivate var json: JSON {
        [
            "id": .string(id.text), "name": .string(name), "scopes": scopesJSON,
            "created_at": .string(createdAt.rfc3339),
            "last_used_at": lastUsedAt.map { .string($0.rfc3339) } ?? .null,
        ]
    }
}
