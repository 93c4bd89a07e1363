import Core
import Crypto
import Domain
import Store

/// The keys of those who run this Minecart, each with a role.
enum OperatorKeyRoutes {
    static let all = [
        Route(
            "POST", "/v1/ops/operator-keys", .operators(.operator), idempotency: .holdsSecret,
            takes: .body(["name": Schemas.keyName, "role": .words(OperatorRole.self)]),
            gives: .created(Schemas.newOperatorKey),
            "Makes an operator's key. The key is shown once."
        ) { api, call in
            try await create(api, call)
        },
        Route(
            "GET", "/v1/ops/operator-keys", .operators(.operator), gives: .list(of: Schemas.operatorKey),
            "Lists the operators' keys."
        ) { api, call in
            try call.refuseInput()
            return .list(try await api.store.operatorKeys().map(\.json), nextCursor: nil)
        },
        Route(
            "DELETE", "/v1/ops/operator-keys/{id}", .operators(.operator), gives: .nothing,
            "Revokes an operator's key: it opens nothing any more."
        ) { api, call in
            try call.refuseInput()
            guard try await api.store.revokeOperatorKey(try call.id(), actor: call.actor) else {
                throw Problem.notFound
            }
            return .noContent
        },
    ]

    private static func create(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let name = fields.text("name", length: 1...100)
        let word = fields.text("role", length: 1...32)
        let role = OperatorRole(rawValue: word)
        if !word.isEmpty, role == nil {
            let roles = OperatorRole.allCases.map(\.rawValue).joined(separator: ", ")
            fields.reject("role", "must be one of \(roles)")
        }
        try fields.finish()
        let key = TypedKey.generate(prefix: .operator)
        let made = try await api.store.createOperatorKey(
            OperatorKeyID.new(), name: name, role: role ?? .readOnly, hash: key.hash, actor: call.actor)
        return .json(
            201,
            [
                "id": .string(made.id.text), "name": .string(made.name), "role": .string(made.role.rawValue),
                "key": .string(key.text), "created_at": .string(made.createdAt.rfc3339),
            ])
    }
}

extension OperatorKeyView {
    fileprivate var json: JSON {
        [
            "id": .string(id.text), "name": .string(name), "role": .string(role.rawValue),
            "created_at": .string(createdAt.rfc3339),
            "last_used_at": lastUsedAt.map { .string($0.rfc3339) } ?? .null,
        ]
    }
}
