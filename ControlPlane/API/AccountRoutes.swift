import Core
import Domain
import Store

/// What a customer may know of the own account.
enum AccountRoutes {
    static let all = [
        Route(
            "GET", "/v1/account", .account(.accountRead), gives: .ok(Schemas.account),
            "Shows the account: its plan, the limits that count and how much of them is used."
        ) {
            api, call in
            try call.refuseInput()
            guard let account = try await api.store.account(try call.account) else { throw Problem.notFound }
            return .json(200, account.json)
        },
        Route(
            "PATCH", "/v1/account", .account(.accountWrite),
            takes: .body([:], optional: ["name": Schemas.accountName]), gives: .ok(Schemas.account),
            "Names the account for those who belong to several; null takes the name away."
        ) { api, call in
            try await rename(api, call)
        },
    ]

    private static func rename(_ api: API, _ call: Call) async throws -> Reply {
        let id = try call.account
        var fields = try call.body()
        let isNameless = fields.isNull("name")
        let name = fields.optionalText("name", length: 1...60)
        try fields.finish()
        if name != nil || isNameless {
            guard try await api.store.rename(id, name, actor: call.actor) else { throw Problem.notFound }
        }
        guard let account = try await api.store.account(id) else { throw Problem.notFound }
        return .json(200, account.json)
    }
}
