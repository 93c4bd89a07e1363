import Core
import Testing
import Wire

@testable import RelayCore

/// Where a name leads, by what the region's assignments and this relay's own links say.
@Suite struct RouteTableTests {
    static let start = Instant(nanoseconds: 1_000_000_000)
    static let name = "home.eu.example.org"

    private func ticket(
        generation: Int = 1, session: String = "ses_1", hostnames: [String] = [name], limits: Limits = .none
    ) -> Ticket {
        Ticket(
            relay: "r1", tunnel: "t-home", account: "acc_1", session: session, generation: generation,
            region: "eu", hostnames: hostnames, limits: limits, issuedAt: WallTime(seconds: 0))
    }

    private func assignment(
        _ hostnames: [String] = [name], owner: String? = "r1", generation: Int = 1,
        limits: Limits = .none, state: TunnelState = .online
    ) -> Assignment {
        Assignment(
            tunnel: "t-home", account: "acc_1", hostnames: hostnames, owner: owner, generation: generation,
            session: "ses_1", limits: limits, state: state)
    }

    private func apply(
        _ upserts: [Assignment], deletes: [String] = [], to table: inout RouteTable, now: Instant = start
    ) {
        let rev = table.position?.rev ?? 0
        let delta = RegionDelta(
            epoch: 1, region: "eu", prevRev: rev, rev: rev + 1, upserts: upserts, deletes: deletes)
        let outcome = table.apply(.delta(delta), fromControlPlane: false, now: now)
        guard case .applied = outcome else {
            Issue.record("not applied: \(outcome)")
            return
        }
    }

    private func find(_ table: RouteTable, _ name: String = name, after_ms: Int = 0) -> RouteTable.Answer {
        table.find(name, relay: "r1", now: Self.start + Milliseconds(after_ms))
    }

    @Test func aNameLeadsWhereItsAssignmentSays() {
        var table = RouteTable()
        #expect(find(table) == .unknown)
        apply([assignment(limits: Limits(players: 3))], to: &table)
        #expect(find(table) == .here(tunnel: "t-home", Limits(players: 3)))
        apply([assignment(owner: nil, generation: 2)], to: &table)
        #expect(find(table) == .unplaced)
        apply([assignment(generation: 2, state: .suspended)], to: &table)
        #expect(find(table) == .suspended)
        apply([], deletes: ["t-home"], to: &table)
        #expect(find(table) == .unknown)
    }

    @Test func aTunnelOfOtherRelaysIsAskedForUnlessItsLinkIsHere() {
        var table = RouteTable()
        apply([assignment(owner: "r2", limits: Limits(players: 3))], to: &table)
        #expect(find(table) == .elsewhere(tunnel: "t-home", Limits(players: 3)))
        table.linkUp(ticket(limits: Limits(players: 9)), now: Self.start)
        #expect(find(table) == .here(tunnel: "t-home", Limits(players: 3)))
        table.linkUp(ticket(generation: 2, limits: Limits(players: 9)), now: Self.start)
        #expect(find(table) == .here(tunnel: "t-home", Limits(players: 9)))
    }

    @Test func whoHasNoLinkAnswersWhyThereIsNone() {
        var table = RouteTable()
        #expect(table.answer("t-home", relay: "r1") == .noLink)
        apply([assignment()], to: &table)
        #expect(table.answer("t-home", relay: "r1") == .noLink)
        table.fellAsleep("t-home", generation: 1)
        #expect(table.answer("t-home", relay: "r1") == .asleep)
        // Only the owner's word about sleep counts.
        apply([assignment(owner: "r2")], to: &table)
        #expect(table.answer("t-home", relay: "r1") == .noLink)
        apply([assignment(state: .suspended)], to: &table)
        #expect(table.answer("t-home", relay: "r1") == .suspended)
    }

    @Test func aTicketCountsWhenTheAssignmentIsTwoSecondsLate() {
        var table = RouteTable()
        table.linkUp(ticket(limits: Limits(players: 2)), now: Self.start)
        #expect(find(table, after_ms: 1999) == .soon)
        #expect(find(table, after_ms: 2000) == .here(tunnel: "t-home", Limits(players: 2)))
        table.linkDown(tunnel: "t-home")
        #expect(find(table, after_ms: 2000) == .unknown)
    }

    /// Promise: a name that was detached leads nowhere, though a link's ticket still carries it.
    @Test func anAssignmentWithoutANameCountsMoreThanAnOlderTicketWithIt() {
        let both = [Self.name, "play.example.com"]
        func isHere(_ table: RouteTable, _ name: String) -> Bool {
            if case .here = find(table, name, after_ms: 60_000) { true } else { false }
        }
        var table = RouteTable()
        apply([assignment(both)], to: &table)
        table.linkUp(ticket(hostnames: both), now: Self.start)
        #expect(isHere(table, Self.name) && isHere(table, "play.example.com"))
        apply([assignment()], to: &table)
        #expect(isHere(table, Self.name) && !isHere(table, "play.example.com"))
        // A ticket of a newer generation than the assignment knows more than it.
        table.linkUp(
            ticket(generation: 2, session: "ses_2", hostnames: [Self.name, "new.example.com"]),
            now: Self.start)
        #expect(isHere(table, "new.example.com"))
    }

