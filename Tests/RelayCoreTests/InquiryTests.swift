import Core
import Testing

@testable import RelayCore

/// The order in which other relays are asked.
@Suite struct InquiryTests {
    private static let start = Instant(nanoseconds: 1_000_000_000)
    private func at(_ milliseconds: Int) -> Instant { Self.start + Milliseconds(milliseconds) }

    @Test func theNextIsAskedAtOnceWhenOneSaysNo() {
        var (inquiry, step) = Inquiry.begin(["owner", "standby", "previous"], now: at(0))
        #expect(step == .ask("owner"))
        #expect(inquiry.declined(by: "owner", now: at(1)) == .ask("standby"))
        #expect(inquiry.declined(by: "standby", now: at(2)) == .ask("previous"))
        #expect(inquiry.declined(by: "previous", now: at(3)) == .roundIsOver)
    }

    @Test func theNextIsAskedWhenOneIsSilentForAQuarterOfASecond() {
        var (inquiry, _) = Inquiry.begin(["owner", "standby"], now: at(0))
        #expect(inquiry.due == at(250))
        #expect(inquiry.tick(now: at(249), relays: []) == nil)
        #expect(inquiry.tick(now: at(250), relays: []) == .ask("standby"))
        // Too late: somebody else is asked by now.
        #expect(inquiry.declined(by: "owner", now: at(260)) == nil)
        #expect(inquiry.tick(now: at(500), relays: []) == .roundIsOver)
    }

    @Test func aRoundIsRepeatedAfterAPauseWithTheRelaysOfThatTime() {
        var (inquiry, _) = Inquiry.begin(["owner"], now: at(0))
        #expect(inquiry.declined(by: "owner", now: at(10)) == .roundIsOver)
        #expect(inquiry.due == at(260))
        #expect(inquiry.declined(by: "owner", now: at(20)) == nil)
        #expect(inquiry.tick(now: at(260), relays: ["new", "owner"]) == .ask("new"))
        #expect(inquiry.declined(by: "new", now: at(270)) == .ask("owner"))
    }

    @Test func nobodyToAskIsARoundThatIsOver() {
        var (inquiry, step) = Inquiry.begin([], now: at(0))
        #expect(step == .roundIsOver)
        #expect(inquiry.tick(now: at(250), relays: []) == .roundIsOver)
    }
}
