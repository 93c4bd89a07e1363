import Core
import Domain
import Reconcilers
import Store

/// Customers' own names for their tunnels.
enum DomainRoutes {
    static let all = [
        Route(
            "POST", "/v1/tunnels/{id}/domains", .account(.tunnelsWrite), idempotency: .replayed,
            takes: .body(["hostname": Schemas.ownHostname]),
            gives: .created(Schemas.domain, headers: ["Location"]),
            problems: [
                403: ["plan-limit", "suspended"],
                409: ["domain-attached", "domain-taken", "too-many-domains"],
            ],
            "Attaches an own name to a tunnel and answers with the DNS records to set. It is served once proven."
        ) {
            api, call in try await add(api, call)
        },
        Route(
            "GET", "/v1/tunnels/{id}/domains", .account(.tunnelsRead), query: Schemas.page(),
            gives: .list(of: Schemas.domain),
            "Lists a tunnel's own names."
        ) {
            api, call in try await list(api, call)
        },
        Route(
            "GET", "/v1/tunnels/{id}/domains/{domain_id}", .account(.tunnelsRead),
            gives: .ok(Schemas.domain),
            "Shows one own name and its DNS records."
        ) {
            api, call in
            try call.refuseInput()
            return .json(200, try await find(api, call).json)
        },
        Route(
            "POST", "/v1/tunnels/{id}/domains/{domain_id}/check", .account(.tunnelsWrite),
            limit: .domainChecks, gives: .ok(Schemas.domainCheck),
            "Looks the proof up now and says what was found and what was expected. When name servers give no usable"
                + " answer, the result is unavailable and nothing is changed."
        ) {
            api, call in try await check(api, call)
        },
        Route(
            "DELETE", "/v1/tunnels/{id}/domains/{domain_id}", .account(.tunnelsWrite), gives: .nothing,
            "Detaches an own name: players do not get in by it any more."
        ) {
            api, call in
            try call.refuseInput()
            guard
                try await api.store.deleteDomain(
                    try call.id("domain_id"), tunnel: try call.id(), account: try call.account,
                    actor: call.actor)
            else { throw Problem.notFound }
            return .noContent
        },
    ]

    private static func add(_ api: API, _ call: Call) async throws -> Reply {
        let account = try call.account
        let tunnel: TunnelID = try call.id()
        var fields = try call.body()
        let hostname = fields.ownHostname("hostname", baseDomain: api.settings.baseDomain)
        try fields.finish()
        guard let hostname,
            let domain = try await api.store.addDomain(
                hostname, tunnel: tunnel, account: account, actor: call.actor)
        else { throw Problem.notFound }
        var reply = Reply.json(201, domain.json)
        reply.headers = [("Location", "/v1/tunnels/\(tunnel)/domains/\(domain.id)")]
        return reply
    }

    private static func list(_ api: API, _ call: Call) async throws -> Reply {
        var fields = try call.query()
        let page = fields.page()
        try fields.finish()
        guard let domains = try await api.store.domains(of: try call.id(), account: try call.account, page)
        else { throw Problem.notFound }
        return .list(domains.items.map(\.json), nextCursor: domains.nextCursor)
    }

    private static func find(_ api: API, _ call: Call) async throws -> DomainView {
        guard
            let domain = try await api.store.domain(
                try call.id("domain_id"), tunnel: try call.id(), account: try call.account)
        else { throw Problem.notFound }
        return domain
    }

    private static func check(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        let domain = try await find(api, call)
        guard
            let report = try await api.domains.check(
                domain.id, hostname: domain.hostname, account: domain.account, actor: call.actor)
        else { throw Problem.notFound }
        return .json(200, report.json)
    }
}

extension Fields {
    /// nil when it was rejected.
    mutating func ownHostname(_ name: String, baseDomain: String) -> OwnHostname? {
        let text = text(name, length: 1...255)
        guard !text.isEmpty else { return nil }
        do throws(OwnHostname.Problem) {
            return try OwnHostname(text, baseDomain: baseDomain)
        } catch {
            reject(name, error.description)
            return nil
        }
    }
}

extension DomainView {
    var json: JSON {
        [
            "id": .string(id.text), "tunnel_id": .string(tunnel.text), "hostname": .string(hostname),
            "state": .string(proof.state.rawValue), "served": .bool(isServed),
            "created_at": .string(proof.createdAt.rfc3339), "proven_at": Self.time(proof.provenAt),
            "checked_at": Self.time(proof.checkedAt), "missing_since": Self.time(proof.missingSince),
            "next_check_at": Self.time(proof.nextCheck),
            "records": [
                "proof": records.proof.json, "routes": .array(records.routes.map(\.json)),
            ],
        ]
    }

    private static func time(_ time: WallTime?) -> JSON { time.map { .string($0.rfc3339) } ?? .null }
}

extension DomainRecords.Record {
    var json: JSON {
        ["type": .string(type), "name": .string(name), "value": .string(value), "note": .string(note)]
    }
}

extension DomainChecker.Report {
    var json: JSON {
        [
            "result": .string(result), "detail": .string(detail),
            "expected": domain.records.proof.json, "found": .array(found.map { .string(Self.plain($0)) }),
            "domain": domain.json,
        ]
    }

    /// A stranger's record, without control characters.
    private static func plain(_ text: String) -> String {
        let scalars = text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "\u{FFFD}" : $0 }
        return String(String.UnicodeScalarView(scalars))
    }

    private var result: String {
        switch finding {
        case .found: "proven"
        case .missing: found.isEmpty ? "missing" : "different"
        case .taken: "taken"
        case .unavailable: "unavailable"
        }
    }

    private var detail: String {
        let name = domain.records.proof.name
        return switch finding {
        case .found where domain.isServed:
            "The record is there: the name is yours, and players are let in by it."
        case .found:
            "The record is there: the name is yours. Your plan has no own domains: it is served once it has."
        case .missing where found.isEmpty:
            "There is no TXT record at \(name) yet. Set it as shown; new records take minutes to be seen everywhere."
        case .missing:
            "The TXT records at \(name) are others than the one expected: compare them, and add the one that is shown."
        case .taken:
            "The record is there, but another account has proven this name. It must detach the name first."
        case .unavailable:
            "The name servers gave no usable answer (\(trouble ?? "no reason")): nothing is changed. Try again in a moment."
        }
    }
}
