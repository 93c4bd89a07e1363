import Core
import Domain
import Store

/// Where people are signed in, and how they end it. Signing in itself is in `UserRoutes`.
enum SessionRoutes {
    static let all = [
        Route(
            "GET", "/v1/sessions", .people(nil), query: Schemas.page(), gives: .list(of: Schemas.signIn),
            "Lists where the one who asks is signed in, oldest first."
        ) { api, call in
            try await list(api, call)
        },
        Route(
            "DELETE", "/v1/sessions", .people(nil), query: .object([:], optional: ["keep": kept]),
            gives: .nothing, "Ends every sign-in of the one who asks, or all but this one."
        ) { api, call in
            try await endAll(api, call)
        },
        Route(
            "DELETE", "/v1/sessions/current", .people(nil), gives: .nothing,
            "Signs out: the refresh token is void."
        ) { api, call in try await signOut(api, call) },
        Route(
            "DELETE", "/v1/sessions/{id}", .people(nil), gives: .nothing,
            "Ends one sign-in: its tokens open nothing any more."
        ) { api, call in
            try await end(api, call)
        },
    ]

    private static let kept = Schema.words("current").about("current: this sign-in stays.")

    private static func list(_ api: API, _ call: Call) async throws -> Reply {
        let person = try call.person
        var fields = try call.query()
        let page = fields.page()
        try fields.finish()
        let found = try await api.store.signIns(of: person.user, page)
        return .list(
            found.items.map { $0.json(isCurrent: $0.id == person.signIn) }, nextCursor: found.nextCursor)
    }

    private static func endAll(_ api: API, _ call: Call) async throws -> Reply {
        let person = try call.person
        var fields = try call.query()
        let keep = fields.optionalText("keep")
        if let keep, keep != "current" { fields.reject("keep", "must be current, or be left out") }
        try fields.finish()
        try call.body().finish()
        try await api.store.closeSessions(
            of: person.user, except: keep == nil ? nil : person.signIn, actor: call.actor)
        return .noContent
    }

    private static func signOut(_ api: API, _ call: Call) async throws -> Reply {
        let person = try call.person
        try call.refuseInput()
        try await api.store.closeSession(person.signIn, user: person.user, actor: call.actor)
        return .noContent
    }

    private static func end(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        guard
            try await api.store.closeSession(
                try call.id(), user: try call.person.user, actor: call.actor)
        else { throw Problem.notFound }
        return .noContent
    }
}

extension SignInView {
    fileprivate func json(isCurrent: Bool) -> JSON {
        [
            "id": .string(id.text), "account_id": .string(account.text), "current": .bool(isCurrent),
            "address": place.address.map { .string($0) } ?? .null,
            "user_agent": place.userAgent.map { .string($0) } ?? .null,
            "created_at": .string(createdAt.rfc3339), "last_used_at": .string(lastUsedAt.rfc3339),
            "expires_at": .string(expiresAt.rfc3339),
        ]
    }
}
