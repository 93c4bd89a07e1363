/// One thing that a credential of an account may do.
public enum Scope: String, Sendable, Hashable, CaseIterable {
    case accountRead = "account:read"
    case accountWrite = "account:write"
    case membersWrite = "members:write"
    case tunnelsRead = "tunnels:read"
    case tunnelsWrite = "tunnels:write"
    case keysRead = "keys:read"
    case keysWrite = "keys:write"
    case usageRead = "usage:read"
    case auditRead = "audit:read"
    case billingWrite = "billing:write"

    public var isRead: Bool {
        switch self {
        case .accountRead, .tunnelsRead, .keysRead, .usageRead, .auditRead: true
        case .accountWrite, .membersWrite, .tunnelsWrite, .keysWrite, .billingWrite: false
        }
    }

    public static let all = Set(Scope.allCases)
    /// What agents may do besides taking placements.
    public static let ofAgents: Set<Scope> = [.tunnelsRead, .tunnelsWrite]
}

/// What a member is in an account.
public enum Role: String, Sendable, Hashable, CaseIterable {
    case owner, admin, support, viewer

    public var scopes: Set<Scope> {
        switch self {
        case .owner: Scope.all
        case .admin: Scope.all.subtracting([.accountWrite, .billingWrite])
        case .support: Scope.all.filter(\.isRead).union([.tunnelsWrite])
        case .viewer: [.accountRead, .tunnelsRead, .usageRead]
        }
    }
}

/// What an operator's key may do, the least first; each includes those before it.
public enum OperatorRole: String, Sendable, Hashable, CaseIterable {
    case readOnly = "read-only"
    /// Helps customers: exceptions, plans and suspensions of accounts.
    case support
    /// Runs the fleet: keys, relays, plans.
    case `operator`

    private var rank: Int {
        switch self {
        case .readOnly: 0
        case .support: 1
        case .operator: 2
        }
    }

    public func includes(_ other: OperatorRole) -> Bool { rank >= other.rank }
}
