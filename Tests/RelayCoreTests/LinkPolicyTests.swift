import Core
import Testing
import Wire

@testable import RelayCore

/// Who is let in and who has to go.
@Suite struct LinkPolicyTests {
    private let policy = LinkPolicy(relay: "r1")

    private func ticket(
        generation: Int = 2, session: String = "ses_1", key: String? = "key-1", role: Ticket.Role = .owner
    ) -> Ticket {
        Ticket(
            relay: "r1", tunnel: "t-home", account: "acc_1", session: session, agentKey: key,
            generation: generation, role: role, region: "eu", hostnames: [], limits: .none,
            issuedAt: WallTime(seconds: 1000))
    }

    private func assignment(
        owner: String? = "r1", standby: String? = nil, generation: Int = 2, session: String? = "ses_1",
        state: TunnelState = .online, revoked: [String] = []
    ) -> Assignment {
        Assignment(
            tunnel: "t-home", account: "acc_1", hostnames: [], owner: owner, standby: standby,
            generation: generation, session: session, state: state, revokedKeys: revoked)
    }

    private func refusal(
        of ticket: Ticket, under assignment: Assignment?, newest: Int = 2, isDraining: Bool = false
    ) -> GoAwayReason? {
        policy.refusal(of: ticket, under: assignment, newest: newest, isDraining: isDraining)
    }

    // MARK: who is let in

    @Test func aTicketOfTheNewestGenerationIsLetIn() {
        #expect(refusal(of: ticket(), under: assignment()) == nil)
        #expect(refusal(of: ticket(), under: nil, newest: 0) == nil)
        #expect(refusal(of: ticket(generation: 3), under: assignment()) == nil)
    }

    @Test func anOlderGenerationIsNotLetIn() {
        #expect(refusal(of: ticket(generation: 1), under: assignment()) == .staleGeneration)
        #expect(refusal(of: ticket(), under: nil, newest: 3) == .staleGeneration)
    }

    @Test func whatIsRevokedOrSuspendedIsNotLetIn() {
        #expect(refusal(of: ticket(generation: 9), under: assignment(revoked: ["key-1"])) == .revoked)
        #expect(refusal(of: ticket(), under: assignment(revoked: ["key-2"])) == nil)
        #expect(refusal(of: ticket(), under: assignment(state: .suspended)) == .revoked)
    }

    @Test func aDrainingRelayLetsNobodyIn() {
        #expect(refusal(of: ticket(), under: assignment(), isDraining: true) == .draining)
    }

    @Test func anExpiredTicketCountsOnlyForThePlacementThatIsCurrent() {
        let late = WallTime(seconds: 1000 + Ticket.lifetime_s + 1)
        let before = WallTime(seconds: 1000 + Ticket.lifetime_s)
        #expect(policy.isInTime(ticket(), under: nil, now: before))
        #expect(policy.isInTime(ticket(), under: assignment(), now: late))
        #expect(!policy.isInTime(ticket(), under: nil, now: late))
        #expect(!policy.isInTime(ticket(), under: assignment(generation: 3), now: late))
        #expect(!policy.isInTime(ticket(), under: assignment(session: "ses_2"), now: late))
        #expect(!policy.isInTime(ticket(), under: assignment(owner: "r2"), now: late))
    }

    @Test func aStandbyIsLetInAsTheOwnerIs() {
        let standby = ticket(role: .standby)
        #expect(refusal(of: standby, under: assignment(owner: "r2", standby: "r1")) == nil)
        let late = WallTime(seconds: 1000 + Ticket.lifetime_s + 1)
        #expect(policy.isInTime(standby, under: assignment(owner: "r2", standby: "r1"), now: late))
    }

    /// Promise: one owner per tunnel and generation.
    @Test func aGenerationThatIsOthersIsNotTaken() {
        #expect(refusal(of: ticket(), under: assignment(owner: "r2", standby: "r3")) == .staleGeneration)
    }

    // MARK: who takes a newer ticket on

    private func renewal(
        _ ticket: Ticket, onto generation: Int = 2, under assignment: Assignment?
    ) -> GoAwayReason? {
        policy.refusal(
            ofRenewal: ticket, on: HeldLink(self.ticket(generation: generation)), under: assignment)
    }

