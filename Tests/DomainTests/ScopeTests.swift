import Domain
import Testing

@Suite struct ScopeTests {
    @Test func eachRoleMayWhatItIsFor() {
        #expect(Role.owner.scopes == Set(Scope.allCases))
        #expect(Scope.all.subtracting(Role.admin.scopes) == [.accountWrite, .billingWrite])
        #expect(Role.support.scopes.filter { !$0.isRead } == [.tunnelsWrite])
        #expect(Role.viewer.scopes.filter { !$0.isRead }.isEmpty)
    }

    @Test(arguments: [
        (OperatorRole.readOnly, [OperatorRole.readOnly]), (.support, [.readOnly, .support]),
        (.operator, [.readOnly, .support, .operator]),
    ])
    func operatorRolesIncludeTheLesserOnes(role: OperatorRole, included: [OperatorRole]) {
        #expect(OperatorRole.allCases.filter { role.includes($0) } == included)
    }
}
