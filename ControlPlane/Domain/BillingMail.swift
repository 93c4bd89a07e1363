extension Mail {
    /// A notice about an account's bill; `link` is where something can be done about it.
    public static func billing(_ notice: BillingNotice, to address: String, link: String) -> Mail {
        switch notice {
        case .trialEnds:
            Mail(
                to: address, subject: "Your Minecart trial ends in a few days",
                text: """
                    Your trial ends in a few days, and your subscription begins then.
                    Nothing needs to be done if you want to keep it. To change or cancel it:

                    \(link)

                    """, kind: "trial-ends")
        case .paymentFailed:
            Mail(
                to: address, subject: "A payment for Minecart failed",
                text: """
                    We could not collect the payment for your subscription. Your tunnels go on working for a few
                    days and become slow after that. Please pay, or give us another way to collect it:

                    \(link)

                    """, kind: "payment-failed")
        case .actionRequired:
            Mail(
                to: address, subject: "Your bank asks you to confirm a payment for Minecart",
                text: """
                    Your bank wants you to confirm the payment for your subscription yourself:

                    \(link)

                    """, kind: "payment-action-required")
        case .invoiceNotFinalized:
            Mail(
                to: address, subject: "Your Minecart bill needs something from you",
                text: """
                    We could not finish the bill for your subscription, most often because an address or a tax number
                    is missing or wrong. Please look at your payment details:

                    \(link)

                    """, kind: "invoice-not-finalized")
        }
    }
}
