import Domain
import Testing

@Suite struct BillingAdviceTests {
    private func advice(_ state: BillingState, isSuspended: Bool = false, isForSale: Bool = true)
        -> BillingAdvice
    {
        BillingAdvice(
            state, isForSale: isForSale, isSuspended: isSuspended, graceUntil: "2026-12-01T00:00:00Z")
    }

    @Test func whoPaysLateIsSentToThePortalAndToldHowLongItWorks() {
        for state in [BillingState.grace, .throttled, .suspended] { #expect(advice(state).step == .portal) }
        #expect(advice(.grace).message.contains("until 2026-12-01T00:00:00Z"))
    }

    @Test func whoPaysNothingMayBuyWhereSomethingIsSold() {
        for state in [BillingState.none, .revoked] {
            #expect(advice(state).step == .checkout)
            #expect(advice(state, isForSale: false).step == .none)
        }
    }

    @Test func whoIsPaidOrSuspendedByAnOperatorIsNotSentToPay() {
        #expect(advice(.active).step == .none)
        for state in BillingState.allCases { #expect(advice(state, isSuspended: true).step == .support) }
    }
}
