import Core
import Domain
import Store

/// Who makes a request, once its credential is checked.
public enum Caller: Sendable, Hashable {
    case nobody
    /// Signed in with a password.
    case user(SignedIn)
    /// The account's own programs.
    case apiKey(APIKeyID, AccountID, Set<Scope>)
    /// With whether the account's plan has priority.
    case agent(AgentKeyID, AccountID, Bool)
    case relay(RelayKeyID)
    /// By a key of the database, or by OPERATOR_KEY.
    case `operator`(OperatorKeyID?, OperatorRole)

    public enum Kind: String, Sendable, Hashable, CaseIterable {
        case user = "access token"
        case apiKey = "API key"
        case agent = "agent key"
        case relay = "relay key"
        case `operator` = "operator key"
    }

    var kind: Kind? {
        switch self {
        case .nobody: nil
        case .user: .user
        case .apiKey: .apiKey
        case .agent: .agent
        case .relay: .relay
        case .operator: .operator
        }
    }

    /// Whose things the caller may see.
    var account: AccountID? {
        switch self {
        case .user(let person): person.account
        case .apiKey(_, let account, _), .agent(_, let account, _): account
        case .nobody, .relay, .operator: nil
        }
    }

    /// What it may do in its account.
    var scopes: Set<Scope> {
        switch self {
        case .user(let person): person.scopes
        case .apiKey(_, _, let scopes): scopes
        case .agent: Scope.ofAgents
        case .nobody, .relay, .operator: []
        }
    }

    /// Who did it, for the audit log.
    var actor: String {
        switch self {
        case .nobody: "nobody"
        case .user(let person): person.user.text
        case .apiKey(let id, _, _): id.text
        case .agent(let id, _, _): id.text
        case .relay(let id): id.text
        case .operator(let id, _): id?.text ?? "operator"
        }
    }
}

/// Who may use a route.
public enum Access: Sendable, Hashable {
    case anyone
    /// Loopback without a proxy in between, or METRICS_TOKEN.
    case metrics
    /// People and programs of an account that have the scope.
    case account(Scope)
    case accountOrAgents(Scope)
    /// Only people who are signed in, with the scope if one is named.
    case people(Scope?)
    case agents
    case relays
    /// Operators of this role or one that includes it.
    case operators(OperatorRole)

    /// Kinds of credential that can be good enough; empty when none is needed.
    public var kinds: [Caller.Kind] {
        switch self {
        case .anyone, .metrics: []
        case .account: [.user, .apiKey]
        case .accountOrAgents: [.user, .apiKey, .agent]
        case .people: [.user]
        case .agents: [.agent]
        case .relays: [.relay]
        case .operators: [.operator]
        }
    }

    /// The scope that a credential of an account needs.
    public var scope: Scope? {
        switch self {
        case .account(let scope), .accountOrAgents(let scope): scope
        case .people(let scope): scope
        case .anyone, .metrics, .agents, .relays, .operators: nil
        }
    }

    /// What to tell a caller with a good credential that is not good enough here; nil when it may pass.
    func refusal(of caller: Caller) -> String? {
        guard !kinds.isEmpty, let kind = caller.kind else { return nil }
        guard kinds.contains(kind) else {
            let wanted = kinds.map { "an \($0.rawValue)" }.joined(separator: " or ")
                .replacing("an relay", with: "a relay")
            return "This takes \(wanted); you sent another kind of credential."
        }
        if let scope, !caller.scopes.contains(scope) {
            if case .user(let person) = caller, person.isSurplus, person.role.scopes.contains(scope) {
                return "The account's plan has no room for you any more: its owners can take a larger one."
            }
            return "This takes the scope \(scope.rawValue), which your \(kind.rawValue) does not have."
        }
        if case .operators(let role) = self, case .operator(_, let own) = caller, !own.includes(role) {
            return "This takes an operator key of the role \(role.rawValue); yours is \(own.rawValue)."
        }
        return nil
    }
}
