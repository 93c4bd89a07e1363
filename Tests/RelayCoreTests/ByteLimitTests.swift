import Core
import Testing

@testable import RelayCore

/// A tunnel's bytes a second at its owner and at the relays where others of its players are.
struct ByteLimitTests {
    private let now = Instant(nanoseconds: 1_000_000_000)

    private func owner(_ limit: Int?) -> ByteLimit {
        var bytes = ByteLimit(limit: limit)
        bytes.roleChanged(isOwner: true)
        return bytes
    }

    @Test func withoutALimitNobodyHasOneAndNobodyIsToldAnything() {
        var bytes = owner(nil)
        #expect(bytes.rate(relays: 3, now: now) == nil)
        let isNew = bytes.reported(players: 4, demand: 9, at: "r2", now: now)
        #expect(isNew)
        #expect(bytes.grants.isEmpty)
        #expect(bytes.wanted_bytes_per_s == 0)
    }

    @Test func theOwnerHasAllWhileNobodyPlaysElsewhere() {
        var bytes = owner(900)
        #expect(bytes.rate(relays: 3, now: now) == 900)
        var isNew = bytes.admitted(at: "r2", now: now)
        #expect(isNew)
        #expect(bytes.grants.keys.sorted() == ["r2"])
        isNew = bytes.reported(players: 1, demand: 900, at: "r2", now: now)
        #expect(!isNew)
        bytes.measured(bytes: 0, isHeldBack: true, now: now)
        #expect(bytes.rate(relays: 3, now: now) == 450)
        #expect(bytes.grants == ["r2": 450])
        isNew = bytes.reported(players: 0, demand: 900, at: "r2", now: now)
        #expect(!isNew)
        #expect(bytes.rate(relays: 3, now: now) == 900)
        #expect(bytes.grants.isEmpty)
    }

    @Test func anotherRelayObeysTheOwnerAndHasAnEvenPartWhileItIsSilent() {
        var bytes = ByteLimit(limit: 900)
        #expect(bytes.rate(relays: 3, now: now) == 300)
        bytes.granted(800, now: now)
        #expect(bytes.rate(relays: 3, now: now) == 800)
        #expect(bytes.grants.isEmpty)
        bytes.measured(bytes: 0, isHeldBack: false, now: now)
        #expect(bytes.wanted_bytes_per_s == 900)
        bytes.limitChanged(90)
        #expect(bytes.rate(relays: 3, now: now) == 80)
        #expect(bytes.wanted_bytes_per_s == 90)
        bytes.limitChanged(nil)
        #expect(bytes.rate(relays: 3, now: now) == nil)
        bytes.limitChanged(600)
        #expect(bytes.rate(relays: 3, now: now + .seconds(3)) == 200)
    }

    @Test func aStandbyThatBecomesOwnerKnowsTheOthersAlready() {
        var bytes = ByteLimit(limit: 900)
        bytes.granted(100, now: now)
        _ = bytes.reported(players: 1, demand: 900, at: "r3", now: now)
        bytes.measured(bytes: 0, isHeldBack: true, now: now)
        bytes.roleChanged(isOwner: true)
        #expect(bytes.rate(relays: 3, now: now) == 450)
        #expect(bytes.grants == ["r3": 450])
        bytes.roleChanged(isOwner: false)
        #expect(bytes.rate(relays: 3, now: now) == 100)
    }

    @Test func aLimitThatComesWhileSomePlayIsDividedEvenlyAtFirst() {
        var bytes = owner(nil)
        _ = bytes.reported(players: 1, demand: 0, at: "r2", now: now)
        bytes.limitChanged(800)
        bytes.measured(bytes: 0, isHeldBack: true, now: now)
        #expect(bytes.grants == ["r2": 400])
        #expect(bytes.rate(relays: 2, now: now) == 400)
    }

    @Test func whoStoppedPlayingHereLeavesTheBytesToTheOthers() {
        var bytes = owner(1600)
        _ = bytes.reported(players: 1, demand: 1600, at: "r2", now: now)
        bytes.measured(bytes: 0, isHeldBack: true, now: now)
        bytes.unused(now: now)
        #expect(bytes.grants == ["r2": 1500])
        // A relay that says nothing any more is gone for it.
        bytes.unused(now: now + ByteShares.silence)
        #expect(bytes.grants.isEmpty)
        #expect(bytes.rate(relays: 2, now: now) == 1600)
    }
}
