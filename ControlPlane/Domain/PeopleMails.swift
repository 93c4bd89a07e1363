import Core

/// How accounts begin.
public enum SignUpMode: String, Sendable, Hashable, CaseIterable {
    /// With a click on the link of a mail.
    case verified
    /// At once, for installations whose operator knows who can reach them.
    case open
}

/// What the link in a mail may do.
public enum MailPurpose: String, Sendable, Hashable, CaseIterable {
    case verify
    case reset
    case changeEmail = "change_email"

    /// Seconds for which the link is good.
    public var life_s: Int {
        switch self {
        case .verify, .changeEmail: 24 * 3600
        case .reset: 3600
        }
    }

    /// In words, for the mail.
    var life: String {
        switch self {
        case .verify, .changeEmail: "for a day"
        case .reset: "for an hour"
        }
    }
}

/// The mails about people's own accounts. Each says what to do when it comes unexpectedly.
extension Mail {
    public static func verification(to email: String, link: String) -> Mail {
        Mail(
            to: email, subject: "Confirm your e-mail address",
            text: """
                Welcome to Minecart.

                Confirm that this address is yours:
                \(link)

                The link is good once and \(MailPurpose.verify.life). If you did not sign up just now, ignore this \
                mail: without the link nothing happens.
                """, kind: "verify-email", life_s: MailPurpose.verify.life_s)
    }

    public static func signUpOfKnownAddress(to email: String, link: String) -> Mail {
        Mail(
            to: email, subject: "You have an account already",
            text: """
                Somebody has tried to sign up to Minecart with this address, and there is an account with it already. \
                Nothing has changed.

                If that was you, sign in with the password you have. If you do not know it any more, choose a new one:
                \(link)

                The link is good once and \(MailPurpose.reset.life). If it was not you, there is nothing to do.
                """, kind: "sign-up-known", life_s: MailPurpose.reset.life_s)
    }

    public static func passwordReset(to email: String, link: String) -> Mail {
        Mail(
            to: email, subject: "Choose a new password",
            text: """
                Somebody has asked for a new password of the Minecart account with this address.

                If that was you, choose one here:
                \(link)

                The link is good once and \(MailPurpose.reset.life). If it was not you, ignore this mail: your \
                password stays as it is.
                """, kind: "reset-password", life_s: MailPurpose.reset.life_s)
    }

    /// `forgotten` is the page where a reset begins.
    public static func passwordChanged(to email: String, forgotten: String) -> Mail {
        Mail(
            to: email, subject: "Your password was changed",
            text: """
                The password of your Minecart account was changed, and other sign-ins were ended.

                If that was not you, choose a new password at once:
                \(forgotten)
                """, kind: "password-changed")
    }

    /// To the new address.
    public static func emailChange(to email: String, link: String) -> Mail {
        Mail(
            to: email, subject: "Confirm your new e-mail address",
            text: """
                Somebody wants to use this address for their Minecart account.

                If that was you, confirm it here:
                \(link)

                The link is good once and \(MailPurpose.changeEmail.life). If it was not you, ignore this mail.
                """, kind: "change-email", life_s: MailPurpose.changeEmail.life_s)
    }

    /// To the new address when it has an account already.
    public static func emailChangeToKnownAddress(to email: String) -> Mail {
        Mail(
            to: email, subject: "This address has an account already",
            text: """
                Somebody wanted to use this address for another Minecart account. That is not possible, since there is \
                an account with it already. Nothing has changed.

                If that was you, sign in with this address, or choose another one for the other account. If it was \
                not you, there is nothing to do.
                """, kind: "change-email-known")
    }

    /// To the present address, before anything has changed.
    public static func emailChangeAsked(to email: String, new: String, forgotten: String) -> Mail {
        Mail(
            to: email, subject: "Your e-mail address is about to change",
            text: """
                Somebody who is signed in to your Minecart account and knows its password wants to use \(new) for it \
                from now on. It changes once that address is confirmed.

                If that was not you, choose a new password at once, which also stops the change:
                \(forgotten)
                """, kind: "change-email-asked")
    }

    /// To the address before.
    public static func emailChanged(to email: String, new: String) -> Mail {
        Mail(
            to: email, subject: "Your e-mail address was changed",
            text: """
                Your Minecart account is now signed in to with \(new), and mails go there.

                If that was not you, tell those who run this service at once.
                """, kind: "email-changed")
    }

    /// To a member who is none any more.
    public static func membershipEnded(to email: String) -> Mail {
        Mail(
            to: email, subject: "An account that you belonged to was deleted",
            text: """
                A Minecart account that you were a member of was deleted by its owner, with its tunnels and keys. An \
                account of your own is not concerned.
                """, kind: "membership-ended")
    }

    public static func accountDeleted(to email: String) -> Mail {
        Mail(
            to: email, subject: "Your account was deleted",
            text: """
                Your Minecart account was deleted, with its tunnels, keys and members. What the law wants to be kept, \
                such as bills, is kept as long as it says.

                If that was not you, tell those who run this service at once.
                """, kind: "account-deleted")
    }
}
