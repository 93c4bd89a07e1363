import Core
import Testing
import Wire

@testable import RelayCore

/// Who is let in and who has to go.
@Suite struct LinkPolicyTests {
    private let policy = LinkPolicy(relay: "r1")

    private func ticket(generation: Int = 2, session: String = "ses_1", key: String? = "key-1") -> Ticket {
        Ticket(
            relay: "r1", tunnel: "t-home", account: "acc_1", session: session, agentKey: key,
            generation: generation, region: "eu", hostnames: [], limits: .none,
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

    // MARK: who has to go

    private func farewell(generation: Int = 2, session: String = "ses_1", _ assignment: Assignment)
        -> GoAwayReason?
    {
        policy.farewell(
            to: HeldLink(ticket(generation: generation, session: session)), under: assignment)
    }

    @Test func theAssignedSessionStaysAtItsOwner() {
        #expect(farewell(assignment()) == nil)
        #expect(farewell(assignment(generation: 5)) == nil)
    }

    @Test func aTicketThatIsNewerThanTheAssignmentStays() {
        #expect(farewell(generation: 3, session: "ses_2", assignment(owner: "r2")) == nil)
    }

    @Test func anotherSessionTakesTheTunnelOver() {
        #expect(farewell(assignment(generation: 3, session: "ses_2")) == .replaced)
        #expect(farewell(assignment(owner: "r2", generation: 3, session: "ses_2")) == .replaced)
    }

    @Test func aRevokedKeysLinkGoesHoweverNewItsTicket() {
        #expect(farewell(generation: 9, assignment(revoked: ["key-1"])) == .revoked)
    }

    @Test func aLinkThatIsReplacedByItsOwnSessionMayComeBack() {
        let held = HeldLink(ticket())
        #expect(policy.farewell(to: held, replacedBy: ticket()) == .unspecified)
        #expect(policy.farewell(to: held, replacedBy: ticket(session: "ses_2")) == .replaced)
    }
}
