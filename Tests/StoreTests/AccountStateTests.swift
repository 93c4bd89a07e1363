import Core
import Domain
import Postgres
import Testing
import Wire

@testable import Store

/// What a late bill and a used-up volume do to an account's tunnels.
@Suite struct AccountStateTests {
    private func change(
        _ fixture: Fixture, _ edit: @escaping @Sendable (inout AccountState) -> Void
    ) async throws -> AccountTerms? {
        let account = fixture.account
        return try await fixture.store.transaction { tx in
            try tx.changeTerms(of: account, "account.billing", actor: .system("stripe"), edit)
        }
    }

    @Test func aThrottledAccountHasThePlansThrottledRateUntilItIsLifted() async throws {
        let fixture = try await Fixture(plan: "plus")
        let tunnel = try await fixture.tunnel()
        var head = try await fixture.head()
        let terms = try await change(fixture) { $0.isOverQuota = true }
        #expect(terms?.effective.limits.bytes_per_s == 125_000)
        var told = try await fixture.deltas(after: head).flatMap(\.upserts)
        #expect(told.map(\.tunnel) == [tunnel.id.text])
        #expect(told.first?.limits.bytes_per_s == 125_000)
        // Both reasons at once are no deeper a throttle, and the first one to go does not lift it.
        _ = try await change(fixture) { $0.billing = .throttled }
        head = try await fixture.head()
        _ = try await change(fixture) { $0.isOverQuota = false }
        #expect(try await fixture.head() == head)
        _ = try await change(fixture) { $0.billing = .active }
        told = try await fixture.deltas(after: head).flatMap(\.upserts)
        #expect(told.first?.limits.bytes_per_s == 12_500_000)
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    @Test func aSuspendedBillServesNothingAndAPaidOneEverythingAgain() async throws {
        let fixture = try await Fixture(plan: "plus")
        let tunnel = try await fixture.tunnel()
        let head = try await fixture.head()
        _ = try await change(fixture) { $0.billing = .suspended }
        let shown = try await fixture.store.tunnel(tunnel.id, account: fixture.account)
        #expect(shown?.state == .suspended && shown?.suspendedReason == "bill")
        #expect(try await fixture.deltas(after: head).flatMap(\.upserts).map(\.state) == [.suspended])
        await #expect(throws: StoreError.suspended) { _ = try await fixture.tunnel() }
        _ = try await change(fixture) { $0.billing = .active }
        #expect(try await fixture.store.tunnel(tunnel.id, account: fixture.account)?.state == .offline)
        try await fixture.expectDeltasGiveTheSnapshot()
        #expect(
            try await fixture.audit("account.billing") == [
                ["before": ["billing": "none"], "after": ["billing": "suspended"]],
                ["before": ["billing": "suspended"], "after": ["billing": "active"]],
            ])
    }

    @Test func anOperatorsSuspensionIsToldToRelaysOnceAndTakenBack() async throws {
        let fixture = try await Fixture(plan: "plus")
        _ = try await fixture.tunnel()
        var head = try await fixture.head()
        for _ in 0..<2 {
            let terms = try await fixture.store.setSuspended(true, account: fixture.account, actor: "test")
            #expect(terms?.state.isSuspended == true)
        }
        #expect(try await fixture.deltas(after: head).flatMap(\.upserts).map(\.state) == [.suspended])
        head = try await fixture.head()
        _ = try await fixture.store.setSuspended(false, account: fixture.account, actor: "test")
        #expect(try await fixture.deltas(after: head).flatMap(\.upserts).map(\.state) != [.suspended])
        #expect(try await fixture.head() == head + 1)
        try await fixture.expectDeltasGiveTheSnapshot()
        #expect(try await fixture.audit("account.suspend").count == 1)
        #expect(try await fixture.audit("account.resume").count == 1)
    }

    @Test func planAndBillChangeInOneStep() async throws {
        let fixture = try await Fixture(plan: "free")
        _ = try await fixture.tunnel()
        let head = try await fixture.head()
        _ = try await change(fixture) {
            $0.plan = "team"
            $0.billing = .active
        }
        #expect(try await fixture.head() == head + 1)
        #expect(
            try await fixture.audit("account.billing") == [
                [
                    "before": ["plan": "free", "billing": "none"],
                    "after": ["plan": "team", "billing": "active"],
                ]
            ])
        let same = try await change(fixture) { $0.plan = "team" }
        #expect(same != nil)
        #expect(try await fixture.audit("account.billing").count == 1)
        await #expect(throws: StoreError.unknownPlan("gold")) {
            _ = try await change(fixture) { $0.plan = "gold" }
        }
    }
}
