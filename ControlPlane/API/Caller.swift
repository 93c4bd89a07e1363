import Core

/// Who makes a request, once its credential is checked.
public enum Caller: Sendable, Hashable {
    case nobody
    /// Signed in with a password.
    case user(UserID, AccountID, SignInID)
    /// The account's own programs.
    case apiKey(APIKeyID, AccountID)
    case agent(AgentKeyID, AccountID)
    case relay(RelayKeyID)
    case `operator`

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
        case .user(_, let account, _), .apiKey(_, let account), .agent(_, let account): account
        case .nobody, .relay, .operator: nil
        }
    }

    /// Who did it, for the audit log.
    var actor: String {
        switch self {
        case .nobody: "nobody"
        case .user(let id, _, _): id.text
        case .apiKey(let id, _): id.text
        case .agent(let id, _): id.text
        case .relay(let id): id.text
        case .operator: "operator"
        }
    }
}

/// Who may use a route.
public enum Access: Sendable, Hashable {
    case anyone
    /// Loopback without a proxy in between, or METRICS_TOKEN.
    case metrics
    case callers([Caller.Kind])

    /// People and programs of an account.
    static let account = Access.callers([.user, .apiKey])
    static let accountAndAgents = Access.callers([.user, .apiKey, .agent])
    static let agents = Access.callers([.agent])
    static let relays = Access.callers([.relay])
    static let operators = Access.callers([.operator])

    /// What to tell a caller with a good credential of the wrong kind; nil when it may pass.
    func refusal(of caller: Caller) -> String? {
        guard case .callers(let kinds) = self, let kind = caller.kind, !kinds.contains(kind) else {
            return nil
        }
        let wanted = kinds.map { "an \($0.rawValue)" }.joined(separator: " or ")
            .replacing("an relay", with: "a relay")
        return "This takes \(wanted); you sent another kind of credential."
    }
}
