import Domain
import Store

extension Problem {
    /// What a caller is told of a failure below; nil for one that is a fault of ours.
    init?(storeError error: StoreError, isQuery: Bool) {
        switch error {
        case .unavailable, .leaseLost:
            self = .unavailable("The database cannot be reached right now. Try again in a moment.")
        case .unknownRegion(let region):
            self = .invalid([
                .init(
                    isQuery ? "?region" : "/region",
                    "There is no region \"\(region)\": GET /v1/regions lists them.")
            ]
            )
        case .unknownPlan: self = .invalid([.init("/plan", "There is no such plan.")])
        case .invalidLabel(let problem): self = .invalid([.init("/name", problem.description)])
        case .labelTaken: self = .conflict("name-taken", Self.sentence(error.description))
        case .plan: self = Problem(403, "plan-limit", Self.sentence(error.description))
        case .suspended: self = Problem(403, "suspended", Self.sentence(error.description))
        case .sessionReplaced: self = .conflict("session-replaced", Self.sentence(error.description))
        case .noRelay: self = .unavailable(Self.sentence(error.description), retryAfter_s: 2)
        case .regionFull:
            self = Problem(503, "region-full", Self.sentence(error.description))
            headers = [("Retry-After", String(Int.random(in: 30...60)))]
        case .relayLost: self = .conflict("relay-lost", Self.sentence(error.description))
        case .membership(let refusal): self = Self.membership(refusal)
        case .passwordNeeded: self = .invalid([.init("/password", "is required: \(error)")])
        case .emailTaken: self = .conflict("email-taken", Self.sentence(error.description))
        case .priceTaken: self = .conflict("price-taken", Self.sentence(error.description))
        case .rotationUnderWay: self = .conflict("rotation-under-way", Self.sentence(error.description))
        case .tooManySigningKeys: self = .conflict("too-many-keys", Self.sentence(error.description))
        case .domainAttached: self = .conflict("domain-attached", Self.sentence(error.description))
        case .domainTaken: self = .conflict("domain-taken", Self.sentence(error.description))
        case .tooManyDomains: self = .conflict("too-many-domains", Self.sentence(error.description))
        case .database: return nil
        }
    }

    private static func membership(_ refusal: Membership.Refusal) -> Problem {
        let detail = sentence(refusal.description)
        switch refusal {
        case .noMember, .beyondGranter: return .forbidden(detail)
        case .lastOwner: return .conflict("last-owner", detail)
        case .ownerFirst: return .conflict("is-owner", detail)
        case .noRoom: return Problem(403, "plan-limit", detail)
        case .alreadyMember: return .conflict("already-member", detail)
        case .alreadyInvited: return .conflict("already-invited", detail)
        case .tooManyInvitations: return .conflict("too-many-invitations", detail)
        case .tooManyMails(nil): return .conflict("too-many-mails", detail)
        case .tooManyMails(let wait_s?):
            var problem = Problem(429, "quota-exceeded", detail)
            problem.headers = [("Retry-After", String(wait_s))]
            return problem
        case .tooManyKeys: return .conflict("too-many-keys", detail)
        }
    }

    private static func sentence(_ text: String) -> String {
        text.prefix(1).uppercased() + text.dropFirst() + "."
    }
}
