import Core
import Domain
import Postgres
import Store
import Testing
import Wire

@testable import Reconcilers

/// Control planes in one process: each with its own lease, loads and reconciler, all on one database.
private struct Planes: Sendable {
    let fixture: Fixture
    let follow: Task<Void, Never>
    let account: Fixture.Account
    let key: String

    init() async throws {
        fixture = try await Fixture()
        follow = fixture.followChanges()
        account = try await fixture.account()
        key = try await fixture.relay("r1")
        for relay in ["r2", "r3"] { try await fixture.relay(relay) }
    }

    /// Runs until the task is cancelled; then it lets go of the lease.
    func start(_ holder: String) -> Task<Void, Never> {
        let leadership = Leadership(store: fixture.store, holder: holder)
        let keeper = PlacementKeeper(
            store: fixture.store, board: LoadBoard(), leadership: leadership, watch: fixture.watch,
            metrics: Metrics())
        return Task {
            await withDiscardingTaskGroup { group in
                group.addTask { await leadership.run() }
                group.addTask { await keeper.run() }
            }
        }
    }

    /// Tunnels of agents with links to owner and standby.
    func serve(_ count: Int) async throws {
        for _ in 0..<count {
            let tunnel = try await fixture.tunnel(account)
            let placed = try await fixture.place(tunnel, "ses_\(tunnel.suffix(8))", account)
            for relay in [placed["relay"], placed["standby"]] {
                let answer = try await fixture.call(
                    "POST", "/v1/relay/links",
                    [
                        "relay": try #require(relay?["id"]),
                        "up": [["tunnel": .string(tunnel), "generation": 1]], "down": [],
                    ], as: key)
                try #require(answer.status == 204)
            }
        }
    }

    /// As operators see them.
    func tunnels() async throws -> [JSON] {
        try await fixture.call("GET", "/v1/ops/tunnels?limit=100", as: Fixture.operatorKey)["data"]?
            .arrayValue
            ?? []
    }

    /// Nothing is at the relay any more, nothing was moved twice, and nobody was shown as away.
    func expectAllMovedOnce(from relay: String) async throws {
        for tunnel in try await tunnels() {
            #expect(tunnel["relay_id"] != .string(relay))
            #expect(tunnel["standby_relay_id"] != .string(relay))
            #expect(tunnel["standby_relay_id"] != .null)
            #expect((tunnel["generation"]?.integerValue ?? 9) <= 2)
            #expect(tunnel["state"] == "online")
        }
    }

    func isEmpty(_ relay: String) async throws -> Bool {
        try await tunnels().allSatisfy {
            $0["relay_id"] != .string(relay) && $0["standby_relay_id"] != .string(relay)
        }
    }
}

@Suite struct PlacementKeeperTests {
    /// Promise: two control planes at once are harmless, and one of them does it.
    @Test func aDrainedRelayIsEmptiedOnce() async throws {
        let planes = try await Planes()
        defer { planes.follow.cancel() }
        try await planes.serve(12)
        let tasks = [planes.start("one"), planes.start("two")]
        _ = try await planes.fixture.store.setRelayState("r1", .draining, actor: "test")
        try await eventually("nothing is at r1") { try await planes.isEmpty("r1") }
        try await planes.expectAllMovedOnce(from: "r1")
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }

    /// Promise: a leader that was stopped where it stood keeps the others from deciding no longer than its lease.
    @Test func aLeaderThatHangsIsFollowedByAnother() async throws {
        let planes = try await Planes()
        defer { planes.follow.cancel() }
        try await planes.serve(3)
        let hung = try #require(
            try await planes.fixture.store.holdLease(Lease.leader, holder: "hung", length_s: 4))
        let task = planes.start("other")
        _ = try await planes.fixture.store.setRelayState("r2", .draining, actor: "test")
        try await eventually("nothing is at r2") { try await planes.isEmpty("r2") }
        try await planes.expectAllMovedOnce(from: "r2")
        // It wakes up and goes on where it was: it writes nothing.
        let board = LoadBoard()
        await #expect(throws: StoreError.leaseLost) {
            _ = try await planes.fixture.store.repairPlacements(
                in: "eu", .gentle, leaving: [], limit: 10, as: hung
            ) { board.decide($0) }
        }
        task.cancel()
        await task.value
    }

    /// Promise: an agent that asks while the leader moves its tunnel gets one answer, not a third place.
    @Test func agentsThatAskMeanwhileAgreeWithTheLeader() async throws {
        let planes = try await Planes()
        defer { planes.follow.cancel() }
        try await planes.serve(8)
        let task = planes.start("one")
        _ = try await planes.fixture.store.setRelayState("r1", .draining, actor: "test")
        let tunnels = try await planes.tunnels()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for tunnel in tunnels {
                let id = try #require(tunnel["id"]?.stringValue)
                group.addTask {
                    let answer = try await planes.fixture.place(
                        id, "ses_\(id.suffix(8))", planes.account, exclude: ["r1"])
                    #expect(answer.status == 201)
                    #expect(answer["relay"]?["id"] != "r1")
                }
            }
            try await group.waitForAll()
        }
        try await eventually("nothing is at r1") { try await planes.isEmpty("r1") }
        try await planes.expectAllMovedOnce(from: "r1")
        task.cancel()
        await task.value
    }
}
