import Core
import Domain
import Testing

@Suite struct UnusedTunnelTests {
    private static let day_s: Int64 = 86_400

    private func day(_ number: Int64) -> WallTime { WallTime(seconds: 1_795_262_400) + number * Self.day_s }

    private func step(used: Int64, told: Int64? = nil, kept: Bool = false, after days: Int? = 90, now: Int64)
        -> UnusedTunnel.Step?
    {
        UnusedTunnel(usedAt: day(used), toldAt: told.map(day), isKept: kept).step(after: days, now: day(now))
    }

    @Test func ownersAreToldTwoWeeksBeforeATunnelGoes() {
        #expect(step(used: 0, now: 75) == nil)
        #expect(step(used: 0, now: 76) == .tell(goesAt: day(90)))
        #expect(step(used: 0, told: 76, now: 89) == nil)
        #expect(step(used: 0, told: 76, now: 90) == .delete)
    }

    @Test func nothingGoesWithoutTwoWeeksNotice() {
        #expect(step(used: 0, now: 500) == .tell(goesAt: day(514)))
        #expect(step(used: 0, told: 500, now: 513) == nil)
        #expect(step(used: 0, told: 500, now: 514) == .delete)
    }

    @Test func whoeverUsesItAfterTheMailKeepsItAndIsToldAgain() {
        #expect(step(used: 80, told: 76, now: 95) == nil)
        #expect(step(used: 80, told: 76, now: 156) == .tell(goesAt: day(170)))
    }

    @Test func whatIsInUseOrHasNoSuchPlanStays() {
        #expect(step(used: 0, told: 76, kept: true, now: 400) == nil)
        #expect(step(used: 0, told: 76, after: nil, now: 400) == nil)
    }

    @Test func mailsSayWhatWhenAndHowToKeepIt() {
        let mail = Mail.tunnelWillExpire(
            to: "anna@mail.example", hostname: "castle.eu.mine.example", unused_days: 76, at: day(90),
            plan: "Free")
        for part in ["castle.eu.mine.example", "76 days", day(90).rfc3339, "Free", "minecart up"] {
            #expect(mail.text.contains(part))
        }
        let gone = Mail.tunnelExpired(
            to: "anna@mail.example", hostname: "castle.eu.mine.example", plan: "Free")
        #expect(gone.subject == "castle.eu.mine.example was deleted")
    }
}
