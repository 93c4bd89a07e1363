import Core
import Domain
import Store

/// Who belongs to an account, as what, and to which accounts somebody belongs.
enum MemberRoutes {
    static let all = [
        Route(
            "GET", "/v1/accounts", .people(nil), query: Schemas.page(), gives: .list(of: Schemas.membership),
            "Lists the accounts that the one who is signed in belongs to."
        ) { api, call in
            try await accounts(api, call)
        },
        Route(
            "GET", "/v1/members", .account(.accountRead), query: Schemas.page(),
            gives: .list(of: Schemas.member), "Lists the account's members."
        ) { api, call in
            try await list(api, call)
        },
        Route(
            "GET", "/v1/members/{id}", .account(.accountRead), gives: .ok(Schemas.member), "Shows a member."
        ) { api, call in
            try call.refuseInput()
            guard let member = try await api.store.member(try call.id(), of: try call.account) else {
                throw Problem.notFound
            }
            return .json(200, member.json)
        },
        Route(
            "PATCH", "/v1/members/{id}", .account(.membersWrite),
            takes: .body(["role": .words(Role.self)], optional: ["password": password]),
            gives: .ok(Schemas.member),
            problems: [403: ["wrong-password"], 409: ["last-owner"]],
            """
            Gives a member another role, none that may do more than the caller. Making somebody an owner, or an owner \
            something else, takes the caller's password.
            """
        ) { api, call in
            try await change(api, call)
        },
        Route(
            "DELETE", "/v1/members/{id}", .account(.membersWrite),
            query: .object(
                [:],
                optional: [
                    "keys": .words(KeysLeft.self)
                        .about("What becomes of the keys that the member made; they are revoked if not kept.")
                ]),
            gives: .nothing, problems: [409: ["last-owner", "is-owner"]],
            "Removes a member: sign-ins for the account, invitations and keys of theirs end with it."
        ) { api, call in
            try await remove(api, call)
        },
        Route(
            "POST", "/v1/account/leave", .people(nil), gives: .nothing, problems: [409: ["last-owner"]],
            "Leaves the account. Keys that one made for it are revoked."
        ) { api, call in
            let person = try call.person
            try call.refuseInput()
            guard try await api.store.leave(person.account, user: person.user, actor: call.actor) else {
                throw Problem.notFound
            }
            return .noContent
        },
        Route(
            "POST", "/v1/account/transfer", .people(.accountWrite), limit: .signIn,
            takes: .body(["member_id": .id(UserID.self), "password": password]), gives: .ok(Schemas.member),
            problems: [403: ["wrong-password"], 404: ["not-found"]],
            "Makes another member the account's owner and the caller an admin. Every owner is mailed."
        ) { api, call in
            try await transfer(api, call)
        },
    ]

    private static let password = Schemas.password.about("The caller's own.")

    private static func accounts(_ api: API, _ call: Call) async throws -> Reply {
        let person = try call.person
        var fields = try call.query()
        let page = fields.page()
        try fields.finish()
        let accounts = try await api.store.accounts(of: person.user, page)
        return .list(
            accounts.items.map { $0.json(isCurrent: $0.account == person.account) },
            nextCursor: accounts.nextCursor)
    }

    private static func list(_ api: API, _ call: Call) async throws -> Reply {
        let account = try call.account
        var fields = try call.query()
        let page = fields.page()
        try fields.finish()
        let members = try await api.store.members(of: account, page)
        return .list(members.items.map(\.json), nextCursor: members.nextCursor)
    }

    private static func change(_ api: API, _ call: Call) async throws -> Reply {
        let account = try call.account
        var fields = try call.body()
        let wanted = fields.word("role", of: Role.self)
        let password = fields.optionalText("password", length: 1...256)
        try fields.finish()
        guard let role = wanted, let member = try await api.store.member(try call.id(), of: account) else {
            throw Problem.notFound
        }
        if role != member.role, role == .owner || member.role == .owner {
            guard case .user(let person) = call.caller else {
                throw Problem.forbidden(
                    "Owners are made and unmade by people who are signed in, not by keys.")
            }
            guard person.scopes.isSuperset(of: Role.owner.scopes) else {
                throw Problem.forbidden("Only an owner may make an owner, or an owner something else.")
            }
            if member.user != person.user {
                guard let password else {
                    throw Problem.invalid([.init("/password", "is required when it is about an owner")])
                }
                _ = try await api.confirmed(call, password: password)
            }
        }
        guard
            let changed = try await api.store.setRole(
                role, of: member.user, account: account, actor: call.actor)
        else { throw Problem.notFound }
        return .json(200, changed.json)
    }

    private static func remove(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.query()
        let keys = fields.optionalWord("keys", of: KeysLeft.self) ?? .revoke
        try fields.finish()
        try call.body().finish()
        guard
            try await api.store.removeMember(
                try call.id(), account: try call.account, keys: keys, actor: call.actor)
        else { throw Problem.notFound }
        return .noContent
    }

    private static func transfer(_ api: API, _ call: Call) async throws -> Reply {
        let person = try call.person
        var fields = try call.body()
        let wanted: UserID? = fields.id("member_id")
        let password = fields.password("password")
        if wanted == person.user { fields.reject("member_id", "must be another member") }
        try fields.finish()
        _ = try await api.confirmed(call, password: password)
        guard let wanted,
            let owner = try await api.store.transfer(
                person.account, from: person.user, to: wanted, actor: call.actor)
        else { throw Problem.notFound }
        return .json(200, owner.json)
    }
}

extension MemberView {
    var json: JSON {
        [
            "id": .string(user.text), "email": .string(email), "role": .string(role.rawValue),
            "surplus": .bool(isSurplus), "joined_at": .string(joinedAt.rfc3339),
        ]
    }
}

extension MembershipView {
    fileprivate func json(isCurrent: Bool) -> JSON {
        [
            "id": .string(account.text), "name": name.map { .string($0) } ?? .null, "plan": .string(plan),
            "role": .string(role.rawValue), "members": .integer(Int64(members)),
            "surplus": .bool(isSurplus), "current": .bool(isCurrent),
        ]
    }
}
