import Core
import Domain
import Store

/// What passed through tunnels, for those who pay for it and for operators.
enum UsageRoutes {
    static let all = [
        Route(
            "GET", "/v1/usage", .account(.usageRead), query: query(UsageGrouping.self),
            gives: .list(of: Schemas.usage),
            "Shows what passed through the account's tunnels, those that were deleted included."
        ) { api, call in
            try await ofAccount(try call.account, api, call)
        },
        Route(
            "GET", "/v1/tunnels/{id}/usage", .account(.usageRead), query: query(UsageGrouping.OfOne.self),
            gives: .list(of: Schemas.usage),
            "Shows what passed through one tunnel, which may be deleted."
        ) { api, call in
            try await ofTunnel(api, call)
        },
        Route(
            "GET", "/v1/ops/accounts/{id}/usage", .operators(.readOnly), query: query(UsageGrouping.self),
            gives: .list(of: Schemas.usage),
            "Shows what passed through an account's tunnels."
        ) { api, call in
            try await ofAccount(try call.id(), api, call)
        },
    ]

    private static func query<Grouping: CaseIterable & RawRepresentable<String>>(_ type: Grouping.Type)
        -> Schema
    {
        Schemas.page([
            "from": Schema.time.like("2026-11-01T00:00:00Z").about(
                "The hour to begin with; by default the first of to's month, in UTC."),
            "to": Schema.time.like("2026-11-21T12:00:00Z").about(
                "Hours that begin before it count; by default now."),
            "group_by": Schema.words(type).about("By what it is added up; by default by days, in UTC."),
        ])
    }

    private static func span(_ fields: inout Fields) -> UsageSpan {
        let from = fields.optionalTime("from")
        return UsageSpan(askedFrom: from, to: fields.optionalTime("to"), now: .now())
    }

    private static func ofAccount(_ account: AccountID, _ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.query()
        let span = span(&fields)
        let grouping = fields.optionalWord("group_by", of: UsageGrouping.self) ?? .day
        let page = fields.page()
        try fields.finish()
        return try reply(try await api.store.usage(of: account, in: span, by: grouping, page))
    }

    private static func ofTunnel(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.query()
        let span = span(&fields)
        let grouping = fields.optionalWord("group_by", of: UsageGrouping.OfOne.self) ?? .day
        let page = fields.page()
        try fields.finish()
        return try reply(
            try await api.store.usage(
                of: try call.id(), account: try call.account, in: span, by: grouping, page))
    }

    private static func reply(_ usage: Listing<UsageView>?) throws(Problem) -> Reply {
        guard let usage else { throw .notFound }
        return .list(usage.items.map(\.json), nextCursor: usage.nextCursor)
    }
}

extension UsageView {
    fileprivate var json: JSON {
        [
            "from": .string(span.from.rfc3339), "to": .string(span.to.rfc3339),
            "tunnel": tunnel.map {
                ["id": .string($0.id.text), "hostname": .string($0.hostname), "deleted": .bool($0.isDeleted)]
            } ?? .null,
            "bytes_up": .integer(Int64(bytes_up)), "bytes_down": .integer(Int64(bytes_down)),
            "player_s": .integer(Int64(player_s)),
        ]
    }
}
