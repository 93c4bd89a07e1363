import Core

extension Mail {
    /// Tells an owner of an account that most or all of a month's volume is used, and what that means.
    /// `slowed_bytes_per_s` is what a tunnel gets once all is used; nil when nothing is slowed down.
    public static func volume(
        _ warning: VolumeWarning, used: Int, month: UTCMonth, plan: String, slowed_bytes_per_s: Int?,
        account: AccountID, to owner: String
    ) -> Mail {
        let included = Quantity.bytes(warning.included)
        let rest =
            """
            A larger plan counts at once. What used how much: GET /v1/usage.

            Account \(account), plan \(plan).

            """
        let slow = slowed_bytes_per_s.map(Quantity.rate(bytes_per_s:))
        if warning.level == .usedUp {
            return Mail(
                to: owner, subject: "Minecart: this month's \(included) are used up",
                text: """
                    The players of your tunnels have moved \(Quantity.bytes(used)) this month; \(included) are included.

                    \(slow.map { "Nobody is cut off: your tunnels stay open, but each has at most \($0)" } ??
                        "Nobody is cut off: your tunnels stay open as they are")
                    until \(month.next.firstDay) 00:00 UTC, when the next month begins.

                    """ + rest, kind: "volume-used-up")
        }
        return Mail(
            to: owner, subject: "Minecart: 80 % of this month's \(included) are used",
            text: """
                The players of your tunnels have moved \(Quantity.bytes(used)) this month; \(included) are included.

                \(slow.map { "Once all of it is used, nobody is cut off, but each tunnel has at most \($0)" } ??
                    "Nobody is cut off once all of it is used")
                until the next month begins on \(month.next.firstDay) 00:00 UTC.

                """ + rest, kind: "volume-nearly-used")
    }
}
