import Core
import Domain
import Postgres

/// Somebody who wants an account.
public struct SignUp: Sendable {
    public var email: String
    public var passwordHash: String
    public var mode: SignUpMode
    /// SHA-256 of the token in either mail.
    public var tokenHash: [UInt8]
    /// What goes to an address that is new, and to one that has an account; nil where no mail is sent.
    public var mails: (welcome: Mail, known: Mail)?

    public init(
        email: String, passwordHash: String, mode: SignUpMode, tokenHash: [UInt8],
        mails: (welcome: Mail, known: Mail)?
    ) {
        self.email = email
        self.passwordHash = passwordHash
        self.mode = mode
        self.tokenHash = tokenHash
        self.mails = mails
    }
}

extension Store {
    /// Takes a sign-up, and does not tell whether the address is known. A new one gets a mail whose token makes the
    /// account, with this sign-up's password (`open`: the account is made at once); a known one gets a mail whose
    /// token chooses a new password, and nothing changes.
    public func signUp(_ signUp: SignUp, address: String? = nil) async throws(StoreError) {
        try await transaction { tx in
            var known: UserID? = try tx.query(
                "SELECT id FROM users WHERE lower(email) = lower($1)", signUp.email
            ).first?["id"]
            var isNew = known == nil
            if isNew, signUp.mode == .open {
                if let (user, account) = try tx.addUser(
                    signUp.email, signUp.passwordHash, plan: "free", isVerified: false)
                {
                    try tx.audit(
                        "user.sign_up", actor: Actor(user.text, address: address), account: account,
                        subject: user.text)
                } else {
                    // Another request with the same address came first.
                    isNew = false
                    known = try tx.row("SELECT id FROM users WHERE lower(email) = lower($1)", signUp.email)[
                        "id"]
                }
            }
            guard let mails = signUp.mails,
                try tx.postUnasked(isNew ? mails.welcome : mails.known)
            else { return }
            try tx.addMailToken(
                signUp.tokenHash, isNew ? .verify : .reset, email: signUp.email, user: isNew ? nil : known,
                passwordHash: isNew ? signUp.passwordHash : nil)
        }
    }

    /// Uses a verification's token: the account begins, or an `open` one's address is known to be good from now on.
    /// False when the token is not good any more.
    public func verify(tokenHash: [UInt8], address: String? = nil) async throws(StoreError) -> Bool {
        try await transaction { tx in
            guard let token = try tx.takeMailToken(tokenHash, .verify), let passwordHash = token.passwordHash
            else { return false }
            if let (user, account) = try tx.addUser(
                token.email, passwordHash, plan: "free", isVerified: true)
            {
                try tx.audit(
                    "user.sign_up", actor: Actor(user.text, address: address), account: account,
                    subject: user.text)
                // What others chose for this address, or the same person before, counts no more.
                try tx.query(
                    "DELETE FROM mail_tokens WHERE lower(email) = lower($1) AND purpose = 'verify'",
                    token.email)
            } else {
                try tx.query(
                    """
                    UPDATE users SET verified_at = coalesce(verified_at, now())
                    WHERE lower(email) = lower($1)
                    """, token.email)
            }
            return true
        }
    }
}
