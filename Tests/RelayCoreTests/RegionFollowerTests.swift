import Core
import Testing
import Wire

@testable import RelayCore

/// A follower with invented time.
private struct Following {
    var follower = RegionFollower()
    var now = Instant(nanoseconds: 1_000_000_000)

    static let beacon = AssignmentMessage.beacon(RegionBeacon(epoch: 1, region: "eu", rev: 7, digest: "d"))
    static let delta = AssignmentMessage.delta(RegionDelta(epoch: 1, region: "eu", prevRev: 6, rev: 7))

    mutating func pass(_ milliseconds: Int) { now = now + Milliseconds(milliseconds) }

    /// Started, with the first answer applied and a beacon just heard.
    static func settled() -> Following {
        var following = Following()
        _ = following.follower.start(now: following.now)
        _ = following.pulled(.applied(tunnels: []))
        _ = following.heard(beacon, .current)
        return following
    }

    mutating func tick() -> [RegionFollower.Action] { follower.tick(now: now) }
    mutating func pulled(_ outcome: RegionState.Outcome) -> [RegionFollower.Action] {
        follower.pulled(outcome, now: now, jitter: 1)
    }
    mutating func heard(_ message: AssignmentMessage, _ outcome: RegionState.Outcome)
        -> [RegionFollower.Action]
    {
        follower.heard(message, outcome, now: now)
    }
}

struct RegionFollowerTests {
    @Test func aRelayAsksTheControlPlaneAtItsStart() {
        var following = Following()
        #expect(following.follower.start(now: following.now) == [.pull(wait_s: 0)])
    }

    @Test func nothingIsAskedBeforeTheStart() {
        var following = Following()
        following.pass(60_000)
        #expect(following.tick().isEmpty)
    }

    @Test func theSnapshotIsLoadedOnceTheChannelIsSubscribed() {
        var following = Following()
        #expect(following.follower.subscribed() == [.loadSnapshot])
    }

    @Test func aMissingSnapshotIsNoEvidenceButAQuestion() {
        var following = Following.settled()
        #expect(following.follower.snapshotMissing() == [.pull(wait_s: 0)])
    }

    /// The control plane that holds the poll may have stopped for good while another one tells by Redis.
    @Test func aGapDuringALongPollIsLookedForInRedis() {
        var following = Following.settled()
        following.pass(2500)
        #expect(following.tick() == [.pull(wait_s: 20)])
        #expect(following.heard(Following.beacon, .gap) == [.loadSnapshot])
        #expect(following.pulled(.current) == [.pull(wait_s: 0)])
    }

    @Test func aGapInTheDeltasIsPulled() {
        var following = Following.settled()
        #expect(following.heard(Following.delta, .gap) == [.pull(wait_s: 0)])
    }

    @Test func aGapThatABeaconShowsIsPulled() {
        var following = Following.settled()
        #expect(following.heard(Following.beacon, .gap) == [.pull(wait_s: 0)])
    }

    @Test func whatFitsIsNotAskedAbout() {
        var following = Following.settled()
        #expect(following.heard(Following.delta, .applied(tunnels: ["t"])).isEmpty)
        #expect(following.heard(Following.beacon, .current).isEmpty)
        #expect(following.heard(Following.delta, .stale).isEmpty)
    }

    @Test func onlyOnePullIsUnderWayAndOneMoreFollowsForAllThatCameMeanwhile() {
        var following = Following.settled()
        #expect(following.heard(Following.delta, .gap) == [.pull(wait_s: 0)])
        #expect(following.heard(Following.delta, .gap).isEmpty)
        #expect(following.heard(Following.beacon, .gap).isEmpty)
        #expect(following.tick().isEmpty)
        #expect(following.pulled(.applied(tunnels: [])) == [.pull(wait_s: 0)])
        #expect(following.pulled(.current).isEmpty)
    }

    @Test func whileBeaconsComeNobodyAsks() {
        var following = Following.settled()
        for _ in 0..<30 {
            following.pass(500)
            #expect(following.tick().isEmpty)
            following.pass(500)
            #expect(following.heard(Following.beacon, .current).isEmpty)
            #expect(following.tick().isEmpty)
        }
    }

