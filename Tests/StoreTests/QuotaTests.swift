import Core
import Crypto
import Domain
import Postgres
import Testing
import Wire

@testable import Store

/// What a used-up month does to an account: its plan's 50 GB here.
@Suite struct QuotaTests {
    private static let gigabyte = 1_000_000_000
    /// 2026-11-21 12:00:00
    private static let noon = WallTime(seconds: 1_795_262_400)
    private static let month = UTCMonth(containing: noon)

    private func move(
        _ fixture: Fixture, _ tunnel: TunnelView, _ gigabytes: Int, at time: WallTime = noon
    ) async throws -> [AccountID] {
        try await fixture.store.addUsage(
            UsageReport(
                relay: "r1", id: TunnelID.random().text, from: time, to: time + 10,
                rows: [
                    .init(
                        tunnel: tunnel.id.text, bytes_up: Self.gigabyte,
                        bytes_down: (gigabytes - 1) * Self.gigabyte, player_s: 1)
                ]), now: time + 20)
    }

    private func enforce(_ fixture: Fixture, in month: UTCMonth = month) async throws {
        try await fixture.store.enforceQuota(of: fixture.account, in: month)
    }

    private func isThrottled(_ fixture: Fixture) async throws -> Bool? {
        try await fixture.store.account(fixture.account)?.terms.state.isOverQuota
    }

    private func mails(_ fixture: Fixture) async throws -> [String] {
        try await fixture.pool.transaction { tx in
            try tx.query("SELECT kind, recipient FROM mail_outbox ORDER BY created_at, kind").map { row in
                "\(try row["kind"] as String) \(try row["recipient"] as String)"
            }
        }
    }

    private static let nearly = "volume-nearly-used anna@example.test"
    private static let up = "volume-used-up anna@example.test"