    @Test func aTunnelSleepsUntilItsNextLinkOrPlacement() {
        var table = RouteTable()
        apply([assignment()], to: &table)
        table.fellAsleep("t-home", generation: 1)
        #expect(find(table) == .asleep)
        apply([assignment(limits: Limits(players: 1))], to: &table)
        #expect(find(table) == .asleep, "another limit is no reason to wake up")
        table.linkUp(ticket(), now: Self.start)
        #expect(find(table) != .asleep)
        table.fellAsleep("t-home", generation: 1)
        apply([assignment(generation: 2)], to: &table)
        #expect(find(table) != .asleep)
    }

    @Test func aDeletedTunnelsTicketsAreOldForAsLongAsTheyCouldBeUsed() {
        var table = RouteTable()
        apply([assignment(generation: 4)], to: &table)
        #expect(table.generation(of: "t-home") == 4)
        apply([], deletes: ["t-home"], to: &table)
        #expect(table.generation(of: "t-home") == .max)
        let later = Self.start + .seconds(Int(2 * Ticket.lifetime_s))
        apply([], to: &table, now: later)
        #expect(table.generation(of: "t-home") == nil)
    }

    @Test func limitsComeFromAnAssignmentThatIsNotOlder() {
        var table = RouteTable()
        apply([assignment(generation: 2, limits: Limits(players: 9))], to: &table)
        #expect(table.limits(of: "t-home", generation: 2) == Limits(players: 9))
        #expect(table.limits(of: "t-home", generation: 3) == nil)
    }

    // MARK: tunnels that were deleted before their assignment came

    @Test func aLinkWhoseTunnelWasDeletedBeforeItWasHeardOfGoesWithTheNews() {
        var table = RouteTable()
        apply([], to: &table)
        table.linkUp(ticket(), now: Self.start)
        let delta = RegionDelta(
            epoch: 1, region: "eu", prevRev: 1, rev: 3, deletes: ["t-home"], isCumulative: true)
        let outcome = table.apply(.delta(delta), fromControlPlane: true, now: Self.start)
        #expect(outcome == .applied(tunnels: ["t-home"]))
        #expect((table.generation(of: "t-home") ?? 0) > 1)
    }

    @Test func aTicketOfAGenerationThatNobodyHeardOfBeforeTheTunnelWasDeletedIsWorthNothing() {
        for isWhole in [false, true] {
            var table = RouteTable()
            apply([assignment(generation: 2)], to: &table)
            let message: AssignmentMessage =
                isWhole
                ? .snapshot(RegionSnapshot(epoch: 1, region: "eu", rev: 9, assignments: [], relays: []))
                : .delta(
                    RegionDelta(
                        epoch: 1, region: "eu", prevRev: 1, rev: 3, deletes: ["t-home"], isCumulative: true))
            #expect(
                table.apply(message, fromControlPlane: true, now: Self.start)
                    == .applied(tunnels: ["t-home"]))
            #expect((table.generation(of: "t-home") ?? 0) > 3)
        }
    }

    @Test func aTicketForATunnelThatWasDeletedUnheardOfIsWorthNothing() {
        var table = RouteTable()
        apply([], deletes: ["t-home"], to: &table)
        #expect((table.generation(of: "t-home") ?? 0) > 1)
    }

    @Test func aLinkWhoseTunnelStaysUnknownGoesInTheEnd() throws {
        var table = RouteTable()
        apply([], to: &table)
        table.linkUp(ticket(), now: Self.start)
        let beacon = AssignmentMessage.beacon(try #require(table.position))
        func told(after_s: Int) -> RegionState.Outcome {
            table.apply(beacon, fromControlPlane: false, now: Self.start + .seconds(after_s))
        }
        #expect(told(after_s: 29) == .current)
        #expect(told(after_s: 30) == .applied(tunnels: ["t-home"]))
        #expect(table.generation(of: "t-home") == 2)
        table.linkDown(tunnel: "t-home")
        #expect(told(after_s: 31) == .current)
    }

    @Test func aLinkWhoseAssignmentCameLateStays() throws {
        var table = RouteTable()
        apply([], to: &table)
        table.linkUp(ticket(), now: Self.start)
        apply([assignment()], to: &table)
        let beacon = AssignmentMessage.beacon(try #require(table.position))
        #expect(table.apply(beacon, fromControlPlane: false, now: Self.start + .seconds(60)) == .current)
    }
}
