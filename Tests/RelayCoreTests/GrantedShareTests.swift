import Core
import Testing

@testable import RelayCore

/// What a relay may use of another's tunnel, and what it says it could.
struct GrantedShareTests {
    private let now = Instant(nanoseconds: 1_000_000_000)

    @Test func beforeTheOwnerSaidAnythingItIsAnEvenPart() {
        let share = GrantedShare()
        #expect(share.rate(limit: 900, relays: 3, now: now) == 300)
        #expect(share.rate(limit: 900, relays: 0, now: now) == 900)
    }

    @Test func theOwnersWordCountsUntilItWasSilentForThreeSecondsAndAgainWhenItIsBack() {
        var share = GrantedShare()
        share.granted(700, limit: 900, now: now)
        #expect(share.rate(limit: 900, relays: 3, now: now + Milliseconds(2999)) == 700)
        #expect(share.rate(limit: 900, relays: 3, now: now + .seconds(3)) == 300)
        #expect(share.rate(limit: 900, relays: 2, now: now + .seconds(60)) == 450)
        share.granted(800, limit: 900, now: now + .seconds(61))
        #expect(share.rate(limit: 900, relays: 3, now: now + .seconds(61)) == 800)
    }

    @Test func aLimitThatChangedIsFeltBeforeTheOwnerSpeaksAgain() {
        var share = GrantedShare()
        share.granted(600, limit: 900, now: now)
        #expect(share.rate(limit: 90, relays: 3, now: now) == 60)
        #expect(share.rate(limit: 9_000, relays: 3, now: now) == 6_000)
        #expect(share.rate(limit: 0, relays: 3, now: now) == 0)
        share.granted(0, limit: 0, now: now)
        #expect(share.rate(limit: 900, relays: 3, now: now) == 300)
    }

    @Test func noWordGivesMoreThanTheLimit() {
        var share = GrantedShare()
        share.granted(.max, limit: 900, now: now)
        #expect(share.rate(limit: 900, relays: 3, now: now) == 900)
        share.granted(.min, limit: 900, now: now)
        #expect(share.rate(limit: 900, relays: 3, now: now) == 0)
    }

    @Test func demandIsALittleMoreThanWhatPassesAndEverythingForWhoIsHeldBack() {
        var demand = ByteDemand()
        #expect(demand.bytes_per_s == nil)
        var bytes = 0
        for second in 0..<30 {
            demand.measure(bytes: bytes, isHeldBack: false, limit: 1_000_000, now: now + .seconds(second))
            if second == 0 { #expect(demand.bytes_per_s == 1_000_000) }
            bytes += 80_000
        }
        #expect(demand.bytes_per_s == 100_000)
        demand.measure(bytes: bytes, isHeldBack: true, limit: 1_000_000, now: now + .seconds(30))
        #expect(demand.bytes_per_s == 1_000_000)
        // It falls over some seconds.
        demand.measure(bytes: bytes, isHeldBack: false, limit: 1_000_000, now: now + .seconds(31))
        #expect(demand.bytes_per_s == 700_000)
        demand.measure(bytes: bytes, isHeldBack: false, limit: 1_000, now: now + .seconds(32))
        #expect(demand.bytes_per_s == 1_000)
    }

    @Test func measuringTwiceAtOneTimeChangesNothing() {
        var demand = ByteDemand()
        demand.measure(bytes: 10, isHeldBack: false, limit: 1000, now: now)
        demand.measure(bytes: 900, isHeldBack: true, limit: 1000, now: now)
        #expect(demand.bytes_per_s == 1000)
        demand.measure(bytes: 10, isHeldBack: false, limit: 1000, now: now + .seconds(1))
        #expect(demand.bytes_per_s == 700)
    }
}
