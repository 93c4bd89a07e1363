import Core
import Domain
import Store

/// Who changed what, from where, and what was there before and after.
enum AuditRoutes {
    private static let filter: KeyValuePairs<String, Schema> = [
        "actor": .text("operator", 1...128).about("Who did it: a user's or key's id, or operator."),
        "action": .text("tunnel.create", 1...64, pattern: "^[a-z_]+([.][a-z_]+)*$")
            .about("What was done, such as tunnel.create, or a group of it, such as tunnel."),
        "subject": .text("tun_1", 1...256).about("The id of what it was done to."),
        "from": Schema.time.about("The first second that counts."),
        "to": Schema.time.about("The first second that does not count any more."),
    ]

    private static let page = Schemas.page(filter, cursor: "MTc2MzcwMDAwMDAwMDAwMC4x")

    static let all = [
        Route(
            "GET", "/v1/audit", .account(.auditRead), query: page,
            gives: .list(of: Schemas.auditEntry),
            "Lists what was done in the account, newest first."
        ) { api, call in
            var fields = try call.query()
            let page = fields.auditPage()
            let filter = fields.auditFilter()
            try fields.finish()
            let entries = try await api.store.audit(of: try call.account, filter, page)
            return .list(entries.items.map { .object($0.json) }, nextCursor: entries.nextCursor)
        },
        Route(
            "GET", "/v1/ops/audit", .operators(.readOnly),
            query: page.with(optional: ["account": .id(AccountID.self)]),
            gives: .list(of: Schemas.operatorAuditEntry),
            "Lists what was done anywhere, or in one account, newest first."
        ) { api, call in
            var fields = try call.query()
            let page = fields.auditPage()
            let filter = fields.auditFilter()
            let account = fields.accountID("account")
            try fields.finish()
            let entries = try await api.store.wholeAudit(account: account, filter, page)
            return .list(entries.items.map(\.operatorJSON), nextCursor: entries.nextCursor)
        },
    ]
}

extension AuditEntry {
    fileprivate var json: JSONObject {
        [
            "id": .integer(Int64(id)), "at": .string(at), "actor": .string(actor.text),
            "address": actor.address.map { .string($0) } ?? .null, "action": .string(action),
            "subject": .string(subject), "before": before ?? .null, "after": after ?? .null,
            "detail": detail ?? .null,
        ]
    }

    fileprivate var operatorJSON: JSON {
        var object = json
        object["account_id"] = account.map { .string($0.text) } ?? .null
        return .object(object)
    }
}

extension Fields {
    fileprivate mutating func auditFilter() -> AuditFilter {
        let filter = AuditFilter(
            actor: optionalText("actor", length: 1...128), action: action("action"),
            subject: optionalText("subject", length: 1...256), from: optionalTime("from"),
            to: optionalTime("to"))
        return filter
    }

    fileprivate mutating func auditPage() -> AuditPage {
        let range = Int64(Page.limits.lowerBound)...Int64(Page.limits.upperBound)
        let limit = optionalInteger("limit", in: range).map { Int($0) } ?? Page.standardLimit
        guard let cursor = optionalText("cursor", length: 1...64) else { return AuditPage(limit: limit) }
        guard let page = AuditPage(limit: limit, cursor: cursor) else {
            reject("cursor", "must be the next_cursor of an earlier answer")
            return AuditPage(limit: limit)
        }
        return page
    }

    private mutating func action(_ name: String) -> String? {
        guard let text = optionalText(name, length: 1...64) else { return nil }
        let words = text.split(separator: ".", omittingEmptySubsequences: false)
        guard
            words.allSatisfy({
                !$0.isEmpty && $0.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x5F }
            })
        else {
            reject(name, "must be small letters with dots between, such as tunnel.create or tunnel")
            return nil
        }
        return text
    }

    fileprivate mutating func accountID(_ name: String) -> AccountID? {
        guard let text = optionalText(name, length: 1...64) else { return nil }
        if let id = AccountID(text) { return id }
        reject(name, "must be the id of an account")
        return nil
    }
}
