import Core
import Testing
import Wire

@testable import RelayCore

/// How many play elsewhere, as the relay that lets players in counts.
struct RemotePlayersTests {
    private var remote = RemotePlayers()
    private var now = Instant(nanoseconds: 1_000_000_000)
    private var random = Seeded(7)

    private mutating func nonce() -> Nonce { Nonce(loop: 0, using: &random) }

    @Test mutating func reportsOfSeveralRelaysAddUp() {
        remote.reported(2, at: "r2", now: now)
        remote.reported(3, at: "r3", now: now)
        #expect(remote.logins == 5)
        remote.reported(1, at: "r2", now: now)
        #expect(remote.logins == 4)
        remote.reported(0, at: "r3", now: now)
        remote.reported(0, at: "r2", now: now)
        #expect(remote.logins == 0)
        #expect(remote.isEmpty)
        #expect(remote.nextDue == nil)
    }

    @Test mutating func whoWasLetInCountsUntilAReportCoversThem() {
        let first = nonce()
        let second = nonce()
        remote.admit(first, at: "r2", now: now)
        #expect(remote.logins == 1)
        // This report was made before the relay heard of either.
        remote.reported(0, at: "r2", now: now)
        remote.admit(second, at: "r2", now: now)
        #expect(remote.logins == 2)
        // This one when it had heard of the first, and that player was there.
        remote.settled([first], at: "r2")
        remote.reported(1, at: "r2", now: now)
        #expect(remote.logins == 2)
        // The first has left meanwhile, the second came.
        remote.settled([second], at: "r2")
        remote.reported(1, at: "r2", now: now)
        #expect(remote.logins == 1)
    }

    @Test mutating func askingTwiceForOnePlayerCountsOnce() {
        let one = nonce()
        remote.admit(one, at: "r2", now: now)
        #expect(remote.isAdmitted(one))
        remote.admit(one, at: "r2", now: now)
        #expect(remote.logins == 1)
    }

    @Test mutating func nobodySettlesWhatAnotherRelayWasPromised() {
        let one = nonce()
        remote.admit(one, at: "r2", now: now)
        remote.settled([one], at: "r3")
        #expect(remote.logins == 1)
    }

    @Test mutating func anAdmissionThatNobodyTookEnds() {
        let one = nonce()
        remote.admit(one, at: "r2", now: now)
        #expect(remote.nextDue == now + RemotePlayers.admission)
        remote.expire(now: now + .seconds(4))
        #expect(remote.logins == 1)
        remote.expire(now: now + .seconds(5))
        #expect(remote.isEmpty)
    }

    @Test mutating func aSilentRelayCountsNoMore() {
        remote.reported(4, at: "r2", now: now)
        remote.reported(1, at: "r3", now: now)
        for second in 1...5 {
            remote.reported(1, at: "r3", now: now + .seconds(second))
            remote.expire(now: now + .seconds(second))
            #expect(remote.logins == 5)
        }
        #expect(remote.nextDue == now + RemotePlayers.silence)
        remote.expire(now: now + RemotePlayers.silence)
        #expect(remote.logins == 1)
    }

    @Test mutating func aRelayThatIsGoneTakesItsPlayersAndPromisesAlong() {
        remote.reported(4, at: "r2", now: now)
        let one = nonce()
        remote.admit(one, at: "r2", now: now)
        remote.reported(1, at: "r3", now: now)
        remote.forget("r2")
        #expect(remote.logins == 1)
    }

    @Test mutating func aLyingRelayIsBounded() {
        remote.reported(.max, at: "r2", now: now)
        remote.reported(.max, at: "r3", now: now)
        remote.reported(.min, at: "r4", now: now)
        #expect(remote.logins == 2 * RemotePlayers.mostPlayers)
        for _ in 0..<5000 {
            let one = nonce()
            remote.admit(one, at: "r5", now: now)
        }
        #expect(remote.isCrowded)
        #expect(remote.logins == 2 * RemotePlayers.mostPlayers + RemotePlayers.mostAdmissions)
    }
}
