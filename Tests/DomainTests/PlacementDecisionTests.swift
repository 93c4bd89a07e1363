import Core
import Domain
import Testing
import Wire

private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: 1 << 40) + Milliseconds(milliseconds) }

/// Where a tunnel lives, rule by rule.
@Suite struct PlacementDecisionTests {
    /// Reports that make a relay the worse the later it comes in the alphabet.
    private static func loads(_ relays: String, draining: String = "", full: String = "", scarce: String = "")
        -> RelayLoads
    {
        var loads = RelayLoads()
        for (number, relay) in relays.enumerated() {
            let id = String(relay)
            let free = full.contains(id) ? 10 : scarce.contains(id) ? 100 : 10_000
            loads.report(
                LoadReport(
                    relay: id, region: "eu", links: number * 100, connections: 990, freeDescriptors: free,
                    draining: draining.contains(id)), now: at(0))
        }
        return loads
    }

    /// Relays `a`, `b`, … of one letter each; those of `draining`, `lost` and `gone` are that.
    private func decide(
        _ wish: PlacementWish, _ present: PresentPlacement? = nil, relays: String = "abc",
        draining: String = "", lost: String = "", loads: RelayLoads? = nil, hasPriority: Bool = false,
        at now: Int = 0
    ) -> PlacementDecision {
        let infos = relays.map { letter in
            let id = String(letter)
            return RelayInfo(
                id: id, region: "eu", endpoint: "\(id).example:7000", fingerprint: "",
                state: lost.contains(id) ? .lost : draining.contains(id) ? .draining : .active)
        }
        let question = PlacementQuestion(
            tunnel: "t", wish: wish, present: present, relays: infos, hasPriority: hasPriority)
        let known = loads ?? Self.loads(relays)
        let decisions = Set(
            (UInt64(0)..<20).map { seed in
                var random = SeededGenerator(seed: seed)
                return question.decision(by: known, now: at(now), using: &random)
            })
        #expect(decisions.count == 1)
        return decisions.first ?? .noRelay
    }

    private func present(
        _ owner: String?, _ standby: String? = nil, previous: String? = nil, session: String? = "s1",
        replaced: [String] = []
    ) -> PresentPlacement {
        PresentPlacement(
            owner: owner, standby: standby, previousOwner: previous, generation: 3, session: session,
            replacedSessions: replaced)
    }

    private func seats(_ owner: String, _ standby: String? = nil, previous: String? = nil)
        -> PlacementDecision
    {
        .place(PlacementSeats(owner: owner, standby: standby, previousOwner: previous))
    }

    private let mine = PlacementWish.session("s1", excluding: [])
    private func mine(without excluded: Set<String>) -> PlacementWish {
        .session("s1", excluding: excluded)
    }

    // MARK: the first time

    @Test func theTwoLeastLoadedBecomeOwnerAndStandby() {
        #expect(decide(mine) == seats("a", "b"))
    }

    @Test func oneRelayAloneHasNoStandby() {
        #expect(decide(mine, relays: "a") == seats("a"))
    }

    @Test func withoutRelaysThereIsNoPlace() {
        #expect(decide(mine, relays: "") == .noRelay)
    }

    @Test func theStandbyIsNeverTheOwner() {
        for relays in ["a", "ab", "abc"] {
            for now in [0, 10_000] {
                guard case .place(let seats) = decide(mine, relays: relays, at: now) else {
                    Issue.record("not placed")
                    continue
                }
                #expect(seats.owner != seats.standby)
            }
        }
    }

    // MARK: the same session

    @Test func theSameSessionKeepsWhatIsGoodThoughOthersAreLessLoaded() {
        #expect(decide(mine, present("c", "b")) == .keep)
    }

    @Test func aMissingStandbyIsGivenUnderTheSameOwner() {
        #expect(decide(mine, present("c", previous: "b")) == seats("c", "a", previous: "b"))
        #expect(decide(mine, present("a"), relays: "a") == .keep)
    }

    @Test func aBadStandbyIsReplaced() {
        #expect(decide(mine(without: ["b"]), present("c", "b")) == seats("c", "a"))
        #expect(decide(mine, present("c", "b"), draining: "b") == seats("c", "a"))
        #expect(decide(mine, present("c", "b"), lost: "b") == seats("c", "a"))
        #expect(decide(mine, present("c", "x")) == seats("c", "a"))
    }

    @Test func aStandbyThatLeavesIsDroppedEvenWithoutAnother() {
        #expect(decide(mine, present("a", "b"), relays: "ab", draining: "b") == seats("a"))
        #expect(decide(mine, present("a", "b"), relays: "ab", lost: "b") == seats("a"))
        #expect(decide(mine, present("a", "b"), relays: "a") == seats("a"))
    }

