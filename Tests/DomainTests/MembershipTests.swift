import Domain
import Testing

@Suite struct MembershipTests {
    private func refusal(
        _ role: Role, to new: Role?, isSelf: Bool = false, granter: Role, owners: Int = 2
    ) -> Membership.Refusal? {
        do {
            try Membership.change(role, to: new, isSelf: isSelf, granter: granter.scopes, owners: owners)
            return nil
        } catch { return error }
    }

    @Test(arguments: Role.allCases, Role.allCases)
    func nobodyGivesMoreThanTheyHave(_ granter: Role, _ new: Role) {
        let allowed = new.scopes.isSubset(of: granter.scopes)
        #expect((refusal(.viewer, to: new, granter: granter) == nil) == allowed)
    }

    @Test(arguments: Role.allCases, Role.allCases)
    func nobodyTakesFromWhoHasMore(_ granter: Role, _ role: Role) {
        let allowed = role.scopes.isSubset(of: granter.scopes)
        #expect((refusal(role, to: .viewer, granter: granter) == nil) == allowed)
    }

    @Test func thereIsAnOwnerAlways() {
        for new: Role? in [.admin, .viewer, nil] {
            for isSelf in [true, false] {
                #expect(refusal(.owner, to: new, isSelf: isSelf, granter: .owner, owners: 1) == .lastOwner)
            }
        }
        #expect(refusal(.owner, to: .owner, granter: .owner, owners: 1) == nil)
    }

    @Test func anotherOwnerIsRemovedInTwoSteps() {
        #expect(refusal(.owner, to: nil, granter: .owner) == .ownerFirst)
        #expect(refusal(.owner, to: .viewer, granter: .owner) == nil)
        #expect(refusal(.owner, to: nil, isSelf: true, granter: .owner) == nil)
    }

    @Test func nobodyRaisesThemselves() {
        #expect(refusal(.admin, to: .owner, isSelf: true, granter: .admin) == .beyondGranter(.owner))
        #expect(refusal(.admin, to: .viewer, isSelf: true, granter: .admin) == nil)
    }

    @Test func invitedOnesCountAsMembers() {
        func refusal(_ members: Int, _ invited: Int, of most: Int?) -> Membership.Refusal? {
            do {
                try Membership.invite(
                    as: .viewer, granter: Role.admin.scopes, members: members, invited: invited,
                    maxMembers: most)
                return nil
            } catch { return error }
        }
        #expect(refusal(1, 1, of: 3) == nil)
        #expect(refusal(1, 2, of: 3) == .noRoom(3))
        #expect(refusal(1000, 99, of: nil) == nil)
        #expect(refusal(1, 100, of: nil) == .tooManyInvitations(100))
    }

    @Test func nobodyIsInvitedAsAnOwner() {
        #expect(throws: Membership.Refusal.beyondGranter(.owner)) {
            try Membership.invite(
                as: .owner, granter: Role.owner.scopes, members: 1, invited: 0, maxMembers: nil)
        }
    }

    @Test func aSurplusMemberMayLookAtTheAccount() {
        for role in Role.allCases { #expect(role.scopes(isSurplus: true) == [.accountRead]) }
        #expect(Role.admin.scopes(isSurplus: false) == Role.admin.scopes)
    }

    @Test func whatStrangersChoseIsNotInAnInvitation() {
        let mail = Mail.invitation(
            to: "a@mail.example", role: .support, inviter: nil,
            link: "https://x.example/v1/pages/invitation#token=t")
        #expect(mail.text.contains("#token=t"))
        #expect(mail.text.hasPrefix("A Minecart account invites you"))
    }
}