    @Test func withoutABeaconForTwoSecondsALongPollIsHeld() {
        var following = Following.settled()
        following.pass(1999)
        #expect(following.tick().isEmpty)
        following.pass(1)
        #expect(!following.follower.hearsRedis(now: following.now))
        #expect(following.tick() == [.pull(wait_s: 20)])
        #expect(following.tick().isEmpty)
        // An answer without news is followed by the next poll, and by none once Redis is back.
        #expect(following.pulled(.current).isEmpty)
        #expect(following.tick() == [.pull(wait_s: 20)])
        _ = following.heard(Following.beacon, .current)
        #expect(following.pulled(.current).isEmpty)
        #expect(following.tick().isEmpty)
    }

    @Test func beaconsOfADeposedLeaderDoNotCount() {
        var following = Following.settled()
        for _ in 0..<2 {
            following.pass(1000)
            #expect(following.heard(Following.beacon, .stale).isEmpty)
        }
        #expect(following.tick() == [.pull(wait_s: 20)])
    }

    @Test func aGapThatTheNextRevisionsDoNotCloseNeedsTheWholeRegion() {
        var following = Following.settled()
        _ = following.heard(Following.beacon, .gap)
        // The revision is the same, the contents differ: there is nothing that follows.
        #expect(following.pulled(.gap) == [.pullWhole])
        #expect(following.pulled(.applied(tunnels: [])).isEmpty)
        #expect(following.heard(Following.beacon, .gap) == [.pull(wait_s: 0)])
    }

    @Test func anAnswerThatNeverFitsIsNotAskedForInALoop() {
        var following = Following.settled()
        _ = following.heard(Following.beacon, .gap)
        var asked = 0
        var outcome = following.pulled(.gap)
        for _ in 0..<120 {  // a minute
            while !outcome.isEmpty {
                asked += outcome.count
                #expect(outcome == [.pullWhole])
                outcome = following.pulled(.gap)
            }
            following.pass(500)
            _ = following.heard(Following.beacon, .gap)
            outcome = following.tick()
        }
        #expect((5...20).contains(asked))
    }

    @Test func failuresBackOffToTenSecondsAndASuccessForgetsThem() {
        var following = Following.settled()
        _ = following.heard(Following.delta, .gap)
        var delays: [Int] = []
        for _ in 0..<8 {
            let failedAt = following.now
            following.follower.pullFailed(now: following.now, jitter: 1)
            // What comes meanwhile does not hurry it.
            #expect(following.heard(Following.delta, .gap).isEmpty)
            var actions: [RegionFollower.Action] = []
            while actions.isEmpty {
                following.pass(1)
                actions = following.tick()
            }
            #expect(actions == [.pull(wait_s: 0)])
            delays.append(following.now.since(failedAt).count)
        }
        #expect(delays == [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000])
        _ = following.pulled(.current)
        _ = following.heard(Following.delta, .gap)
        let failedAt = following.now
        following.follower.pullFailed(now: following.now, jitter: 0)
        while following.tick().isEmpty { following.pass(1) }
        #expect(following.now.since(failedAt).count == 125)
    }

    @Test func whateverHappensAtMostOnePullIsUnderWayAndSilenceIsAlwaysPolled() {
        for seed in 0..<50 {
            var random = Seeded(UInt64(seed))
            var following = Following()
            var underWay = 0
            func count(_ actions: [RegionFollower.Action]) {
                for action in actions where action != .loadSnapshot { underWay += 1 }
                #expect(underWay <= 1, "seed \(seed)")
            }
            count(following.follower.start(now: following.now))
            let outcomes: [RegionState.Outcome] = [.applied(tunnels: []), .current, .stale, .gap]
            for _ in 0..<500 {
                following.pass(Int.random(in: 0...700, using: &random))
                switch Int.random(in: 0...6, using: &random) {
                case 0: count(following.follower.subscribed())
                case 1: count(following.follower.snapshotMissing())
                case 2, 3:
                    let message = Bool.random(using: &random) ? Following.beacon : Following.delta
                    count(following.heard(message, outcomes.randomElement(using: &random) ?? .gap))
                case 4 where underWay == 1:
                    underWay = 0
                    if Bool.random(using: &random) {
                        count(following.pulled(outcomes.randomElement(using: &random) ?? .gap))
                    } else {
                        following.follower.pullFailed(now: following.now, jitter: 0.5)
                    }
                default: count(following.tick())
                }
            }
            // Redis falls silent: a poll is held at the latest when every back-off is over.
            for _ in 0..<30 {
                following.pass(500)
                count(following.tick())
            }
            #expect(underWay == 1, "seed \(seed)")
        }
    }
}
