/// What may become of an account's members, and who may decide it.
public enum Membership {
    /// Seconds that an invitation can be accepted.
    public static let invitationLifetime_s: Int64 = 7 * 24 * 3600
    /// Invitations of one account that are under way.
    public static let maxInvitations = 100
    /// Mails of one invitation.
    public static let maxMails = 5
    /// Seconds between two of them.
    public static let mailPause_s = 60
    /// Keys of one account that work.
    public static let maxAPIKeys = 100
    public static let maxAgentKeys = 500

    /// Roles that an invitation may give. Owners are made of members.
    public static let invitable: [Role] = [.admin, .support, .viewer]

    /// Whether somebody who has `granter` may make a member, who is `role` now, `new`; nil is no member any more.
    /// `owners` is how many there are now. Nobody changes or gives more than they have, there is an owner always,
    /// and another owner is not shown the door in one step.
    public static func change(
        _ role: Role, to new: Role?, isSelf: Bool, granter: Set<Scope>, owners: Int
    ) throws(Refusal) {
        if !isSelf, !role.scopes.isSubset(of: granter) { throw .beyondGranter(role) }
        if let new, !new.scopes.isSubset(of: granter) { throw .beyondGranter(new) }
        guard role == .owner, new != .owner else { return }
        if owners <= 1 { throw .lastOwner }
        if new == nil, !isSelf { throw .ownerFirst }
    }

    /// Whether somebody who has `granter` may invite one more; `members` and `invited` are there already, and the
    /// plan allows `maxMembers`, nil for any number.
    public static func invite(
        as role: Role, granter: Set<Scope>, members: Int, invited: Int, maxMembers: Int?
    ) throws(Refusal) {
        if !invitable.contains(role) || !role.scopes.isSubset(of: granter) { throw .beyondGranter(role) }
        if let maxMembers, members + invited >= maxMembers { throw .noRoom(maxMembers) }
        if invited >= maxInvitations { throw .tooManyInvitations(maxInvitations) }
    }

    public enum Refusal: Error, Sendable, Hashable, CustomStringConvertible {
        /// The one who asks is no member, or its key is revoked, by now.
        case noMember
        case beyondGranter(Role)
        case lastOwner
        case ownerFirst
        case noRoom(Int)
        case alreadyMember
        case alreadyInvited
        case tooManyInvitations(Int)
        /// Seconds to wait, nil for ever.
        case tooManyMails(wait_s: Int?)
        case tooManyKeys(Int)

        public var description: String {
            switch self {
            case .noMember: "your own access to this account has just been taken away"
            case .beyondGranter(let role):
                "this is about the role \(role.rawValue), which may do more than you: ask someone who has it"
            case .lastOwner:
                "this is the account's only owner: make another member an owner first (PATCH /v1/members/{id})"
            case .ownerFirst:
                "an owner cannot be removed: give the member another role first (PATCH /v1/members/{id})"
            case .noRoom(let count):
                """
                the account's plan has room for \(count) member\(count == 1 ? "" : "s"), invited ones included: take \
                a larger plan, or withdraw an invitation
                """
            case .alreadyMember: "somebody with this address is a member already"
            case .alreadyInvited: "this address is invited already: resend or withdraw that invitation"
            case .tooManyInvitations(let count):
                "the account has \(count) invitations under way, which is the most: withdraw old ones first"
            case .tooManyMails(let wait_s?): "this invitation was mailed just now: wait \(wait_s) s"
            case .tooManyMails(nil):
                "this invitation was mailed \(maxMails) times: ask the person, or withdraw it and invite again"
            case .tooManyKeys(let count):
                "the account has \(count) of these keys, which is the most: revoke one that is not used any more"
            }
        }
    }
}

/// What becomes of the keys of a member who is removed.
public enum KeysLeft: String, Sendable, Hashable, CaseIterable {
    /// They open nothing any more: the one who made them has seen them.
    case revoke
    /// They go on, as keys of the one who removes.
    case keep
}

extension Role {
    /// What a member may do; one for whom the plan has no room any more may look at the account.
    public func scopes(isSurplus: Bool) -> Set<Scope> { isSurplus ? [.accountRead] : scopes }
}
