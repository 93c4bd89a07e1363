import Testing
import Wire

@testable import Domain

@Suite struct AccountExceptionTests {
    private let plan = Plan(
        id: "free", maxTunnels: 1, limits: Limits(players: 10, bytes_per_s: 2_500_000, idle_timeout_s: 1800),
        chosenNames: false)

    @Test func withoutAnExceptionThePlanCounts() { #expect(plan.with(.none) == plan) }

    @Test func eachNumberIsThePlansOrTheExceptionsOrNone() {
        let exception = AccountException(
            maxTunnels: .limit(7), players: .unlimited, bytes_per_s: .plan, idle_timeout_s: .unlimited)
        let effective = plan.with(exception)
        #expect(effective.maxTunnels == 7)
        #expect(effective.limits == Limits(players: nil, bytes_per_s: 2_500_000, idle_timeout_s: nil))
        #expect(effective.chosenNames == false)
    }

    @Test func anExceptionMayAlsoBeLessThanThePlan() {
        let unlimited = Plan(id: "unlimited", maxTunnels: nil, limits: .none, chosenNames: true)
        let effective = unlimited.with(AccountException(maxTunnels: .limit(0), players: .limit(3)))
        #expect(effective.maxTunnels == 0)
        #expect(effective.limits == Limits(players: 3))
    }
}

@Suite struct SurplusTests {
    private func change(_ suspensions: [Suspension?], _ maxTunnels: Int?) -> Surplus.Change<Int> {
        Surplus.change(suspensions.enumerated().map { ($0.offset, $0.element) }, maxTunnels: maxTunnels)
    }

    @Test func theOldestAreKeptAndTheNewestSuspended() {
        #expect(change([nil, nil, nil, nil], 2) == .init(suspended: [2, 3], resumed: []))
        #expect(change([nil, nil], 2) == .init(suspended: [], resumed: []))
        #expect(change([nil, nil], 0) == .init(suspended: [0, 1], resumed: []))
    }

    @Test func moreRoomBringsTheOldestBackFirst() {
        #expect(change([nil, .surplus, .surplus], 2) == .init(suspended: [], resumed: [1]))
        #expect(change([nil, .surplus, .surplus], nil) == .init(suspended: [], resumed: [1, 2]))
    }

    @Test func whatAnOperatorSuspendedStaysAndKeepsItsPlace() {
        #expect(change([.operator, .surplus], nil) == .init(suspended: [], resumed: [1]))
        #expect(change([.operator, nil], 1) == .init(suspended: [1], resumed: []))
        #expect(change([nil, .operator], 1) == .init(suspended: [], resumed: []))
    }

    @Test(arguments: 0..<200)
    func downAndUpAgainIsAsBefore(_ seed: Int) {
        // Every mixture of active and operator-suspended tunnels, shrunk to any number and grown again.
        let before: [Suspension?] = (0..<5).map { seed >> $0 & 1 == 0 ? nil : .operator }
        let room = seed / 32
        var tunnels = before
        for id in change(tunnels, room).suspended { tunnels[id] = .surplus }
        #expect(tunnels.prefix(room).elementsEqual(before.prefix(room)))
        #expect(!tunnels.dropFirst(room).contains(nil))
        #expect(change(tunnels, room) == .init(suspended: [], resumed: []))
        for id in change(tunnels, nil).resumed { tunnels[id] = nil }
        #expect(tunnels == before)
    }
}
