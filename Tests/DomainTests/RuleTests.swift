import Testing
import Wire

@testable import Domain

@Suite struct PlanTests {
    private let plan = Plan(id: "free", maxTunnels: 1, limits: .none, chosenNames: false)

    @Test func aPlanAllowsSoManyTunnels() throws {
        try plan.admit(existing: 0, nameIsChosen: false)
        #expect(throws: Plan.Refusal.tunnels(1)) { try plan.admit(existing: 1, nameIsChosen: false) }
        try Plan(id: "x", maxTunnels: nil, limits: .none, chosenNames: true).admit(
            existing: 9999, nameIsChosen: true)
    }

    @Test func aPlanMayHaveGeneratedNamesOnly() {
        #expect(throws: Plan.Refusal.chosenName) { try plan.admit(existing: 0, nameIsChosen: true) }
    }
}

@Suite struct TunnelStateTests {
    @Test func aTunnelShowsWhatIsStoredAboutIt() {
        func state(_ suspended: Bool, _ placed: Bool, _ linked: Bool, _ ago: Int?) -> TunnelState {
            .derived(isSuspended: suspended, isPlaced: placed, isLinked: linked, awaited_s: ago)
        }
        #expect(state(true, true, true, 0) == .suspended)
        #expect(state(false, false, false, 0) == .offline)
        #expect(state(false, true, false, 5) == .connecting)
        #expect(state(false, true, false, 3600) == .offline)
        #expect(state(false, true, false, nil) == .offline)
        #expect(state(false, true, true, 3600) == .online)
    }
}

@Suite struct EmailAddressTests {
    @Test(arguments: ["a@b.co", "first.last+tag@mail.example.com", "x_y@1-2.org"])
    func plainAddressesAreTaken(_ text: String) { #expect(EmailAddress(text)?.text == text) }

    @Test(arguments: [
        "", "a", "@b.co", "a@", "a@b", "a@b..co", "a@-b.co", "a b@c.de", "a@b.co\n", "a@b@c.de", "a,b@c.de",
        "<a@b.co>",
        String(repeating: "a", count: 65) + "@b.co", "ä@b.co",
    ])
    func otherTextIsRefused(_ text: String) { #expect(EmailAddress(text) == nil) }
}

@Suite struct PasswordRuleTests {
    @Test func passwordsAreLongEnoughAndNotTheAddress() {
        #expect(PasswordRule.problem(String(repeating: "x", count: 14), email: "a@b.co") != nil)
        #expect(PasswordRule.problem(String(repeating: "x", count: 15), email: "a@b.co") == nil)
        #expect(PasswordRule.problem(String(repeating: "x", count: 256), email: "a@b.co") == nil)
        #expect(PasswordRule.problem(String(repeating: "x", count: 257), email: "a@b.co") != nil)
        #expect(PasswordRule.problem("Anna@Example.com", email: "anna@example.com") != nil)
        #expect(PasswordRule.problem("correct horse battery", email: "a@b.co") == nil)
    }
}
