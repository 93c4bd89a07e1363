import Core
import Domain
import Store

/// How a customer goes: with everything that is theirs, and leaving nothing behind that opens anything.
enum AccountLeavingRoutes {
    static let all = [
        Route(
            "GET", "/v1/account/export", .people(.accountWrite), limit: exports,
            gives: .ok(Schemas.export, headers: ["Content-Disposition"]),
            "Everything that is kept of the account, without secrets."
        ) { api, call in
            try await export(api, call)
        },
        Route(
            "POST", "/v1/account/deletion", .people(.accountWrite), limit: .signIn,
            takes: .body(["password": Schemas.password]), gives: .ok(Schemas.message),
            problems: [403: ["wrong-password"], 409: ["bill-open", "other-owners"]],
            "Deletes the account with its tunnels, keys and members. There is no way back."
        ) { api, call in
            try await delete(api, call)
        },
    ]

    /// Each reads all that there is.
    private static let exports = RateLimit("exports", quota: 20, window_s: 3600)

    private static func export(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        guard let export = try await api.store.export(try call.account) else { throw Problem.notFound }
        var object: JSONObject = ["exported_at": .string(WallTime.now().rfc3339)]
        for section in export.sections {
            object[section.name] =
                section.name == "account" ? section.rows.first ?? .null : .array(section.rows)
        }
        object["cut"] = .array(export.cut.map { .string($0) })
        var reply = Reply.json(200, .object(object))
        reply.headers = [("Content-Disposition", "attachment; filename=\"minecart-account.json\"")]
        return reply
    }

    private static func delete(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.body()
        let password = fields.password("password")
        try fields.finish()
        let person = try await api.confirmed(call, password: password)
        let mails = api.mails { _ in
            DeletionMails(owner: { .accountDeleted(to: $0) }, member: { .membershipEnded(to: $0) })
        }
        switch try await api.store.deleteAccount(
            try call.account, by: person.id, actor: call.actor, mails: mails)
        {
        case .gone: throw Problem.notFound
        case .billed:
            throw Problem.conflict(
                "bill-open",
                """
                There is a subscription: cancel it first, and settle what is open, in the billing portal \
                (POST /v1/billing/portal). The account can be deleted once the subscription has ended.
                """)
        case .shared:
            throw Problem.conflict(
                "other-owners",
                """
                This account has other owners: it is theirs too. Leave it instead, or make them members of another \
                role first.
                """)
        case .done:
            return .json(200, ["message": "The account is deleted. Thank you for having been here."])
        }
    }
}
