import Core
import Domain
import Postgres
import Support
import Testing
import Wire

@testable import Store

@Suite struct PlanTests {
    @Test func thePlansAreTheOnesThatAreSold() async throws {
        let plans = try await Fixture().store.plans()
        #expect(plans.map(\.plan.id) == ["free", "plus", "team", "unlimited"])
        #expect(plans.map(\.plan.maxTunnels) == [1, 5, 25, nil])
        #expect(plans.map(\.plan.limits.players) == [10, 60, 250, nil])
        #expect(plans.map(\.plan.limits.bytes_per_s) == [2_500_000, 12_500_000, 62_500_000, nil])
        #expect(plans.map(\.plan.limits.idle_timeout_s) == [1800, nil, nil, nil])
        #expect(
            plans.map(\.bytes_per_month) == [50_000_000_000, 1_000_000_000_000, 5_000_000_000_000, nil])
        #expect(plans.map(\.plan.chosenNames) == [false, true, true, true])
        #expect(plans.map(\.ownDomains) == [false, true, true, true])
        #expect(plans.map(\.priority) == [false, true, true, true])
        #expect(plans.map(\.maxMembers) == [1, 1, nil, nil])
    }

    /// Promise: one revision tells of exactly the tunnels that are concerned.
    @Test func aChangedPlanTellsOfEveryTunnelUnderItAndOfNoOther() async throws {
        let fixture = try await Fixture(plan: "plus")
        let store = fixture.store
        let other = try await fixture.account(plan: "team")
        let excepted = try await fixture.account(plan: "plus")
        _ = try await store.setException(
            AccountException(players: .limit(3)), account: excepted, actor: "test")
        let placed = try await fixture.tunnel()
        _ = try await fixture.place(placed.id, "s1")
        let waiting = try await fixture.tunnel()
        _ = try await fixture.tunnel(of: other)
        _ = try await fixture.tunnel(of: excepted)
        let before = try await fixture.head()
        _ = try await store.changePlan("plus", actor: "ops") { $0.plan.limits.players = 61 }
        let deltas = try await fixture.deltas(after: before)
        #expect(deltas.map(\.rev) == [before + 1])
        #expect(deltas[0].upserts.map(\.tunnel) == [placed.id.text, waiting.id.text])
        #expect(deltas[0].upserts.allSatisfy { $0.limits.players == 61 })
        #expect(deltas[0].upserts[0].owner == "r1")
        #expect(deltas[0].upserts[0].generation == 1)
        // With this one the excepted account is concerned too.
        _ = try await store.changePlan("plus", actor: "ops") { $0.plan.limits.bytes_per_s = 1000 }
        #expect(try await fixture.deltas(after: before + 1).flatMap(\.upserts).count == 3)
        #expect(try await store.changePlan("gold", actor: "ops") { $0.name = "Gold" } == nil)
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    @Test func whatRelaysNeedNotKnowMakesNoRevision() async throws {
        let fixture = try await Fixture(plan: "plus")
        _ = try await fixture.tunnel()
        let before = try await fixture.head()
        let changed = try await fixture.store.changePlan("plus", actor: "ops") {
            $0.name = "Plus 2"
            $0.stripePrice = "price_1"
            $0.bytes_per_month = nil
        }
        #expect(changed?.stripePrice == "price_1")
        #expect(try await fixture.head() == before)
        await #expect(throws: StoreError.priceTaken) {
            try await fixture.store.changePlan("team", actor: "ops") { $0.stripePrice = "price_1" }
        }
        // What changes nothing is not noted either.
        _ = try await fixture.store.changePlan("plus", actor: "ops") { $0.name = "Plus 2" }
        #expect(try await fixture.audit("plan.update").count == 1)
    }

    @Test func twoOperatorsAtOnceBothHaveTheirWayAndTheAuditLogTellsTheOrder() async throws {
        let fixture = try await Fixture(plan: "plus")
        let tunnel = try await fixture.tunnel()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...6 {
                group.addTask {
                    _ = try await fixture.store.changePlan("plus", actor: Actor("ops\(number)")) { plan in
                        if number % 2 == 0 {
                            plan.plan.limits.players = number * 100
                        } else {
                            plan.plan.limits.bytes_per_s = number * 1000
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        let log = try await fixture.audit("plan.update")
        #expect(log.count == 6)
        for (earlier, later) in zip(log, log.dropFirst()) {
            #expect(earlier["after"] == later["before"])
        }
        let plan = try #require(try await fixture.store.plans().first { $0.plan.id == "plus" })
        #expect(plan.json == log.last?["after"])
        #expect(plan.plan.limits.players != 60)
        #expect(plan.plan.limits.bytes_per_s != 12_500_000)
        let told = try await fixture.deltas(after: 0).last?.upserts.first
        #expect(told?.tunnel == tunnel.id.text)
        #expect(told?.limits == plan.plan.limits)
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    /// Promise: an agent that is placed while a plan changes has the new limits, in the assignment at the latest.
    @Test func aChangeWhilePlacementsRunReachesThemAll() async throws {
        let fixture = try await Fixture(plan: "team")
        var tunnels: [TunnelID] = []
        for _ in 0..<8 { tunnels.append(try await fixture.tunnel().id) }
        let ids = tunnels
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, id) in ids.enumerated() {
                group.addTask { _ = try await fixture.place(id, "s\(number)") }
                group.addTask {
                    _ = try await fixture.store.changePlan("team", actor: "ops") {
                        $0.plan.limits.players = 1000 + number
                    }
                }
            }
            try await group.waitForAll()
        }
        let plan = try #require(try await fixture.store.plans().first { $0.plan.id == "team" })
        let region = try await fixture.expectDeltasGiveTheSnapshot()
        #expect(region.assignments.count == 8)
        for assignment in region.assignments.values {
            #expect(assignment.limits == plan.plan.limits)
            #expect(assignment.owner != nil)
        }
    }

    @Test func aDowngradeWhilePlacementsAndNewTunnelsComeLeavesNoMoreThanAllowed() async throws {
        let fixture = try await Fixture(plan: "team")
        var tunnels: [TunnelID] = []
        for _ in 0..<6 { tunnels.append(try await fixture.tunnel().id) }
        let ids = tunnels
        await withTaskGroup(of: Void.self) { group in
            for (number, id) in ids.enumerated() {
                group.addTask { _ = try? await fixture.place(id, "s\(number)") }
                group.addTask { _ = try? await fixture.tunnel() }
            }
            group.addTask {
                _ = try? await fixture.store.changePlan("team", actor: "ops") { $0.plan.maxTunnels = 3 }
            }
        }
        let shown = try await fixture.store.tunnels(of: fixture.account, Page()).items
        #expect(shown.prefix(3).map(\.id) == Array(ids.prefix(3)))
        #expect(shown.prefix(3).allSatisfy { $0.state != .suspended })
        #expect(shown.dropFirst(3).allSatisfy { $0.state == .suspended })
        let region = try await fixture.expectDeltasGiveTheSnapshot()
        #expect(region.assignments.values.count { $0.state != .suspended } == 3)
    }

    /// Promise: a plan of a thousand placed tunnels is changed in one revision, a larger one in pieces.
    @Test func aThousandPlacedTunnelsAreToldInOneRevision() async throws {
        let fixture = try await Fixture(plan: "unlimited")
        try await fixture.addPlacedTunnels(1000)
        let before = try await fixture.head()
        _ = try await fixture.store.changePlan("unlimited", actor: "ops") { $0.plan.limits.players = 7 }
        let deltas = try await fixture.deltas(after: before)
        #expect(deltas.count == 1)
        #expect(deltas[0].upserts.count == 1000)
        #expect(deltas[0].upserts.allSatisfy { $0.limits.players == 7 && $0.owner == "r1" })
        _ = try await fixture.tunnel()
        _ = try await fixture.store.changePlan("unlimited", actor: "ops") { $0.plan.limits.players = 8 }
        let cut = try await fixture.deltas(after: before + 2)
        #expect(cut.map(\.upserts.count) == [1000, 1])
        try await fixture.expectDeltasGiveTheSnapshot()
    }
}

@Suite struct AccountLimitTests {
    @Test func anExceptionIsToldToTheAccountsRelaysOnly() async throws {
        let fixture = try await Fixture(plan: "plus")
        let store = fixture.store
        let other = try await fixture.account(plan: "plus")
        _ = try await fixture.tunnel(of: other)
        let tunnel = try await fixture.tunnel()
        _ = try await fixture.place(tunnel.id, "s1")
        let before = try await fixture.head()
        let exception = AccountException(
            maxTunnels: .limit(9), players: .unlimited, idle_timeout_s: .limit(60))
        let terms = try #require(
            try await store.setException(exception, account: fixture.account, actor: "ops"))
        #expect(terms.effective.maxTunnels == 9)
        #expect(try await store.account(fixture.account)?.terms == terms)
        let deltas = try await fixture.deltas(after: before)
        #expect(deltas.flatMap(\.upserts).map(\.tunnel) == [tunnel.id.text])
        #expect(
            deltas.first?.upserts.first?.limits
                == Limits(players: nil, bytes_per_s: 12_500_000, idle_timeout_s: 60))
        #expect(try await fixture.place(tunnel.id, "s1")?.limits == deltas.first?.upserts.first?.limits)
        // A plan's number that the exception covers concerns this account no more.
        _ = try await store.setException(.none, account: fixture.account, actor: "ops")
        #expect(try await store.account(fixture.account)?.terms.state.exception == AccountException.none)
        let log = try await fixture.audit("account.limits")
        #expect(
            log == [
                [
                    "before": ["limits": [:]],
                    "after": ["limits": ["max_tunnels": 9, "players": nil, "idle_timeout_s": 60]],
                ],
                [
                    "before": ["limits": ["max_tunnels": 9, "players": nil, "idle_timeout_s": 60]],
                    "after": ["limits": [:]],
                ],
            ])
        #expect(
            try await store.setException(exception, account: AccountID(entropy: [9]), actor: "ops") == nil)
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    @Test func aDowngradeSuspendsTheNewestAndAnUpgradeBringsThemBack() async throws {
        let fixture = try await Fixture(plan: "plus")
        let store = fixture.store
        try await store.ensureRegion("us", name: "America")
        var ids: [TunnelID] = []
        for number in 0..<4 {
            ids.append(try await fixture.tunnel(of: fixture.account, region: number == 3 ? "us" : "eu").id)
        }
        _ = try await fixture.place(ids[1], "s1")
        func states() async throws -> [TunnelState] {
            try await store.tunnels(of: fixture.account, Page()).items.map(\.state)
        }
        var head = try await fixture.head()
        _ = try await store.setPlan("free", account: fixture.account, actor: "ops")
        #expect(try await states() == [.offline, .suspended, .suspended, .suspended])
        let down = try await fixture.deltas(after: head)
        #expect(down.count == 1)
        #expect(down[0].upserts.map(\.tunnel) == ids.prefix(3).map(\.text))
        #expect(down[0].upserts.map(\.state) == [.offline, .suspended, .suspended])
        await #expect(throws: StoreError.suspended) { try await fixture.place(ids[1], "s1") }
        await #expect(throws: StoreError.plan(.tunnels(1))) { try await fixture.tunnel() }
        #expect(try await fixture.audit("tunnel.suspend").count == 3)
        head = try await fixture.head()
        _ = try await store.setException(
            AccountException(maxTunnels: .limit(2)), account: fixture.account, actor: "ops")
        #expect(try await states() == [.offline, .connecting, .suspended, .suspended])
        // Only the one that came back: the others' limits are the same.
        #expect(try await fixture.deltas(after: head).flatMap(\.upserts).map(\.tunnel) == [ids[1].text])
        _ = try await store.setException(.none, account: fixture.account, actor: "ops")
        _ = try await store.setPlan("plus", account: fixture.account, actor: "ops")
        #expect(try await states() == [.offline, .connecting, .offline, .offline])
        #expect(
            try await fixture.audit("account.plan") == [
                ["before": ["plan": "plus"], "after": ["plan": "free"]],
                ["before": ["plan": "free"], "after": ["plan": "plus"]],
            ])
        await #expect(throws: StoreError.unknownPlan("gold")) {
            try await store.setPlan("gold", account: fixture.account, actor: "ops")
        }
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    @Test func whatAnOperatorSuspendedStaysSuspended() async throws {
        let fixture = try await Fixture(plan: "plus")
        let first = try await fixture.tunnel()
        _ = try await fixture.tunnel()
        try await fixture.pool.transaction { tx in
            _ = try tx.query(
                "UPDATE tunnels SET state = 'suspended', suspended_reason = 'operator' WHERE id = $1",
                first.id)
        }
        for plan in ["free", "team"] {
            _ = try await fixture.store.setPlan(plan, account: fixture.account, actor: "ops")
            let shown = try await fixture.store.tunnels(of: fixture.account, Page()).items
            #expect(shown.map(\.state) == [.suspended, plan == "free" ? .suspended : .offline])
        }
        #expect(try await fixture.store.account(fixture.account)?.suspendedTunnels == 1)
    }

    @Test func aDeletedTunnelMakesRoomForTheOldestSurplusOne() async throws {
        let fixture = try await Fixture(plan: "plus")
        let tunnels = [try await fixture.tunnel(), try await fixture.tunnel(), try await fixture.tunnel()]
        _ = try await fixture.store.setPlan("free", account: fixture.account, actor: "ops")
        let head = try await fixture.head()
        _ = try await fixture.store.deleteTunnel(tunnels[0].id, account: fixture.account, actor: "usr_x")
        let deltas = try await fixture.deltas(after: head)
        #expect(deltas.count == 1)
        #expect(deltas[0].deletes == [tunnels[0].id.text])
        #expect(deltas[0].upserts.map(\.tunnel) == [tunnels[1].id.text])
        #expect(deltas[0].upserts[0].state == .offline)
        let shown = try await fixture.store.tunnels(of: fixture.account, Page()).items
        #expect(shown.map(\.state) == [.offline, .suspended])
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    @Test func anAccountThatMovesWhileItsPlansChangeEndsUnderItsPlan() async throws {
        let fixture = try await Fixture(plan: "team")
        for _ in 0..<4 { _ = try await fixture.tunnel() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                group.addTask {
                    _ = try await fixture.store.setPlan(
                        number % 2 == 0 ? "plus" : "team", account: fixture.account, actor: "ops")
                }
                group.addTask {
                    _ = try await fixture.store.changePlan(number % 4 < 2 ? "plus" : "team", actor: "ops") {
                        $0.plan.maxTunnels = number % 4
                        $0.plan.limits.players = 500 + number
                    }
                }
            }
            try await group.waitForAll()
        }
        let account = try #require(try await fixture.store.account(fixture.account))
        let allowed = try #require(account.terms.effective.maxTunnels)
        let region = try await fixture.expectDeltasGiveTheSnapshot()
        #expect(region.assignments.values.count { $0.state != .suspended } == min(4, allowed))
        #expect(account.suspendedTunnels == 4 - min(4, allowed))
        #expect(region.assignments.values.allSatisfy { $0.limits == account.terms.effective.limits })
    }
}
