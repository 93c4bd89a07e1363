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
        }
    ]
}
