/// What people are told about being a member of an account. No mail holds a name that a stranger chose: only
/// addresses, so that an invitation is no way to send advertisements.
extension Mail {
    /// `inviter` is an address, nil when a program of the account invites.
    public static func invitation(to email: String, role: Role, inviter: String?, link: String) -> Mail {
        Mail(
            to: email, subject: "You are invited to Minecart",
            text: """
                \(inviter ?? "A Minecart account") invites you to work on the account's tunnels, as \(role.rawValue).

                To see who asks, and to accept or decline, open:

                \(link)

                The link is good for 7 days. If you do not know what this is about, do nothing.
                """, kind: "invitation", life_s: Int(Membership.invitationLifetime_s))
    }

    /// Somebody became an owner or is none any more.
    public static func ownersChanged(
        _ account: String?, member: String, isOwner: Bool, telling email: String
    ) -> Mail {
        Mail(
            to: email,
            subject: isOwner
                ? "A new owner of your Minecart account" : "An owner less of your Minecart account",
            text: """
                \(member) \(isOwner ? "is an owner now" : "is no owner any more") of the Minecart account\(Self.quoted(account)).

                If this is not what you expect, look at the account's members and its audit log, and write to us.
                """, kind: "owners-changed")
    }

    public static func transferred(
        _ account: String?, from former: String, to owner: String, telling email: String
    ) -> Mail {
        Mail(
            to: email, subject: "Your Minecart account has another owner",
            text: """
                \(former) has handed the Minecart account\(Self.quoted(account)) over to \(owner).

                If this is not what you expect, look at the account's audit log, and write to us.
                """, kind: "owners-changed")
    }

    public static func removed(_ account: String?, telling email: String) -> Mail {
        Mail(
            to: email, subject: "You are no member of a Minecart account any more",
            text: """
                Your membership of the Minecart account\(Self.quoted(account)) has been ended by somebody who runs it. Your \
                sign-ins for it are over; your own account is as it was.
                """, kind: "member-removed")
    }

    /// Of members only, who know the name.
    private static func quoted(_ account: String?) -> String { account.map { " \"\($0)\"" } ?? "" }
}