    @Test func ownersAreToldAtFourFifthsAndAtAllAndTunnelsAreSlowedNotCut() async throws {
        let fixture = try await Fixture(plan: "free")
        let tunnel = try await fixture.tunnel()
        let head = try await fixture.head()
        _ = try await move(fixture, tunnel, 39)
        try await enforce(fixture)
        #expect(try await mails(fixture) == [])
        _ = try await move(fixture, tunnel, 2)
        try await enforce(fixture)
        try await enforce(fixture)
        #expect(try await mails(fixture) == [Self.nearly])
        #expect(try await isThrottled(fixture) == false)
        #expect(try await fixture.head() == head)
        _ = try await move(fixture, tunnel, 9)
        try await enforce(fixture)
        try await enforce(fixture)
        #expect(try await mails(fixture) == [Self.nearly, Self.up])
        #expect(try await isThrottled(fixture) == true)
        let told = try await fixture.deltas(after: head).flatMap(\.upserts)
        #expect(told.map(\.tunnel) == [tunnel.id.text])
        #expect(told.first?.limits.bytes_per_s == 125_000)
        #expect(told.first?.state != .suspended)
        #expect(
            try await fixture.audit("account.quota") == [
                ["before": ["over_quota": false], "after": ["over_quota": true]]
            ])
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    /// Promise: however many processes notice it at once, it is done and told once.
    @Test func manyWhoNoticeItAtOnceDoItOnce() async throws {
        let fixture = try await Fixture(plan: "free")
        let tunnel = try await fixture.tunnel()
        let head = try await fixture.head()
        _ = try await move(fixture, tunnel, 60)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<12 { group.addTask { try await enforce(fixture) } }
            try await group.waitForAll()
        }
        #expect(try await mails(fixture) == [Self.up])
        #expect(try await fixture.head() == head + 1)
        #expect(try await fixture.audit("account.quota").count == 1)
    }

    @Test func theNextMonthLiftsItAndWarnsAnew() async throws {
        let fixture = try await Fixture(plan: "free")
        let tunnel = try await fixture.tunnel()
        _ = try await move(fixture, tunnel, 60)
        try await enforce(fixture)
        let head = try await fixture.head()
        let next = Self.month.next
        #expect(
            try await fixture.store.accountsBesideTheirQuota(as: fixture.lease(), in: next)
                == [fixture.account])
        try await enforce(fixture, in: next)
        #expect(try await isThrottled(fixture) == false)
        let told = try await fixture.deltas(after: head).flatMap(\.upserts)
        #expect(told.first?.limits.bytes_per_s == 2_500_000)
        #expect(try await fixture.store.accountsBesideTheirQuota(as: fixture.lease(), in: next) == [])
        _ = try await move(fixture, tunnel, 45, at: next.start)
        try await enforce(fixture, in: next)
        #expect(try await mails(fixture) == [Self.up, Self.nearly])
        // What is told late of the last hour before is the last month's.
        _ = try await move(fixture, tunnel, 45, at: next.start + -60)
        try await enforce(fixture, in: next)
        #expect(try await isThrottled(fixture) == false)
    }

    @Test func aLargerPlanOrAnExceptionLiftsItAtOnceAndALesserOneSetsIt() async throws {
        let fixture = try await Fixture(plan: "free")
        let store = fixture.store
        let tunnel = try await fixture.tunnel()
        _ = try await move(fixture, tunnel, 60, at: .now())
        try await store.enforceQuota(of: fixture.account)
        #expect(try await isThrottled(fixture) == true)
        var terms = try await store.setPlan("plus", account: fixture.account, actor: "ops")
        #expect(terms?.state.isOverQuota == false)
        #expect(terms?.effective.limits.bytes_per_s == 12_500_000)
        terms = try await store.setPlan("free", account: fixture.account, actor: "ops")
        #expect(terms?.effective.limits.bytes_per_s == 125_000)
        for (exception, isOver) in [
            (AccountException(bytes_per_month: .limit(61 * Self.gigabyte)), false),
            (AccountException(bytes_per_month: .limit(60 * Self.gigabyte)), true),
            (AccountException(bytes_per_month: .unlimited), false), (.none, true),
        ] {
            terms = try await store.setException(exception, account: fixture.account, actor: "ops")
            #expect(terms?.state.isOverQuota == isOver)
        }
        // Told once of 50 GB, and once of the 61 GB that came and were nearly used.
        try await store.enforceQuota(of: fixture.account)
        #expect(try await mails(fixture) == [Self.up])
        _ = try await store.setException(
            AccountException(bytes_per_month: .limit(61 * Self.gigabyte)), account: fixture.account,
            actor: "ops")
        try await store.enforceQuota(of: fixture.account)
        #expect(try await mails(fixture) == [Self.up, Self.nearly])
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    @Test func aChangedPlanIsFoundByTheSweep() async throws {
        let fixture = try await Fixture(plan: "free")
        _ = try await move(fixture, try await fixture.tunnel(), 45)
        try await enforce(fixture)
        func due() async throws -> [AccountID] {
            try await fixture.store.accountsBesideTheirQuota(as: fixture.lease(), in: Self.month)
        }
        #expect(try await due() == [])
        _ = try await fixture.store.changePlan("free", actor: "ops") {
            $0.bytes_per_month = 45 * Self.gigabyte
        }
        #expect(try await due() == [fixture.account])
        try await enforce(fixture)
        #expect(try await isThrottled(fixture) == true)
        _ = try await fixture.store.changePlan("free", actor: "ops") { $0.bytes_per_month = nil }
        #expect(try await due() == [fixture.account])
        try await enforce(fixture)
        #expect(try await isThrottled(fixture) == false)
        #expect(try await due() == [])
    }

    @Test func whereMoreIsSoldNobodyIsSlowedWhileTheBillIsGood() async throws {
        let fixture = try await Fixture(plan: "plus")
        _ = try await fixture.store.changePlan("plus", actor: "ops") { $0.stripeMeter = "minecart_bytes" }
        let tunnel = try await fixture.tunnel()
        _ = try await move(fixture, tunnel, 2000, at: .now())
        let account = fixture.account
        func bill(_ state: BillingState) async throws -> Bool? {
            _ = try await fixture.store.transaction { tx in
                try tx.changeTerms(of: account, "account.billing", actor: .system("stripe")) {
                    $0.billing = state
                }
            }
            let due = try await fixture.store.accountsBesideTheirQuota(as: fixture.lease())
            try await fixture.store.enforceQuota(of: account)
            let isOver = try await isThrottled(fixture)
            // The first time over, the owners are to be told.
            #expect(due.isEmpty || isOver == true)
            return isOver
        }
        #expect(try await bill(.active) == false)
        #expect(try await bill(.grace) == false)
        #expect(try await mails(fixture) == [])
        #expect(try await bill(.throttled) == true)
        #expect(try await bill(.active) == false)
    }

    /// Promise: what a process that died between a report and its consequences left behind is found, once.
    @Test func theSweepFindsExactlyWhatTheReportsWouldHave() async throws {
        let fixture = try await Fixture(plan: "free")
        var expected: Set<AccountID> = []
        for gigabytes in [1, 39, 40, 49, 50, 51] {
            let account = try await fixture.account(plan: "free")
            let noticed = try await move(
                fixture, try await fixture.tunnel(of: account), gigabytes, at: .now())
            #expect(noticed == (gigabytes < 40 ? [] : [account]))
            if gigabytes >= 40 { expected.insert(account) }
        }
        let found = try await fixture.store.accountsBesideTheirQuota(as: fixture.lease())
        #expect(Set(found) == expected && found.count == expected.count)
        for account in found { try await fixture.store.enforceQuota(of: account) }
        #expect(try await fixture.store.accountsBesideTheirQuota(as: fixture.lease()) == [])
        #expect(try await mails(fixture).count == expected.count)
    }

    @Test func anAccountThatIsGoneIsNoError() async throws {
        let fixture = try await Fixture()
        try await fixture.store.enforceQuota(of: AccountID(entropy: [9]), in: Self.month)
        #expect(try await fixture.store.account(AccountID(entropy: [9])) == nil)
    }
}