    @Test func aStandbyThatTheAgentCouldNotReachStaysWhenThereIsNoOther() {
        #expect(decide(mine(without: ["b"]), present("a", "b"), relays: "ab") == .keep)
        #expect(decide(mine(without: ["b"]), present("a", "b"), relays: "abc", draining: "c") == .keep)
    }

    @Test func aGoodStandbyIsPromotedThoughOthersAreLessLoaded() {
        let next = seats("c", "a", previous: "b")
        #expect(decide(mine(without: ["b"]), present("b", "c")) == next)
        #expect(decide(mine, present("b", "c"), draining: "b") == next)
        #expect(decide(mine, present("b", "c"), lost: "b") == next)
        #expect(decide(mine, present("x", "c")) == seats("c", "a", previous: "x"))
    }

    @Test func aPromotedStandbyStandsAloneWhenThereIsNoThirdRelay() {
        #expect(decide(mine(without: ["a"]), present("a", "b"), relays: "ab") == seats("b", previous: "a"))
    }

    @Test func withoutAGoodStandbyBothAreChosenAnew() {
        #expect(
            decide(mine(without: ["c"]), present("c", "d"), relays: "abcd", lost: "d")
                == seats("a", "b", previous: "c"))
        #expect(decide(mine(without: ["c"]), present("c")) == seats("a", "b", previous: "c"))
    }

    @Test func worseRelaysComeLastRatherThanNever() {
        // A draining one that works before one that cannot be reached.
        #expect(decide(mine(without: ["a"]), relays: "ab", draining: "b") == seats("b"))
        #expect(decide(mine(without: ["a"]), relays: "abc", draining: "b") == seats("c"))
        #expect(decide(mine, relays: "ab", draining: "ab") == seats("a"))
        #expect(decide(mine(without: ["a", "b"]), relays: "ab", draining: "b") == seats("a"))
        #expect(decide(mine(without: ["b"]), relays: "ab", lost: "a") == seats("b"))
        #expect(decide(mine, relays: "ab", draining: "b", lost: "a") == seats("b"))
        #expect(decide(mine, relays: "ab", lost: "ab") == seats("a"))
    }

    @Test func whereNothingIsBetterNothingChanges() {
        #expect(decide(mine(without: ["a"]), present("a"), relays: "a") == .keep)
        #expect(decide(mine(without: ["a", "b"]), present("a", "b"), relays: "ab") == .keep)
        #expect(decide(mine, present("a"), relays: "a", draining: "a") == .keep)
        #expect(decide(mine, present("a"), relays: "a", lost: "a") == .keep)
    }

    @Test func aRelayThatSaysItDrainsIsAvoidedBeforeTheDatabaseKnows() {
        let loads = Self.loads("abc", draining: "a")
        #expect(decide(mine, loads: loads) == seats("b", "c"))
        #expect(decide(mine, present("a", "b"), loads: loads) == seats("b", "c", previous: "a"))
    }

    @Test func aRelayThatFellSilentIsNoNewStandby() {
        var loads = Self.loads("ab")
        loads.report(LoadReport(relay: "a", region: "eu"), now: at(10_000))
        #expect(decide(mine, relays: "ab", loads: loads, at: 10_000) == seats("a"))
        #expect(decide(mine, present("b", "a"), relays: "ab", loads: loads, at: 10_000) == .keep)
        // One that was never heard may have come just now.
        #expect(decide(mine, relays: "ac", loads: loads, at: 10_000) == seats("a", "c"))
        // When nobody is heard it is no sign.
        #expect(decide(mine, relays: "ab", loads: loads, at: 60_000) == seats("a", "b"))
    }

    // MARK: other sessions

    @Test func anotherSessionHasBothChosenAnew() {
        let other = PlacementWish.session("s2", excluding: [])
        #expect(decide(other, present("c", "b", previous: "a")) == seats("a", "b", previous: "c"))
        // The same relays under another session are another placement.
        #expect(decide(other, present("a", "b", previous: "c")) == seats("a", "b", previous: "c"))
    }

    @Test func aSessionThatWasReplacedStaysReplaced() {
        #expect(decide(mine, present("a", "b", session: "s2", replaced: ["s0", "s1"])) == .wasReplaced)
        #expect(decide(mine, present("a", "b", session: "s2", replaced: ["s0"])) == seats("a", "b"))
    }

    @Test func afterARevokedKeyBothAreChosenAnew() {
        #expect(decide(mine, present(nil, previous: "c", session: nil)) == seats("a", "b", previous: "c"))
        #expect(decide(mine, present(nil, previous: "a", session: nil)) == seats("a", "b"))
    }

    // MARK: little room

    @Test func aFullRelayTakesNothingNew() {
        #expect(decide(mine, loads: Self.loads("abc", full: "a")) == seats("b", "c"))
        #expect(decide(mine, loads: Self.loads("abc", full: "ac")) == seats("b"))
        #expect(decide(mine, loads: Self.loads("abc", full: "abc")) == .full)
    }

    @Test func whereThereIsLittleRoomPlansWithPriorityGoFirst() {
        let loads = Self.loads("abc", full: "a", scarce: "bc")
        #expect(decide(mine, loads: loads) == .full)
        #expect(decide(mine, loads: loads, hasPriority: true) == seats("b", "c"))
    }

    @Test func whoHasAPlaceKeepsItHoweverFullItIs() {
        let loads = Self.loads("abc", full: "abc")
        #expect(decide(mine, present("a", "b"), loads: loads) == .keep)
        #expect(decide(mine, present("a"), loads: loads) == .keep)
        #expect(decide(mine, present("a"), draining: "a", loads: loads) == .keep)
        // Its link to the standby is there already.
        #expect(decide(mine(without: ["a"]), present("a", "b"), loads: loads) == seats("b", previous: "a"))
        #expect(decide(mine, present("a"), lost: "a", loads: loads) == .full)
    }

    // MARK: the orchestrator

    @Test func repairPromotesAndReplaces() {
        #expect(decide(.repair, present("b", "c"), lost: "b") == seats("c", "a", previous: "b"))
        #expect(decide(.repair, present("b", "c"), draining: "b") == seats("c", "a", previous: "b"))
        #expect(decide(.repair, present("c", "b"), lost: "b") == seats("c", "a"))
        #expect(decide(.repair, present("c")) == seats("c", "a"))
        #expect(decide(.repair, present("c"), lost: "c") == seats("a", "b", previous: "c"))
    }

    @Test func repairLeavesAloneWhatIsGoodOrCannotBeBettered() {
        #expect(decide(.repair, present("c", "b")) == .keep)
        #expect(decide(.repair, present("a"), relays: "a", lost: "a") == .keep)
        #expect(decide(.repair, present("a"), relays: "") == .keep)
        #expect(decide(.repair, present("a"), lost: "a", loads: Self.loads("abc", full: "abc")) == .keep)
        #expect(decide(.repair, present(nil, session: nil)) == .keep)
        #expect(decide(.repair, nil) == .keep)
    }

    @Test func anOwnerIsMovedToARelayThatIsGood() {
        #expect(decide(.moveOwner(to: "c"), present("a", "b")) == seats("c", "b", previous: "a"))
        #expect(decide(.moveOwner(to: "b"), present("a", "b")) == seats("b", "a", previous: "a"))
        #expect(decide(.moveOwner(to: "a"), present("a", "b")) == .keep)
        #expect(decide(.moveOwner(to: "c"), present("a", "b"), draining: "c") == .keep)
        #expect(decide(.moveOwner(to: "x"), present("a", "b")) == .keep)
        #expect(
            decide(.moveOwner(to: "c"), present("a", "b"), loads: Self.loads("abc", full: "c")) == .keep)
    }

    @Test func aStandbyIsMovedToARelayThatIsGood() {
        #expect(
            decide(.moveStandby(to: "c"), present("a", "b", previous: "d")) == seats("a", "c", previous: "d"))
        #expect(decide(.moveStandby(to: "a"), present("a", "b")) == .keep)
        #expect(decide(.moveStandby(to: "b"), present("a", "b")) == .keep)
        #expect(decide(.moveStandby(to: "c"), present("a", "b"), lost: "c") == .keep)
    }

    // MARK: what is counted

    @Test func onlyLinksThatAreNotThereYetCount() {
        func coming(_ wish: PlacementWish, _ present: PresentPlacement?, _ seats: PlacementSeats) -> String {
            let links = PlacementQuestion(tunnel: "t", wish: wish, present: present, relays: [])
                .linksToCome(for: seats)
            return "\(links.owner ?? "-")\(links.standby ?? "-")"
        }
        #expect(coming(mine, nil, PlacementSeats(owner: "a", standby: "b")) == "ab")
        #expect(coming(mine, present("a", "b"), PlacementSeats(owner: "b", standby: "c")) == "-c")
        #expect(coming(.repair, present("a"), PlacementSeats(owner: "a", standby: "c")) == "-c")
        #expect(
            coming(
                .session("s2", excluding: []), present("a", "b"), PlacementSeats(owner: "a", standby: "b"))
                == "ab")
    }
}