    @Test func anOpenLinkTakesItsSessionsNewerTicketOn() {
        #expect(renewal(ticket(generation: 3), under: assignment(generation: 3)) == nil)
        #expect(renewal(ticket(generation: 3), under: assignment(generation: 2)) == nil)
        #expect(renewal(ticket(generation: 3), under: nil) == nil)
        // A ticket that the placement has overtaken on its way is no reason to cut a link that works.
        #expect(renewal(ticket(generation: 3), under: assignment(owner: "r2", generation: 4)) == nil)
    }

    @Test func anOpenLinkTakesNoOtherTicketOn() {
        #expect(renewal(ticket(generation: 1), under: assignment()) == .ticketRefused)
        #expect(renewal(ticket(generation: 3, session: "ses_2"), under: assignment()) == .ticketRefused)
        #expect(
            renewal(ticket(generation: 3, key: "key-2"), under: assignment(revoked: ["key-2"])) == .revoked)
        #expect(renewal(ticket(generation: 3), under: assignment(state: .suspended)) == .revoked)
    }

    // MARK: who has to go

    private func fate(
        generation: Int = 2, session: String = "ses_1", _ assignment: Assignment
    ) -> LinkPolicy.Fate {
        policy.fate(of: HeldLink(ticket(generation: generation, session: session)), under: assignment)
    }

    @Test func aLinkOfTheCurrentPlacementStays() {
        #expect(fate(assignment()) == .stays)
        #expect(fate(assignment(owner: "r2", standby: "r1")) == .stays)
    }

    @Test func aTicketThatIsNewerThanTheAssignmentStays() {
        #expect(fate(generation: 3, session: "ses_2", assignment(owner: "r2")) == .stays)
    }

    @Test func aSessionThatHasTheTunnelIsAskedToFollowItsPlacement() {
        #expect(fate(assignment(generation: 5)) == .migrates(leave: false))
        #expect(fate(assignment(owner: "r2", standby: "r1", generation: 5)) == .migrates(leave: false))
        #expect(fate(assignment(owner: "r2", standby: "r3", generation: 5)) == .migrates(leave: true))
    }

    @Test func anotherSessionTakesTheTunnelOver() {
        #expect(fate(assignment(generation: 3, session: "ses_2")) == .goes(.replaced))
        #expect(fate(assignment(owner: "r2", generation: 3, session: "ses_2")) == .goes(.replaced))
    }

    @Test func aPlacementThatEndedSendsItsLinkForANewOne() {
        #expect(fate(assignment(owner: nil, generation: 3, session: nil)) == .goes(.staleGeneration))
    }

    @Test func aRevokedKeysLinkGoesHoweverNewItsTicket() {
        #expect(fate(generation: 9, assignment(revoked: ["key-1"])) == .goes(.revoked))
    }

    @Test func whoIsOwnerIsSaidByTheNewerOfLinkAndAssignment() {
        let link = HeldLink(ticket(generation: 3))
        #expect(policy.isOwner(link, under: assignment(owner: "r2", generation: 2)))
        #expect(!policy.isOwner(link, under: assignment(owner: "r2", generation: 3)))
        #expect(!policy.isOwner(HeldLink(ticket(generation: 3, role: .standby)), under: assignment()))
        #expect(policy.isOwner(nil, under: assignment()))
        #expect(!policy.isOwner(nil, under: nil))
    }

    @Test func theOthersAreAskedInTheOrderOfTheirLikelihood() {
        var moved = assignment(owner: "r2", standby: "r3")
        moved.previousOwner = "r4"
        #expect(
            policy.place(with: nil, under: moved)
                == TunnelDesk.Place(isOwner: false, others: ["r2", "r3", "r4"]))
        // A relay does not ask itself, and nobody twice.
        moved.standby = "r1"
        moved.previousOwner = "r2"
        #expect(policy.place(with: nil, under: moved) == TunnelDesk.Place(isOwner: false, others: ["r2"]))
        #expect(policy.place(with: nil, under: assignment()) == TunnelDesk.Place(isOwner: true, others: []))
        #expect(policy.place(with: nil, under: nil) == TunnelDesk.Place(isOwner: false, others: []))
    }

    @Test func aLinkThatIsReplacedByItsOwnSessionMayComeBack() {
        let held = HeldLink(ticket())
        #expect(policy.farewell(to: held, replacedBy: ticket()) == .unspecified)
        #expect(policy.farewell(to: held, replacedBy: ticket(session: "ses_2")) == .replaced)
    }
}
